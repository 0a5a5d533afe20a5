package capacity_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/capacity"
	"github.com/weir-rls/weir/descriptors"
)

// pass lets seconds pass, and what happens in the last of them.
func pass(d time.Duration) {
	time.Sleep(d) // of a bubble's time
	synctest.Wait()
}

// The pool follows the instances that say they live: more of them in steps of 10 %
// of what is stated, fewer at once, and one that says nothing for its time to live
// is gone.
func TestC13_ThePoolFollowsTheInstancesThatLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, inMemory(t), rules)
		pass(500 * time.Millisecond)
		if got := r.led(); got != "" || r.size(t) != 100 {
			t.Errorf("before anybody lives: %s, and it holds %d", got, r.size(t))
		}
		for i := range 6 {
			r.beat(t, fmt.Sprint("pod-", i), 0, 10*time.Second) // 20 units each, by the rules
		}
		r.beat(t, "large", 30, 5*time.Second)
		pass(5 * time.Second)
		if got := r.led(); got != "110/heartbeats 120/heartbeats 130/heartbeats 140/heartbeats 150/heartbeats" {
			t.Errorf("to 150 it rose by %s", got)
		}
		pass(time.Second)
		if got := r.led(); got != "120/heartbeats" || r.size(t) != 120 {
			t.Errorf("without the large one it became %s, and holds %d", got, r.size(t))
		}
		if err := r.Leave(t.Context(), units, "pod-0"); err != nil {
			t.Fatal(err)
		}
		r.beat(t, "pod-1", 5, 10*time.Second) // instead of 20
		pass(1500 * time.Millisecond)
		if got := r.led(); got != "85/heartbeats" || r.size(t) != 85 {
			t.Errorf("after one left and one has fewer units it became %s, and holds %d", got, r.size(t))
		}
		if s := r.state(t); s.Instances != 5 || s.Units != 85 || s.Target != 85 || s.Stated != 100 || s.Source != capacity.Heartbeats {
			t.Errorf("the state is %+v", s)
		}
	})
}

// When nobody says anything any more, nobody can tell a lost source from backends
// that are all gone: the last size is kept. Never below min, never above max.
func TestC13_TheLastSizeIsKeptWhenTheSourceIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, inMemory(t), rules)
		r.beat(t, "a", 60, 2*time.Second)
		pass(1500 * time.Millisecond)
		if got := r.led(); got != "60/heartbeats" {
			t.Errorf("with 60 units it became %s", got)
		}
		pass(time.Hour)
		if got := r.led(); got != "60/kept" || r.size(t) != 60 {
			t.Errorf("an hour later it became %s, and holds %d", got, r.size(t))
		}
		r.beat(t, "a", 1, time.Minute)
		pass(2 * time.Second)
		if got := r.led(); got != "20/heartbeats" {
			t.Errorf("with 1 unit it became %s, min is 20", got)
		}
		r.beat(t, "a", 5000, time.Hour)
		pass(time.Minute)
		if r.size(t) != 400 {
			t.Errorf("with 5000 units it holds %d, max is 400", r.size(t))
		}
	})
}

func TestC13_AStaleSourceCountsForTheMinimum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		content := strings.Replace(rules, "max: 400", "max: 400, stale_after: 30s", 1)
		r := start(t, s, content)
		r.beat(t, "a", 60, 2*time.Second)
		pass(29 * time.Second)
		if got := r.led(); got != "60/heartbeats 60/kept" {
			t.Errorf("before 30 s it became %s", got)
		}
		pass(5 * time.Second)
		if got := r.led(); got != "20/fallback" {
			t.Errorf("after 30 s it became %s", got)
		}
		r.stop()
		next := start(t, s, content)
		pass(5 * time.Second)
		if got := next.led(); got != "" || next.size(t) != 20 {
			t.Errorf("another leader made it %s, and it holds %d", got, next.size(t))
		}
	})
}

// What an operator sets wins over what is counted, in the same steps, and only
// while it lasts.
func TestC07_ACapacitySetByHandWinsWhileItLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		r := start(t, s, rules)
		r.beat(t, "a", 60, 24*time.Hour)
		pass(1500 * time.Millisecond)
		r.led()
		set, err := r.SetByHand(t.Context(), units, capacity.ByHand{PerInstance: 20, Instances: 4, TTL: 10 * time.Second, Author: "ana", Reason: "two more are on their way"})
		if err != nil {
			t.Fatal(err)
		}
		pass(4 * time.Second)
		if got := r.led(); got != "70/hand 80/hand" {
			t.Errorf("4 times 20 by hand made it %s", got)
		}
		if s := r.state(t); s.ByHand == nil || !s.ByHand.Expires.Equal(set.Expires) || s.Source != capacity.Hand {
			t.Errorf("the state is %+v", s)
		}
		pass(10 * time.Second)
		if got := r.led(); got != "60/heartbeats" || r.state(t).ByHand != nil {
			t.Errorf("after its time it became %s", got)
		}
		if _, err := r.SetByHand(t.Context(), units, capacity.ByHand{Total: 30}); err != nil {
			t.Fatal(err)
		}
		pass(time.Hour)
		if got := r.led(); got != "30/hand" {
			t.Errorf("30 for good made it %s", got)
		}
		if err := r.TakeBack(t.Context(), units, "ana", ""); err != nil {
			t.Fatal(err)
		}
		if f := fault(t, r.TakeBack(t.Context(), units, "ana", "")); !f.Unknown {
			t.Errorf("what is not there is taken back: %v", f)
		}
		pass(5 * time.Second)
		if got := r.led(); !strings.HasPrefix(got, "40/heartbeats") || r.size(t) != 60 {
			t.Errorf("taken back it became %s, and holds %d", got, r.size(t))
		}
		checkNotes(t, s)
	})
}

// What was set by hand is no count of anything: after its time the pool goes back to
// what was counted last, or else to what is stated.
func TestC07_NothingOfACapacityByHandRemains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, inMemory(t), rules)
		byHand := func() {
			t.Helper()
			if _, err := r.SetByHand(t.Context(), units, capacity.ByHand{Total: 40, TTL: 5 * time.Second}); err != nil {
				t.Fatal(err)
			}
			pass(time.Minute + 500*time.Millisecond)
		}
		if byHand(); r.size(t) != 100 || r.state(t).Source != capacity.Stated {
			t.Errorf("never counted, it became %+v", r.state(t))
		}
		r.beat(t, "a", 60, 2*time.Second)
		pass(10 * time.Second)
		if byHand(); r.size(t) != 60 || r.state(t).Source != capacity.Kept {
			t.Errorf("counted as 60 before, it became %+v", r.state(t))
		}
	})
}

// What is set by hand is in the journal, with who did it and why.
func checkNotes(t *testing.T, s shared) {
	t.Helper()
	notes, err := s.live.Notes(t.Context(), 10)
	if err != nil || len(notes) != 3 {
		t.Fatalf("%d notes, %v, want 3", len(notes), err)
	}
	var first map[string]any
	if err := json.Unmarshal(notes[2], &first); err != nil {
		t.Fatal(err)
	}
	if first["action"] != "capacity_set" || first["pool"] != "units" || first["domain"] != "shop" || first["author"] != "ana" || first["reason"] != "two more are on their way" {
		t.Errorf("the journal says %s", notes[2])
	}
}

// A pool whose size follows nothing can be set by hand too, and goes back to what
// is stated in steps.
func TestG18_APoolOfAFixedSizeIsEnlargedBeforeThePeak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		r := start(t, s, rules)
		slots := descriptors.PoolID{Domain: "shop", Name: "slots"}
		size := func() int64 {
			all, err := r.State(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return all[1].Size
		}
		if _, err := r.SetByHand(t.Context(), slots, capacity.ByHand{Total: 40, TTL: time.Minute}); err != nil {
			t.Fatal(err)
		}
		pass(5500 * time.Millisecond)
		if size() != 30 {
			t.Errorf("5 s later it has %d slots, want 30: 10 %% of 20 a second", size())
		}
		pass(time.Minute)
		if size() != 20 {
			t.Errorf("after its time it has %d slots, want 20", size())
		}
		if _, err := r.SetByHand(t.Context(), slots, capacity.ByHand{Total: 10, TTL: 5 * time.Second}); err != nil {
			t.Fatal(err)
		}
		pass(7 * time.Second)
		if size() != 12 && size() != 14 {
			t.Errorf("two seconds after its time it has %d slots of 20, want 12 or 14: it goes back in steps", size())
		}
		pass(10 * time.Second)
		_, published, _ := s.sizes.Read(t.Context())
		if names := slices.Sorted(maps.Keys(published)); len(names) != 1 {
			t.Errorf("published are %q, want only the pool that follows something", names)
		}
	})
}

// Streams that fail shrink the pool by a tenth each second, down to min_percent;
// once they succeed it grows again while it refuses somebody. Frozen it stays.
func TestC07_TheFeedbackFollowsFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, inMemory(t), rules)
		pass(500 * time.Millisecond)
		second := func(ended, failed, refused int) capacity.PoolState {
			for i := range ended {
				status := int64(200)
				if i < failed {
					status = 503
				}
				r.Ended("shop", "units", status)
				r.Ended("shop", "units", 0) // a client that left says nothing
			}
			for range refused {
				r.Refused("shop", "units")
			}
			pass(time.Second)
			return r.state(t)
		}
		var sizes []int64
		for range 8 {
			sizes = append(sizes, second(40, 5, 5).Size)
		}
		if want := []int64{90, 81, 72, 65, 59, 53, 50, 50}; !slices.Equal(sizes, want) {
			t.Errorf("more than a tenth fails: %v, want %v", sizes, want)
		}
		if s := second(40, 0, 0); s.Size != 50 {
			t.Errorf("nobody wants more, and it holds %d", s.Size)
		}
		if s := second(40, 0, 1); s.Size != 52 || s.Factor != 520_000 {
			t.Errorf("somebody wants more, and it holds %d", s.Size)
		}
		if err := r.Freeze(t.Context(), units, true, "ana", "while we look"); err != nil {
			t.Fatal(err)
		}
		if s := second(40, 40, 40); s.Size != 52 || !s.Frozen {
			t.Errorf("frozen it holds %d: %+v", s.Size, s)
		}
		r.beat(t, "a", 50, time.Hour)
		if s := second(0, 0, 0); s.Size != 26 {
			t.Errorf("frozen, half the instances make it %d, want 26", s.Size)
		}
		if err := r.Freeze(t.Context(), units, false, "ana", ""); err != nil {
			t.Fatal(err)
		}
		if s := second(0, 0, 1); s.Factor != 540_000 || s.Frozen {
			t.Errorf("not frozen any more it is %+v", s)
		}
	})
}

// Of several replicas one computes: it alone counts the instances, once a second.
func TestC13_OnlyTheLeaderCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		looks := &lookingStore{Store: s.store}
		s.store = looks
		for range 3 {
			start(t, s, rules)
		}
		pass(9*time.Second + 500*time.Millisecond)
		if n := looks.calls.Load(); n != 10 {
			t.Errorf("in 10 ticks three replicas counted %d times", n)
		}
	})
}

// lookingStore counts the questions that take nothing.
type lookingStore struct {
	buckets.Store
	calls atomic.Int64
}

func (s *lookingStore) Take(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
	if charges[0].Mode == buckets.Look {
		s.calls.Add(1)
	}
	return s.Store.Take(ctx, charges)
}
