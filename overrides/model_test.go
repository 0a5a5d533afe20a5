package overrides_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/overrides"
)

// Whatever two replicas do one after the other, each sees what a plain map would
// hold: a change that was refused, expected another version or was only tried has
// left everything as it was, and what is live is what is listed.
func TestM20_TwoReplicasKeepWhatOneMapWould(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ledger := memory(t)
		replicas := []*replica{still(t, ledger), still(t, ledger)}
		model := map[string]overrides.Entry{}
		steps := 0
		rt.Repeat(map[string]func(*rapid.T){
			"set": func(rt *rapid.T) {
				r := rapid.SampledFrom(replicas).Draw(rt, "replica")
				change, size := drawChange(rt)
				key := overrides.Key(change.Domain, change.Limit, change.For)
				w, fits := drawWords(rt, model[key].Version)
				before, existed := model[key]
				entry, replaced, err := r.Set(context.Background(), change, w)
				switch {
				case err == nil && (size == 0 || !fits):
					rt.Fatalf("%+v with %+v was taken", change, w)
				case err != nil && size > 0 && fits:
					rt.Fatalf("%+v with %+v was refused: %v", change, w, err)
				case err == nil && (replaced != nil) != existed, err == nil && existed && replaced.Version != before.Version:
					rt.Fatalf("it replaced %+v, want %+v", replaced, before)
				case err == nil && !w.DryRun:
					model[key] = entry
					steps++
				}
			},
			"undo": func(rt *rapid.T) {
				r := rapid.SampledFrom(replicas).Draw(rt, "replica")
				change, _ := drawChange(rt)
				key := overrides.Key(change.Domain, change.Limit, change.For)
				before, existed := model[key]
				w, fits := drawWords(rt, before.Version)
				undone, err := r.Undo(context.Background(), key, w)
				switch {
				case (err == nil) != (existed && fits), err == nil && undone.Version != before.Version:
					rt.Fatalf("undone %+v with %+v: %v", undone, w, err)
				case !existed && fits && !errors.Is(err, overrides.ErrUnknown):
					rt.Fatalf("undone what is not there: %v", err)
				case err == nil && !w.DryRun:
					delete(model, key)
					steps++
				}
			},
			"": func(rt *rapid.T) {
				version, all, err := ledger.Read(context.Background())
				if err != nil {
					rt.Fatal(err)
				}
				if len(all) != len(model) {
					rt.Fatalf("the ledger has %d records, want %d", len(all), len(model))
				}
				for _, r := range replicas {
					r.Apply(version, all)
					r.compare(rt, model)
				}
				if told := replicas[0].told() + replicas[1].told(); told != steps {
					rt.Fatalf("%d steps were told, want %d", told, steps)
				}
			},
		})
	})
}

// drawChange draws a change and the size that it gives its bucket, 0 if it cannot
// be.
func drawChange(rt *rapid.T) (change descriptors.Change, size int64) {
	change = descriptors.Change{Domain: "d", Limit: "per-user"}
	if user := rapid.SampledFrom([]string{"", "a", "b"}).Draw(rt, "user"); user != "" {
		change.For = map[string]string{"user": user}
	}
	size = rapid.Int64Range(0, 5).Draw(rt, "size")
	if change.Rate = fmt.Sprintf("%d/s", size); size == 0 {
		change.Rate = "none"
	}
	return change, size
}

// drawWords draws what goes with a change, and tells whether the version fits.
func drawWords(rt *rapid.T, version int64) (w overrides.Words, fits bool) {
	w.DryRun = rapid.Bool().Draw(rt, "dry")
	switch rapid.SampledFrom([]string{"whatever", "right", "wrong"}).Draw(rt, "expected") {
	case "right":
		w.Expect = &version
	case "wrong":
		w.Expect = new(version + 1)
		return w, false
	}
	return w, true
}

// compare asserts that a replica lists and applies what a model holds.
func (r *replica) compare(rt *rapid.T, model map[string]overrides.Entry) {
	listed := r.List()
	if len(listed) != len(model) {
		rt.Fatalf("%d changes are listed, want %d", len(listed), len(model))
	}
	for _, l := range listed {
		if want := model[l.Key()]; l.Version != want.Version || l.Rate != want.Rate || len(l.LeftOut) > 0 {
			rt.Fatalf("listed is %+v, want %+v", l, want)
		}
	}
	for _, user := range []string{"a", "b", "c"} {
		want := "10/s"
		if e, set := model[overrides.Key("d", "per-user", nil)]; set {
			want = e.Rate
		}
		if e, set := model[overrides.Key("d", "per-user", map[string]string{"user": user})]; set {
			want = e.Rate
		}
		if got := fmt.Sprintf("%d/s", r.size(user)); got != want {
			rt.Fatalf("the bucket of %s has %s, want %s", user, got, want)
		}
	}
}
