package guard_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/guard"
	"github.com/weir-rls/weir/buckets/memory"
)

// late is a store that answers each call after a while, and reads the charges only
// then.
type late struct {
	after func() time.Duration
	store storeFunc
}

func (l late) Start(charges []buckets.Charge, asker buckets.Asker) {
	time.AfterFunc(l.after(), func() { asker.Answer(l.store(context.Background(), charges)) })
}

func (late) Take(context.Context, []buckets.Charge) ([]buckets.Outcome, error) {
	panic("who does not wait was made to")
}

// The memory of a call serves one after another, and the caller's own serves his
// next request: an answer that comes when the caller leaves, or after, is nobody
// else's, and is about what he asked for.
func TestAnAnswerIsOnlyToldToWhoAskedForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 10 * time.Millisecond
		random, mu := rand.New(rand.NewPCG(1, 2)), sync.Mutex{}
		told, untold, asked := 0, 0, map[int64]int{}
		store := late{
			after: func() time.Duration {
				mu.Lock()
				defer mu.Unlock()
				return timeout + time.Duration(random.IntN(3)-1)*time.Millisecond // before, with and after the caller's leaving
			},
			store: func(_ context.Context, c []buckets.Charge) ([]buckets.Outcome, error) {
				mu.Lock()
				defer mu.Unlock()
				asked[c[0].Cost]++
				return []buckets.Outcome{{Used: c[0].Cost}}, nil
			},
		}
		g := guard.New(guard.Options{
			Store: store, Local: memory.New(memory.Options{}), Timeout: timeout,
			Observe: func(_ context.Context, _ time.Duration, err error) {
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					told++
				} else {
					untold++
				}
			},
		})
		const callers, calls = 50, 200
		for caller := range int64(callers) {
			go func() {
				charges := []buckets.Charge{charge("{a}", 0, buckets.Allow)}
				for call := range int64(calls) {
					charges[0].Cost = 1 + caller*calls + call
					outcomes, err := g.Take(t.Context(), charges)
					if err != nil || outcomes[0].Used != charges[0].Cost && !outcomes[0].Blind {
						t.Errorf("%d was answered %+v, %v", charges[0].Cost, outcomes, err)
					}
				}
			}()
		}
		elapse(calls * 2 * timeout)
		synctest.Wait()
		for cost := range int64(callers * calls) {
			if asked[1+cost] != 1 {
				t.Fatalf("the store was asked for %d %d times, want once", 1+cost, asked[1+cost])
			}
		}
		if told < callers*calls/4 || untold < callers*calls/4 {
			t.Errorf("%d calls were answered in time and %d were not: the hazard was not met", told, untold)
		}
	})
}

// Nobody is told of a call that was left, so what it took is given back by the way
// that it came.
func TestSlotsOfACallerWhoLeftComeBackWithoutWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := memory.New(memory.Options{})
		g := newGuard(late{after: func() time.Duration { return 30 * time.Millisecond }, store: held.Take})
		slot := buckets.Charge{Key: "{a}", Bucket: buckets.Slots{Count: 1, TTL: time.Hour.Microseconds()}, Cost: 1, Lease: "gone", OnStoreError: buckets.Allow}
		admitted(t, g, slot)
		elapse(100 * time.Millisecond)
		slot.Lease = "next"
		if o, err := held.Take(t.Context(), []buckets.Charge{slot}); err != nil || !o[0].Admitted {
			t.Errorf("the slot of a caller who left is not free: %+v, %v", o, err)
		}
	})
}

// breaks is a store that panics before it has asked anybody.
type breaks struct{ buckets.Store }

func (breaks) Start([]buckets.Charge, buckets.Asker) { panic("a bug") }

// And the call ends: panics must not use up the calls that may be under way.
func TestAPanicBeforeTheStoreIsAskedIsItsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last error
		g := guard.New(guard.Options{
			Store: breaks{}, Local: memory.New(memory.Options{}), Timeout: time.Second,
			Observe: func(_ context.Context, _ time.Duration, err error) { last = err },
		})
		for range 5000 {
			if got := admitted(t, g, charge("{a}", 1, buckets.Deny)); got[0] || errors.Is(last, guard.ErrBusy) {
				t.Fatalf("admitted %v after %v", got[0], last)
			}
		}
	})
}
