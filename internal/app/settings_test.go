package app_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"

	"github.com/weir-rls/weir/internal/config"
)

// A setting that is read and then forgotten looks like one that works.
func TestOnExcessDecidesWhatIsTooLarge(t *testing.T) {
	for onExcess, want := range map[string]rls.RateLimitResponse_Code{config.ExcessDeny: 2, config.ExcessAllow: 1} {
		r := start(t, oneRule, func(s *config.Settings) { s.MaxDescriptors, s.OnExcess = 3, onExcess })
		descriptor := wire("", "user", "u")[2:]
		for count, want := range map[int]rls.RateLimitResponse_Code{3: 2, 4: want} { // 3 of 2 tokens, and too many
			answer, err := r.call(append(field(1, "d"), bytes.Repeat(descriptor, count)...))
			if err != nil || answer.OverallCode != want {
				t.Errorf("on_excess %s: %d descriptors: %v, %v; want %v", onExcess, count, answer.OverallCode, err, want)
			}
		}
		if got := r.metric(`weir_excess_requests_total{bound="descriptors"}`); got != 1 {
			t.Errorf("%v excessive requests counted", got)
		}
	}
}

func TestTheMemoryStoreIsAsLargeAsTheSettingSays(t *testing.T) {
	r := start(t, oneRule, func(s *config.Settings) { s.MemoryMaxBuckets = 5 })
	for i := range 20 {
		if _, err := r.call(wire("d", "user", fmt.Sprint("u", i))); err != nil {
			t.Fatal(err)
		}
	}
	if held, overflowed := r.metric("weir_memory_buckets"), r.metric("weir_memory_overflow_charges_total"); held != 6 || overflowed != 15 {
		t.Errorf("%v buckets held and %v charges overflowed, want 5 with the one that the other 15 share", held, overflowed)
	}
}

func TestMergeDomainsJoinsFiles(t *testing.T) {
	for _, merge := range []bool{false, true} {
		dir := t.TempDir()
		for _, key := range []string{"user", "address"} {
			text := strings.Replace(strings.Replace(oneRule, "key: user", "key: "+key, 1), "per-user", key, 1)
			if err := os.WriteFile(filepath.Join(dir, key+".yaml"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r := start(t, oneRule, func(s *config.Settings) { s.Rules, s.MergeDomains = dir, merge })
		if code, body := r.get("/readyz"); (code == 200) != merge {
			t.Errorf("merge %v: /readyz %d %s", merge, code, body)
		}
	}
}

func TestWhatIsIgnoredIsCounted(t *testing.T) {
	r := start(t, oneRule, nil)
	if _, err := r.call(wire("d", "nobody", "knows")); err != nil {
		t.Fatal(err)
	}
	override := string(field(2, "\x08\x05")) // 5 requests in a unit that is not stated
	entry := string(field(1, string(field(1, "user"))+string(field(2, "u"))))
	if _, err := r.call(append(field(1, "d"), field(2, entry+override)...)); err != nil {
		t.Fatal(err)
	}
	for series, want := range map[string]float64{
		`weir_unmatched_descriptors_total{domain="d"}`: 1,
		`weir_ignored_overrides_total{domain="d"}`:     1,
	} {
		if got := r.metric(series); got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
}

// A header may be large. It is limited like any other; an error would admit it.
func TestALargeValueIsLimitedLikeAnyOther(t *testing.T) {
	r := start(t, oneRule, nil)
	large := wire("d", "user", strings.Repeat("x", 1<<20))
	for i, want := range []rls.RateLimitResponse_Code{1, 1, 2} {
		if answer, err := r.call(large); err != nil || answer.OverallCode != want {
			t.Errorf("call %d: %v, %v; want %v", i, answer.OverallCode, err, want)
		}
	}
}
