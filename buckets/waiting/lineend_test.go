package waiting_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/waiting"
)

// Tokens of a reservation that is given back are there for a line at once.
func TestW13_WhatIsGivenBackIsAnnounced(t *testing.T) {
	inTime(t, func(t *testing.T, r *waiting.Room, _ buckets.Store) {
		charge := tokens(t, 1, time.Minute, 1)
		call(t.Context(), r, 0, charge)
		ctx, leave := context.WithCancel(t.Context())
		gone := started(ctx, r, day, charge)
		several := started(t.Context(), r, day, charge, slots(1, "a"))
		elapse(time.Second)
		leave()
		<-gone
		if v := <-several; !v.passed() || v.after != time.Minute {
			t.Errorf("answered %+v, want admitted in the place that is free, after a minute", v)
		}
	})
}

// A crowd whose clients leave together asks the store for nothing more.
func TestW13_WhoIsGoneDoesNotAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		store := memory.New(memory.Options{})
		r := newRoom(counted(store, &calls))
		call(t.Context(), r, 0, slots(1, "held"))
		ctx, leave := context.WithCancel(t.Context())
		for i := range 100 {
			started(ctx, r, time.Minute, slots(1, fmt.Sprint(i)))
		}
		before := calls.Load()
		leave()
		synctest.Wait()
		if after := calls.Load(); after != before {
			t.Errorf("%d calls after everybody left", after-before)
		}
		empty(t, r)
	})
}

// What is left of the delays that were told is what a drain answers.
func TestC15_DrainTellsALineWhatIsLeft(t *testing.T) {
	inTime(t, func(t *testing.T, r *waiting.Room, _ buckets.Store) {
		charge := tokens(t, 1, time.Minute, 1)
		call(t.Context(), r, 0, charge)
		first := started(t.Context(), r, day, charge, slots(2, "a"))
		behind := started(t.Context(), r, day, charge, slots(2, "b"))
		elapse(20 * time.Second)
		r.Drain()
		for _, answer := range []<-chan verdict{first, behind} {
			if v := <-answer; v.passed() || v.err != nil || v.outcomes[0].Delay != 40*time.Second {
				t.Errorf("answered %+v", v)
			}
		}
	})
}

// What a request gives back and settles is given back and settled once, however
// often it asks, and its receipt redeemed once.
func TestWaitingRepeatsNoRefund(t *testing.T) {
	inTime(t, func(t *testing.T, r *waiting.Room, store buckets.Store) {
		budget := tokens(t, 1, day, 100)
		budget.Key, budget.Cost = "{k}budget", 50
		call(t.Context(), r, 0, budget)
		call(t.Context(), r, 0, slots(1, "held"))
		before := look(t, store, budget)
		refund, settled := budget, budget
		refund.Mode, refund.Cost = buckets.Refund, 10
		settled.Mode, settled.Cost = buckets.Settle, 3
		gate := slots(1, "redeemed")
		gate.Key, gate.Role = "{k}receipt", buckets.Gate
		for _, want := range []int64{7, 0} {
			if want == 0 { // the receipt was redeemed by somebody else
				redeemed := gate
				redeemed.Lease = "other"
				call(t.Context(), r, 0, redeemed)
			}
			v := call(t.Context(), r, time.Second, gate, refund, settled, slots(1, "other"))
			if v.passed() || v.err != nil || (want > 0) != (v.waited == time.Second) {
				t.Errorf("answered %+v", v)
			}
			after := look(t, store, budget)
			given := (before - after) / budget.Bucket.Unit()
			if given != want {
				t.Errorf("%d tokens were given back, want %d", given, want)
			}
			before = after
		}
		held := started(t.Context(), r, time.Second, slots(1, "first"))
		gate.Key = "{k}receipt2"
		behind := call(t.Context(), r, time.Second, gate, refund, settled, slots(1, "behind"))
		if after := look(t, store, budget); (before-after)/budget.Bucket.Unit() != 7 {
			t.Errorf("who lined up gave %d ticks back", before-after)
		}
		if v := <-held; v.passed() || behind.passed() {
			t.Errorf("answered %+v and %+v", v, behind)
		}
	})
}

func TestW13_WhoLeavesALineTakesNothing(t *testing.T) {
	inTime(t, func(t *testing.T, r *waiting.Room, store buckets.Store) {
		held := slots(1, "held")
		call(t.Context(), r, 0, held)
		ctx, leave := context.WithCancel(t.Context())
		var gone [2]<-chan verdict
		gone[0] = started(ctx, r, time.Minute, slots(1, "first"))
		stays := started(t.Context(), r, time.Minute, slots(1, "stays"))
		gone[1] = started(ctx, r, time.Minute, slots(1, "last"))
		elapse(time.Second)
		leave()
		for _, answer := range gone {
			if v := <-answer; !errors.Is(v.err, context.Canceled) || v.after != time.Second {
				t.Errorf("who left was answered %+v", v)
			}
		}
		giveBack(t, r, store, held)
		if v := <-stays; !v.passed() || v.after != time.Second {
			t.Errorf("who stays was answered %+v", v)
		}
		if used := look(t, store, held); used != 1 {
			t.Errorf("%d slots are held, want 1", used)
		}
	})
}

// Whoever guards the store asks it no more shortly before a caller's deadline, and
// answers without it, so the wait is over before.
func TestC15_TheStoreIsAskedInTimeForTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var latest atomic.Int64
		store := memory.New(memory.Options{})
		start := time.Now()
		r := newRoom(storeFunc(func(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
			latest.Store(int64(time.Since(start)))
			return store.Take(ctx, charges)
		}))
		call(t.Context(), r, 0, slots(1, "held"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		behind := make(chan verdict, 1)
		time.AfterFunc(time.Millisecond, func() { behind <- call(ctx, r, time.Minute, slots(1, "behind")) })
		v := call(ctx, r, time.Minute, slots(1, "other"))
		w := <-behind
		last := time.Duration(latest.Load())
		if last > 900*time.Millisecond || v.err != nil || w.err != nil || v.passed() || w.passed() || v.after != 900*time.Millisecond {
			t.Errorf("asked last at %v, answered %+v and %+v", last, v, w)
		}
		short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if v := call(short, r, time.Minute, slots(1, "other")); v.err != nil || v.passed() || v.after > 0 {
			t.Errorf("without time to wait: %+v", v)
		}
		empty(t, r)
	})
}

// Slots that were given back while a newcomer was judged woke nobody.
func TestSlotsReleasedMeanwhileAreNotMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var late atomic.Int64
		store := memory.New(memory.Options{})
		r := newRoom(storeFunc(func(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
			defer func() { elapse(time.Duration(late.Load())) }()
			return store.Take(ctx, charges)
		}))
		held := slots(1, "held")
		call(t.Context(), r, 0, held)
		late.Store(int64(10 * time.Millisecond))
		answer := started(t.Context(), r, time.Minute, slots(1, "other"))
		elapse(5 * time.Millisecond)
		giveBack(t, r, store, held)
		if v := <-answer; !v.passed() || v.after != 20*time.Millisecond {
			t.Errorf("answered %+v, want admitted at the second call, after 20 ms", v)
		}
		empty(t, r)
	})
}

func TestRefusalsThatNoWaitingHelpsComeAtOnce(t *testing.T) {
	inTime(t, func(t *testing.T, r *waiting.Room, _ buckets.Store) {
		call(t.Context(), r, 0, slots(1, "held"))
		others := slots(1, "others")
		others.Key = "{k}others"
		call(t.Context(), r, 0, others)
		others.Lease = "more"
		heavy, blind := slots(1, "heavy"), slots(1, "blind")
		heavy.Cost = 2
		closed := buckets.Charge{Key: "{k}closed", Limit: "closed", Bucket: buckets.TokenBucket{}, Cost: 1}
		half := tokens(t, 10, time.Second, 3) // 2 and 2 of 3
		half.Key, half.Cost = "{k}half", 2
		open := buckets.Charge{Key: "{k}open", Limit: "open", Bucket: buckets.Breaker{Failures: 1, OpenFor: 1_000_000, Probes: 1, ProbeTTL: 1_000_000}, Cost: 1}
		failure := open
		failure.Mode = buckets.Settle
		call(t.Context(), r, 0, failure)
		for name, charges := range map[string][]buckets.Charge{
			"G-08: a breaker that is open":      {open, slots(1, "a")},
			"more than there ever is":           {heavy},
			"slots of a limit that cannot wait": {others, slots(1, "a")},
			"a closed limit":                    {closed, slots(1, "a")},
			"twice more than half of it":        {half, half},
			"alone closed":                      {closed},
		} {
			if v := call(t.Context(), r, time.Minute, charges...); v.passed() || v.err != nil || v.after > 0 {
				t.Errorf("%s: answered %+v", name, v)
			}
		}
		down := newRoom(storeFunc(func(context.Context, []buckets.Charge) ([]buckets.Outcome, error) {
			return []buckets.Outcome{{Blind: true}}, nil
		}))
		if v := call(t.Context(), down, time.Minute, blind); v.passed() || v.after > 0 {
			t.Errorf("without a store: answered %+v", v)
		}
	})
}

// Of several quotas one is enough: the soonest is waited for.
func TestC11_TheSoonestQuotaIsWaitedFor(t *testing.T) {
	inTime(t, func(t *testing.T, r *waiting.Room, _ buckets.Store) { // the first request takes of both
		slow, fast := tokens(t, 1, time.Minute, 1), tokens(t, 1, time.Second, 1)
		slow.Key, fast.Key, slow.Role, fast.Role = "{k}slow", "{k}fast", buckets.Quota, buckets.Quota
		for i := range 3 {
			v := call(t.Context(), r, time.Hour, slow, fast, slots(10, fmt.Sprint(i)))
			if want := []time.Duration{0, time.Second, time.Second}[i]; v.err != nil || v.after != want {
				t.Errorf("request %d was answered after %v, want %v", i, v.after, want)
			}
		}
	})
}
