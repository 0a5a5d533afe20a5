package overrides_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/overrides"
)

// Whatever stands in a record of the ledger, it is in force as it is listed, or left out
// with a reason, and neither hides nor spoils another change.
func FuzzLedger(f *testing.F) {
	key := overrides.Key("d", "per-user", nil)
	for _, text := range []string{
		`{"format": 1, "domain": "d", "limit": "per-user", "rate": "20/s", "set_at": "2026-01-02T03:04:05Z", "version": 3}`,
		`{"format": 2, "domain": "d", "limit": "per-user"}`, `{"format": 1, "domain": "d", "limit": "other"}`,
		`{"format": 1, "domain": "d", "limit": "per-user", "burst": -1, "expires": "0001-01-01T00:00:00Z"}`, "null", "", "\xff",
	} {
		f.Add("limit/"+key, []byte(text))
	}
	f.Add("limit/"+overrides.Key("d", "per-user", map[string]string{"user": "a"}),
		[]byte(`{"format": 1, "domain": "d", "limit": "per-user", "for": {"user": "a"}, "blocked": true, "set_at": "2026-01-02T03:04:05Z", "version": 3}`))
	other := `{"format": 1, "domain": "d", "limit": "per-ip", "rate": "30/s", "set_at": "2026-01-02T03:04:05Z", "version": 2}`
	otherName := "limit/" + overrides.Key("d", "per-ip", nil)
	r := still(f, memory(f))
	version := int64(0)
	f.Fuzz(func(t *testing.T, name string, raw []byte) {
		if name == otherName {
			return
		}
		r.t = t
		version++
		r.Apply(version, map[string][]byte{name: raw, otherName: []byte(other)})
		if got := r.of("ip", "x").Bucket.Size(); got != 30 {
			t.Fatalf("beside %q: %q a change of 30 gives %d", name, raw, got)
		}
		for _, listed := range r.List() {
			if listed.Limit == "per-ip" {
				continue
			}
			if "limit/"+listed.Key() != name {
				t.Fatalf("the record %q is listed as %s", name, listed.Key())
			}
			var kept struct{ descriptors.Change }
			text, err := json.Marshal(listed.Entry)
			if err != nil || json.Unmarshal(text, &kept) != nil {
				t.Fatalf("%q is read, but not written: %v", raw, err)
			}
		}
		// What is set after it wins, and is in force.
		version++
		entry := `{"format": 1, "domain": "d", "limit": "per-user", "rate": "40/s", "set_at": "2026-01-02T03:04:05Z", "version": 4}`
		r.Apply(version, map[string][]byte{"limit/" + key: []byte(entry)})
		if got := r.size("x"); got != 40 {
			t.Fatalf("after %q: %q a change of 40 gives %d", name, raw, got)
		}
		if _, err := r.History(context.Background(), 1); err != nil {
			t.Fatal(err)
		}
	})
}
