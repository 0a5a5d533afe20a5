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

func TestC15_DrainAnswersEverybody(t *testing.T) {
	inTime(t, func(t *testing.T, r *waiting.Room, store buckets.Store) {
		charge, slot := tokens(t, 1, time.Second, 3), slots(1, "holder")
		charge.Cost = 3
		call(t.Context(), r, 0, charge)
		call(t.Context(), r, 0, slot)
		level := look(t, store, charge)
		var answers []<-chan verdict
		var told []time.Duration
		total := time.Duration(0)
		for i := range 40 {
			charge.Cost = int64(i)%3 + 1
			total += time.Duration(charge.Cost) * time.Second
			told = append(told, total)
			answers = append(answers, started(t.Context(), r, time.Hour, charge))
		}
		for i := range 20 {
			answers = append(answers, started(t.Context(), r, time.Hour, slots(1, fmt.Sprint(i))))
		}
		elapse(500 * time.Millisecond)
		if r.Waiting() != 60 {
			t.Fatalf("%d wait, want 60", r.Waiting())
		}
		start := time.Now()
		r.Drain()
		if r.Drain(); time.Since(start) > 0 {
			t.Errorf("draining took %v", time.Since(start))
		}
		for i, answer := range answers {
			v := <-answer
			if v.err != nil || v.passed() || v.after != 500*time.Millisecond {
				t.Errorf("caller %d was answered %+v", i, v)
			}
			if i < 40 {
				o, without := v.outcomes[0], 3_000_000+told[i].Microseconds()-(int64(i)%3+1)*1_000_000
				if o.Delay != told[i]-500*time.Millisecond || o.Used != without {
					t.Errorf("caller %d was told a delay of %v and a level of %d, want what is left, %v, and %d without the caller",
						i, o.Delay, o.Used, told[i]-500*time.Millisecond, without)
				}
			}
		}
		charge.Cost = 1
		if now := look(t, store, charge); now != level-500_000 { // 0.5 s refilled, a microsecond a tick
			t.Errorf("the level is %d, want %d: a reservation was not given back", now, level-500_000)
		}
		for range 2 { // the second time when nothing is given back any more
			level := look(t, store, charge)
			if v := call(t.Context(), r, time.Hour, charge); v.passed() || v.after > 0 || look(t, store, charge) != level {
				t.Errorf("after draining somebody waited: %+v", v)
			}
			elapse(1100 * time.Millisecond)
			charge.Cost = 3
		}
	})
}

// A store that hangs must hold up neither who leaves nor for long a shutdown.
func TestAStoreThatHangsHoldsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New(memory.Options{})
		var lost atomic.Int64
		r := waiting.New(waiting.Options{
			Store: storeFunc(func(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
				if charges[0].Mode == buckets.Cancel {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				return store.Take(ctx, charges)
			}),
			Left: func(limit string, fate waiting.Fate) {
				if limit == "tokens" && fate == waiting.Lost {
					lost.Add(1)
				}
			},
		})
		charge := tokens(t, 1, time.Second, 1)
		ctx, leave := context.WithCancel(t.Context())
		var answers []<-chan verdict
		for range 100 {
			answers = append(answers, started(t.Context(), r, time.Hour, charge))
		}
		gone := started(ctx, r, time.Hour, charge)
		leave()
		if v := <-gone; !errors.Is(v.err, context.Canceled) || v.after > 0 {
			t.Errorf("who left was answered %+v", v)
		}
		start := time.Now()
		r.Drain()
		if took := time.Since(start); took > 1001*time.Millisecond {
			t.Errorf("draining took %v", took)
		}
		for _, answer := range answers {
			<-answer
		}
		if lost.Load() != 100 {
			t.Errorf("%d reservations were told as lost, want 100", lost.Load())
		}
		empty(t, r)
	})
}

// A reservation that is made while the room is drained must not be slept on.
func TestWhoIsJudgedWhileTheRoomIsDrainedIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New(memory.Options{})
		r := newRoom(storeFunc(func(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
			elapse(10 * time.Millisecond)
			return store.Take(ctx, charges)
		}))
		charge := tokens(t, 1, time.Second, 1)
		call(t.Context(), r, 0, charge)
		call(t.Context(), r, 0, slots(1, "holder"))
		level, start := look(t, store, charge), time.Now()
		answers := []<-chan verdict{started(t.Context(), r, time.Hour, charge), started(t.Context(), r, time.Hour, slots(1, "late"))}
		r.Drain()
		for _, answer := range answers {
			if v := <-answer; v.passed() || v.err != nil || v.after != 10*time.Millisecond {
				t.Errorf("answered %+v", v)
			}
		}
		elapse(500 * time.Millisecond)
		if now, want := look(t, store, charge), level-time.Since(start).Microseconds(); now != want {
			t.Errorf("the level is %d, want %d: the reservation was not given back", now, want)
		}
		empty(t, r)
	})
}

func TestAnErrorOfTheStoreIsTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		store := memory.New(memory.Options{})
		r := newRoom(storeFunc(func(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
			if down.Load() {
				return nil, errDown
			}
			return store.Take(ctx, charges)
		}))
		call(t.Context(), r, 0, slots(1, "holder"))
		answer := started(t.Context(), r, time.Hour, slots(1, "other"))
		down.Store(true)
		if v := <-answer; !errors.Is(v.err, errDown) || v.after > 50*time.Millisecond {
			t.Errorf("who waited was answered %+v", v)
		}
		for _, charge := range []buckets.Charge{slots(1, "third"), tokens(t, 1, time.Second, 1)} {
			if v := call(t.Context(), r, time.Hour, charge); !errors.Is(v.err, errDown) {
				t.Errorf("who asked was answered %+v", v)
			}
		}
		empty(t, r)
	})
}

// The answer to the first caller is 5 ms on its way, that to the second comes at
// once, later or sooner: the first need not wait longer than the second for it.
func TestW03_AnswersThatOvertakeEachOtherChangeNoOrder(t *testing.T) {
	for _, sooner := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var late atomic.Int64
			store := memory.New(memory.Options{})
			r := newRoom(storeFunc(func(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
				wait := time.Duration(late.Load())
				defer func() { elapse(wait) }()
				return store.Take(ctx, charges)
			}))
			charge := tokens(t, 1, time.Millisecond, 1)
			var all []<-chan verdict
			for range 11 { // the last waits until 10 ms
				all = append(all, started(t.Context(), r, time.Minute, charge))
			}
			late.Store(int64(5 * time.Millisecond))
			first := started(t.Context(), r, time.Minute, charge)
			late.Store(0)
			if !sooner {
				elapse(6 * time.Millisecond)
			}
			second := started(t.Context(), r, time.Minute, charge)
			if v := <-first; v.after != 12*time.Millisecond {
				t.Errorf("the first waited %v, want 12 ms with the second", v.after)
			}
			if v := <-second; v.waited != v.outcomes[0].Delay {
				t.Errorf("the second waited %v, told %v", v.waited, v.outcomes[0].Delay)
			}
			for _, answer := range all {
				<-answer
			}
			empty(t, r)
		})
	}
}

// What becomes of a reservation whose caller leaves is told: only the store knows
// whether it was given back, and one that fails or panics has not said so.
func TestW13_TheFateOfAReservation(t *testing.T) {
	for name, c := range map[string]struct {
		others int // who reserve later, on another replica
		cancel storeFunc
		want   waiting.Fate
	}{
		"the last":     {want: waiting.GivenBack},
		"not the last": {others: 1, want: waiting.Lost},
		"no answer": {want: waiting.Lost, cancel: func(ctx context.Context, _ []buckets.Charge) ([]buckets.Outcome, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}},
		"a blind answer": {want: waiting.Lost, cancel: func(context.Context, []buckets.Charge) ([]buckets.Outcome, error) {
			return []buckets.Outcome{{Admitted: true, Blind: true}}, nil
		}},
		"a store panicked": {want: waiting.Lost, cancel: func(context.Context, []buckets.Charge) ([]buckets.Outcome, error) { panic("a bug") }},
	} {
		synctest.Test(t, func(t *testing.T) {
			store, fates := memory.New(memory.Options{}), make(chan waiting.Fate, 10)
			other, r := newRoom(store), waiting.New(waiting.Options{
				Store: storeFunc(func(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
					if charges[0].Mode == buckets.Cancel && c.cancel != nil {
						return c.cancel(ctx, charges)
					}
					return store.Take(ctx, charges)
				}),
				Left: func(_ string, fate waiting.Fate) { fates <- fate },
			})
			charge := tokens(t, 1, time.Hour, 1)
			call(t.Context(), r, 0, charge)
			ctx, leave := context.WithCancel(t.Context())
			gone := started(ctx, r, day, charge)
			var later []<-chan verdict
			for range c.others {
				later = append(later, started(t.Context(), other, day, charge))
			}
			leave()
			<-gone
			elapse(2 * time.Second) // and no longer, whatever the store does
			if len(fates) != 1 {
				t.Fatalf("%s: %d fates were told", name, len(fates))
			}
			if fate := <-fates; fate != c.want {
				t.Errorf("%s: %q was told, want %q", name, fate, c.want)
			}
			for _, answer := range later {
				<-answer
			}
			empty(t, r, other)
		})
	}
}

// 1,000 callers of as many buckets who leave together must not crowd out those who
// ask.
func TestGivingBackIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var underWay, most atomic.Int64
		store := memory.New(memory.Options{})
		r := newRoom(storeFunc(func(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
			if charges[0].Mode == buckets.Cancel {
				most.Store(max(most.Load(), underWay.Add(1)))
				defer underWay.Add(-1)
				elapse(time.Millisecond)
			}
			return store.Take(ctx, charges)
		}))
		charge := terms(t, buckets.Terms{Tokens: 1, Period: time.Hour, Capacity: 1, Missing: 1, MaxWait: day})
		ctx, leave := context.WithCancel(t.Context())
		for i := range 1000 {
			charge.Key = fmt.Sprint("{k}", i)
			started(ctx, r, day, charge)
		}
		leave()
		elapse(time.Second)
		if most.Load() > 16 {
			t.Errorf("%d calls gave back at a time", most.Load())
		}
		empty(t, r)
	})
}

// Only a take that is enforced waits: nobody is held for what is only reported.
func TestWhatIsNotEnforcedHoldsNobody(t *testing.T) {
	inTime(t, func(t *testing.T, r *waiting.Room, _ buckets.Store) {
		charge, slot := tokens(t, 1, time.Second, 1), slots(1, "held")
		call(t.Context(), r, 0, charge)
		call(t.Context(), r, 0, slot)
		looked, shadow, shadowSlot := charge, charge, slots(1, "shadow")
		looked.Mode, shadow.Role, shadowSlot.Role = buckets.Look, buckets.Shadow, buckets.Shadow
		waits := started(t.Context(), r, time.Second, slots(1, "waits"))
		free := slots(1, "free")
		free.Key = "{k}free"
		for i, charges := range [][]buckets.Charge{{looked}, {shadow}, {shadowSlot}, {shadow, looked}} {
			if v := call(t.Context(), r, time.Minute, charges...); v.after > 0 || v.passed() {
				t.Errorf("number %d was answered %+v", i, v)
			}
		}
		if v := call(t.Context(), r, time.Minute, shadowSlot, free); v.after > 0 || !v.outcomes[1].Admitted {
			t.Errorf("beside a line for what is only reported: %+v", v)
		}
		<-waits
	})
}
