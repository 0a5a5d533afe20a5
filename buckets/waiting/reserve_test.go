package waiting_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/waiting"
)

func TestC11_CallersAreHeldInsteadOfRefused(t *testing.T) {
	inTime(t, func(t *testing.T, r *waiting.Room, _ buckets.Store) {
		charge := tokens(t, 10, time.Second, 1)
		var answers []<-chan verdict
		for range 7 {
			answers = append(answers, started(t.Context(), r, 500*time.Millisecond, charge))
		}
		for i, answer := range answers {
			v, told := <-answer, time.Duration(i)*100*time.Millisecond
			o := v.outcomes[0]
			if i == 6 {
				if o.Admitted || o.Delay != 600*time.Millisecond || v.after != 0 {
					t.Errorf("the seventh caller was told %+v after %v, want a refusal of 600 ms at once", o, v.after)
				}
			} else if !o.Admitted || o.Delay != told || v.waited != told || v.after != told {
				t.Errorf("caller %d was admitted %v after %v, told %v, want %v", i, o.Admitted, v.after, o.Delay, told)
			}
		}
	})
}

func TestW02_W03_L2_R4_AnEmptyBucketServesTheFirstCallerFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New(memory.Options{})
		rooms := []*waiting.Room{newRoom(store), newRoom(store), newRoom(store)}
		charge := tokens(t, 1, 4*time.Second, 4)
		charge.Cost = 4
		call(t.Context(), rooms[0], 0, charge)
		charge.Cost = 1
		var order []int
		done := make(chan int)
		for i := range 12 {
			synctest.Wait()
			go func() {
				if call(t.Context(), rooms[i%3], time.Hour, charge).passed() {
					done <- i
				}
			}()
		}
		for i := range 12 {
			elapse(4 * time.Second)
			order = append(order, <-done)
			synctest.Wait()
			select {
			case another := <-done:
				t.Fatalf("callers %v and %d were served with one new token", order, another)
			default:
			}
			if order[i] != i {
				t.Fatalf("served in the order %v", order)
			}
		}
		empty(t, rooms...)
	})
}

func TestW04_ABucketThatStartsEmptyHoldsTheFirstCallerForAPeriod(t *testing.T) {
	inTime(t, func(t *testing.T, r *waiting.Room, _ buckets.Store) {
		charge := terms(t, buckets.Terms{Tokens: 1, Period: 4 * time.Second, Capacity: 4, Missing: 4, MaxWait: time.Minute})
		if v := call(t.Context(), r, time.Minute, charge); !v.passed() || v.after != 4*time.Second {
			t.Errorf("the first caller was answered %+v, want admitted after 4 s", v)
		}
	})
}

func TestW12_W16_APeriodOfMilliseconds(t *testing.T) {
	inTime(t, func(t *testing.T, r *waiting.Room, _ buckets.Store) {
		charge := tokens(t, 1, 300*time.Millisecond, 1)
		if v := call(t.Context(), r, time.Second, charge); !v.passed() || v.after != 0 || v.waited != 0 {
			t.Errorf("with a token in the bucket: %+v", v)
		}
		if v := call(t.Context(), r, time.Second, charge); !v.passed() || v.after != 300*time.Millisecond {
			t.Errorf("with none: %+v, want admitted after exactly 300 ms", v)
		}
	})
}

func TestW13_L5_WhoLeavesTheLineBurnsNoToken(t *testing.T) {
	inTime(t, func(t *testing.T, r *waiting.Room, _ buckets.Store) {
		charge := tokens(t, 1, time.Second, 1)
		call(t.Context(), r, 0, charge)
		var leave [4]context.CancelFunc
		var answers [4]<-chan verdict
		for i := range 4 { // at 1, 2, 3 and 4 s
			var ctx context.Context
			ctx, leave[i] = context.WithCancel(t.Context())
			answers[i] = started(ctx, r, time.Minute, charge)
		}
		elapse(500 * time.Millisecond)
		leave[1]()
		if v := <-answers[1]; !errors.Is(v.err, context.Canceled) || v.after != 500*time.Millisecond {
			t.Fatalf("who left was answered %+v", v)
		}
		next := started(t.Context(), r, time.Minute, charge) // has the place of the last, who moved up
		for i, want := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second} {
			if v := <-answers[[]int{0, 2, 3}[i]]; !v.passed() || v.after != want {
				t.Errorf("who stayed as number %d was answered %+v, want after %v", i, v, want)
			}
		}
		if v := <-next; !v.passed() || v.after != 3500*time.Millisecond {
			t.Errorf("who came later was answered %+v, want after 3.5 s, in the place that was free", v)
		}
		for _, cancel := range leave {
			cancel()
		}
	})
}

func TestC15_NoReservationThatDoesNotFitTheWait(t *testing.T) {
	inTime(t, func(t *testing.T, r *waiting.Room, store buckets.Store) {
		charge := tokens(t, 1, time.Second, 1)
		call(t.Context(), r, 0, charge)
		before := look(t, store, charge)
		if v := call(t.Context(), r, 999*time.Millisecond, charge); v.passed() || v.after != 0 || v.outcomes[0].Delay != time.Second {
			t.Errorf("told %+v, want a refusal of 1 s at once", v)
		}
		if after := look(t, store, charge); after != before {
			t.Errorf("a refusal moved the level from %d to %d", before, after)
		}
	})
}

// look is a bucket's level.
func look(t *testing.T, store buckets.Store, c buckets.Charge) int64 {
	t.Helper()
	c.Mode = buckets.Look
	outcomes, err := store.Take(t.Context(), []buckets.Charge{c})
	if err != nil {
		t.Fatal(err)
	}
	return outcomes[0].Used
}

// Callers under way may turn out to need no place. Who finds the places taken by
// them must not be refused for it.
func TestC15_MaxWaitersCountsThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New(memory.Options{})
		r := newRoom(storeFunc(func(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
			elapse(time.Millisecond)
			return store.Take(ctx, charges)
		}))
		charge := tokens(t, 1, time.Second, 3)
		answers := make(chan verdict, 10)
		for range 10 {
			go func() {
				answers <- callOf(t.Context(), r, waiting.Wait{Max: time.Minute, Waiters: 2}, charge)
			}()
		}
		elapse(100 * time.Millisecond)
		if r.Waiting() != 2 {
			t.Errorf("%d wait, want 2", r.Waiting())
		}
		told := map[string]int{}
		for range 10 {
			v := <-answers
			told[fmt.Sprintf("passed %v, waited %v", v.passed(), v.waited > 0)]++
			if !v.passed() && v.outcomes[0].Delay <= 0 {
				t.Error("a refusal for want of places told no delay")
			}
		}
		if told["passed true, waited false"] != 3 || told["passed true, waited true"] != 2 {
			t.Errorf("ten callers, three tokens, two places: %v", told)
		}
		empty(t, r)
	})
}
