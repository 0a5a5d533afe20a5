package guard_test

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/guard"
	"github.com/weir-rls/weir/buckets/memory"
)

// Whoever connects and leaves at once must not empty a pool of slots: those of a
// call whose caller had left are given back when it is done.
func TestSlotsOfACallerWhoLeftComeBack(t *testing.T) {
	slots := buckets.Slots{Count: 1, TTL: time.Hour.Microseconds()}
	hold := func(lease string) []buckets.Charge {
		return []buckets.Charge{{Key: "{a}", Bucket: slots, Cost: 1, Lease: lease, OnStoreError: buckets.Allow}}
	}
	for name, leave := range map[string]time.Duration{"left": 3 * time.Millisecond, "timed out": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				held := memory.New(memory.Options{})
				slow := storeFunc(func(ctx context.Context, c []buckets.Charge) ([]buckets.Outcome, error) {
					elapse(30 * time.Millisecond)
					return held.Take(ctx, c)
				})
				ctx, cancel := context.WithTimeout(t.Context(), leave)
				defer cancel()
				_, _ = newGuard(slow).Take(ctx, hold("gone"))
				elapse(100 * time.Millisecond)
				if o, err := held.Take(t.Context(), hold("next")); err != nil || !o[0].Admitted {
					t.Errorf("the slot of a caller who left is not free: %+v, %v", o, err)
				}
			})
		})
	}
}

// And those of a caller who is still there stay his, however quickly the store
// answers.
func TestSlotsOfACallerWhoWaitsStay(t *testing.T) {
	held := memory.New(memory.Options{})
	g := guard.New(guard.Options{
		Store: held, Local: memory.New(memory.Options{}), Timeout: time.Second,
		Observe: func(_ time.Duration, err error) {
			if err != nil {
				t.Error(err)
			}
		},
	})
	const many = 20_000
	charge := buckets.Charge{Key: "{a}", Bucket: buckets.Slots{Count: many, TTL: time.Hour.Microseconds()}, Cost: 1}
	for i := range many + 1 {
		charge.Lease = strconv.Itoa(i)
		o, err := g.Take(t.Context(), []buckets.Charge{charge})
		if err != nil || o[0].Admitted != (i < many) {
			t.Fatalf("call %d: %+v, %v", i, o, err)
		}
	}
}
