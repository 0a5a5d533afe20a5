package overrides_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/internal/parts/partstest"
	"github.com/weir-rls/weir/overrides"
	"github.com/weir-rls/weir/records"
)

func TestM20_AChangeIsLiveListedToldAndUndone(t *testing.T) {
	r := start(t, memory(t))
	words := overrides.Words{Author: "ann", Reason: "the peak"}
	first := r.must(perUser("20/s"), words)
	if got := r.size("u"); got != 20 {
		t.Errorf("%d tokens after a change to 20/s", got)
	}
	second, before, err := r.Set(t.Context(), perUser("30/s"), words)
	if err != nil || before == nil || !cmp.Equal(*before, first) {
		t.Errorf("before is %+v, %v; want %+v", before, err, first)
	}
	if listed := r.List(); len(listed) != 1 || !cmp.Equal(listed[0].Entry, second) || len(listed[0].LeftOut) > 0 {
		t.Errorf("listed: %+v", listed)
	}
	undone, err := r.Undo(t.Context(), second.Key(), overrides.Words{Author: "bob"})
	if err != nil || !cmp.Equal(undone, second) || r.size("u") != 10 || len(r.List()) > 0 {
		t.Errorf("undone: %+v, %v, %d tokens, %v", undone, err, r.size("u"), r.List())
	}
	var told []string
	for _, n := range r.history() {
		told = append(told, n.Action+" by "+n.Author+": "+n.Changes[0].Rate)
	}
	if want := []string{"undone by bob: 30/s", "set by ann: 30/s", "set by ann: 20/s"}; !cmp.Equal(told, want) {
		t.Errorf("the history is %q, want %q", told, want)
	}
	if h := r.history()[1]; h.Before == nil || h.Before.Rate != "20/s" || h.Reason != "the peak" || h.Time.IsZero() {
		t.Errorf("the note is %+v", h)
	}
	if r.told() != 3 {
		t.Errorf("observed %d steps, want 3", r.told())
	}
}

// What cannot be is refused with the field that is at fault, and nothing is
// another than before.
func TestM07_WhatIsRefusedChangesNothing(t *testing.T) {
	ledger := memory(t)
	r := start(t, ledger)
	set := r.must(perUser("20/s"), overrides.Words{})
	version, _ := ledger.Version(t.Context())
	other := int64(1)
	long := strings.Repeat("x", 2000)
	for name, c := range map[string]struct {
		change descriptors.Change
		words  overrides.Words
		field  string
	}{
		"a rate that is none":      {change: perUser("20"), field: "rate"},
		"a burst below the weight": {change: descriptors.Change{Domain: "d", Limit: "heavy", Burst: &other}, field: "burst"},
		"no such limit":            {change: descriptors.Change{Domain: "d", Limit: "nobody", Rate: "1/s"}, field: "limit"},
		"no such domain":           {change: descriptors.Change{Domain: "nobody", Limit: "per-user", Rate: "1/s"}, field: "domain"},
		"a long author":            {change: perUser("30/s"), words: overrides.Words{Author: long}, field: "author"},
		"an author of two lines":   {change: perUser("30/s"), words: overrides.Words{Author: "a\nlevel=ERROR"}, field: "author"},
		"a long reason":            {change: perUser("30/s"), words: overrides.Words{Reason: long}, field: "reason"},
		"a reason that escapes":    {change: perUser("30/s"), words: overrides.Words{Reason: "\x1b[31m"}, field: "reason"},
		"a reason in no language":  {change: perUser("30/s"), words: overrides.Words{Reason: "\xff"}, field: "reason"},
		"no time":                  {change: perUser("30/s"), words: overrides.Words{TTL: time.Millisecond}, field: "ttl"},
		"less than no time":        {change: perUser("30/s"), words: overrides.Words{TTL: -time.Hour}, field: "ttl"},
		"more than a year":         {change: perUser("30/s"), words: overrides.Words{TTL: 366 * 24 * time.Hour}, field: "ttl"},
		"a group table too large": {
			change: descriptors.Change{Domain: "d", Limit: "per-user", Rate: "1/s", For: map[string]string{"user": strings.Repeat("x", 70_000)}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, dry := range []bool{true, false} {
				c.words.DryRun = dry
				_, _, err := r.Set(t.Context(), c.change, c.words)
				fault := flawed(err)
				if fault.Message == "" || fault.Field != c.field {
					t.Errorf("refused with %v (%q), want a fault of %q", err, fault.Field, c.field)
				}
			}
		})
	}
	if now, _ := ledger.Version(t.Context()); now != version || len(r.history()) != 1 || r.size("u") != 20 || r.List()[0].Version != set.Version {
		t.Errorf("version %d is %d now, %d notes, %d tokens", version, now, len(r.history()), r.size("u"))
	}
}

func TestM20_ADryRunAnswersAndChangesNothing(t *testing.T) {
	ledger := memory(t)
	r := start(t, ledger)
	set := r.must(perUser("20/s"), overrides.Words{})
	version, _ := ledger.Version(t.Context())
	would, before, err := r.Set(t.Context(), perUser("30/s"), overrides.Words{DryRun: true})
	if err != nil || would.Rate != "30/s" || before == nil || before.Rate != "20/s" {
		t.Errorf("%+v in place of %+v, %v", would, before, err)
	}
	if _, err := r.Undo(t.Context(), set.Key(), overrides.Words{DryRun: true}); err != nil {
		t.Error(err)
	}
	if _, err := r.Undo(t.Context(), "nothing", overrides.Words{DryRun: true}); !errors.Is(err, overrides.ErrUnknown) {
		t.Error(err)
	}
	if now, _ := ledger.Version(t.Context()); now != version || len(r.history()) != 1 || r.size("u") != 20 || r.told() != 1 {
		t.Errorf("version %d is %d now, %d notes, %d tokens", version, now, len(r.history()), r.size("u"))
	}
}

// An entry that was undone and set again is another one, although it looks the
// same: who has seen the first may not overwrite the second.
func TestM20_AVersionIsNeverUsedAgain(t *testing.T) {
	r := start(t, memory(t))
	first := r.must(perUser("20/s"), overrides.Words{})
	if _, err := r.Undo(t.Context(), first.Key(), overrides.Words{}); err != nil {
		t.Fatal(err)
	}
	second := r.must(perUser("20/s"), overrides.Words{})
	for name, expect := range map[string]int64{"the first": first.Version, "none": 0, "one to come": second.Version + 1} {
		var conflict overrides.Conflict
		_, _, err := r.Set(t.Context(), perUser("30/s"), overrides.Words{Expect: &expect})
		if !errors.As(err, &conflict) || conflict.Current != second.Version {
			t.Errorf("set over %s: %v, want a conflict with version %d", name, err, second.Version)
		}
		if _, err = r.Undo(t.Context(), first.Key(), overrides.Words{Expect: &expect}); !errors.As(err, &conflict) {
			t.Errorf("undo of %s: %v", name, err)
		}
	}
	if _, _, err := r.Set(t.Context(), perUser("30/s"), overrides.Words{Expect: &second.Version}); err != nil {
		t.Error(err)
	}
	none := int64(0)
	if _, _, err := r.Set(t.Context(), descriptors.Change{Domain: "d", Limit: "per-ip", Rate: "1/s"}, overrides.Words{Expect: &none}); err != nil {
		t.Errorf("create only: %v", err)
	}
}

// An undoing is always possible, also of what the rules do not know any more; and
// what fits again later is in force again.
func TestWhatTheFilesDoNotKnowAnyMoreIsLeftOutAndToldNotLost(t *testing.T) {
	r := start(t, memory(t))
	e := r.must(perUser("20/s"), overrides.Words{})
	r.reload("domain: d\ndescriptors: [{key: user, limits: [{name: renamed, rate: 10/s}]}]\n")
	r.Refit()
	listed := r.List()
	if len(listed) != 1 || len(listed[0].LeftOut) != 1 || !listed[0].LeftOut[0].Unknown || len(r.misfits()) != 1 {
		t.Fatalf("listed %+v, told %v", listed, r.misfits())
	}
	if got := r.size("u"); got != 10 {
		t.Errorf("the new limit has %d tokens", got)
	}
	if _, _, err := r.Set(t.Context(), descriptors.Change{Domain: "d", Limit: "renamed", Rate: "7/s"}, overrides.Words{}); err != nil {
		t.Errorf("a change beside one that is left out: %v", err)
	}
	r.reload(rules)
	r.Refit()
	if got := r.size("u"); got != 20 || len(r.misfits()) != 1 {
		t.Errorf("%d tokens when it fits again, left out: %v", got, r.misfits())
	}
	r.reload("domain: d\ndescriptors: [{key: user, limits: [{name: other, rate: 10/s}]}]\n")
	if _, err := r.Undo(context.Background(), e.Key(), overrides.Words{}); err != nil {
		t.Error(err)
	}
}

// A change that takes away what another one is of is refused: it would end the
// other unseen.
func TestM20_AChangeThatWouldKeepAnotherFromFittingIsRefused(t *testing.T) {
	r := start(t, memory(t))
	r.reload("domain: d\npresets: [{model_limits: {groups: {vip: [0, 5]}}}]\n")
	vip := r.must(descriptors.Change{Domain: "d", Limit: "model_limits/vip/success", Rate: "7/min"}, overrides.Words{})
	without := descriptors.Change{Domain: "d", Limit: "model_limits", Groups: map[string][2]int64{"gold": {1, 1}}}
	_, _, err := r.Set(t.Context(), without, overrides.Words{})
	if fault := flawed(err); !strings.Contains(fault.Message, "model_limits/vip/success") || fault.Remedy == "" || len(r.List()) != 1 {
		t.Errorf("refused with %v, listed %+v", err, r.List())
	}
	if _, err := r.Undo(t.Context(), vip.Key(), overrides.Words{}); err != nil {
		t.Fatal(err)
	}
	r.must(without, overrides.Words{})
}

// full is a ledger that holds as many changes as it can, each for another user.
func full(t testing.TB, n int) records.Records {
	t.Helper()
	ledger := memory(t)
	set := map[string][]byte{}
	for i := range n {
		user := map[string]string{"user": fmt.Sprint(i)}
		key := overrides.Key("d", "per-user", user)
		set["limit/"+key] = fmt.Appendf(nil, `{"format":1,"domain":"d","limit":"per-user","for":{"user":"%d"},"rate":"20/s","set_at":"2026-01-01T00:00:00Z","version":%d}`, i, i+1)
	}
	if _, written, err := ledger.Write(t.Context(), 0, set, nil, nil); err != nil || !written {
		t.Fatal(written, err)
	}
	return ledger
}

// What all replicas read is bounded; who has reached the bound can still replace
// and undo.
func TestTheBookHasABound(t *testing.T) {
	r := start(t, full(t, 10_000))
	partstest.Eventually(t, 10*time.Second, "all are live", func() bool { return len(r.List()) == 10_000 && r.size("7") == 20 })
	_, _, err := r.Set(t.Context(), descriptors.Change{Domain: "d", Limit: "per-ip", Rate: "20/s"}, overrides.Words{})
	if fault := flawed(err); fault.Message == "" {
		t.Errorf("one more: %v", err)
	}
	seventh := descriptors.Change{Domain: "d", Limit: "per-user", Rate: "30/s", For: map[string]string{"user": "7"}}
	if _, _, err := r.Set(t.Context(), seventh, overrides.Words{}); err != nil || r.size("7") != 30 {
		t.Errorf("in place of one: %v, %d tokens", err, r.size("7"))
	}
	if _, err := r.Undo(t.Context(), overrides.Key("d", "per-user", seventh.For), overrides.Words{}); err != nil || r.size("7") != 10 {
		t.Errorf("undone: %v, %d tokens", err, r.size("7"))
	}
}

// BenchmarkSet is one change beside many that are set already.
func BenchmarkSet(b *testing.B) {
	for _, n := range []int{1, 100, 9_999} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			ledger := full(b, n)
			r := still(b, ledger)
			version, all, err := ledger.Read(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			r.Apply(version, all)
			for b.Loop() {
				r.must(descriptors.Change{Domain: "d", Limit: "per-ip", Rate: "20/s"}, overrides.Words{})
			}
		})
	}
}
