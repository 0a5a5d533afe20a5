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
				ctx, cancel := context.WithCancel(t.Context())
				defer time.AfterFunc(leave, cancel).Stop()
				_, _ = newGuard(slow).Take(ctx, hold("gone"))
				elapse(100 * time.Millisecond)
				if o, err := held.Take(t.Context(), hold("next")); err != nil || !o[0].Admitted {
					t.Errorf("the slot of a caller who left is not free: %+v, %v", o, err)
				}
			})
		})
	}
}

// So do the tokens of a request whose end decides over them.
func TestTokensThatTheEndDecidesOverComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := memory.New(memory.Options{})
		slow := storeFunc(func(ctx context.Context, c []buckets.Charge) ([]buckets.Outcome, error) {
			elapse(30 * time.Millisecond)
			return held.Take(ctx, c)
		})
		daily := buckets.Charge{Key: "{a}", Bucket: buckets.FixedWindow{Limit: 1, Calendar: buckets.Calendar{Unit: buckets.CalendarDay}}, Cost: 1, Lease: "1"}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Millisecond, cancel)
		_, _ = newGuard(slow).Take(ctx, []buckets.Charge{daily})
		elapse(100 * time.Millisecond)
		if o, err := held.Take(t.Context(), []buckets.Charge{daily}); err != nil || !o[0].Admitted {
			t.Errorf("the token of a caller who left is not back: %+v, %v", o, err)
		}
	})
}

// Slots that were taken here while the store was away come back here too.
func TestSlotsOfAnOutageComeBackInMemory(t *testing.T) {
	local, broken := memory.New(memory.Options{}), true
	shared := memory.New(memory.Options{})
	g := guard.New(guard.Options{
		Local: local, Timeout: time.Second, Observe: func(context.Context, time.Duration, error) {},
		Store: storeFunc(func(ctx context.Context, c []buckets.Charge) ([]buckets.Outcome, error) {
			if broken {
				return nil, errDown
			}
			return shared.Take(ctx, c)
		}),
	})
	slot := buckets.Charge{Key: "{a}", Bucket: buckets.Slots{Count: 1, TTL: time.Hour.Microseconds()}, Cost: 1, Lease: "1"}
	admitted(t, g, slot)
	broken = false
	back := slot
	back.Mode = buckets.Refund
	admitted(t, g, back)
	broken = true
	if slot.Lease = "2"; !admitted(t, g, slot)[0] {
		t.Error("a slot of the last outage is still held in the next one")
	}
}

// And those of a caller who is still there stay his, however quickly the store
// answers.
func TestSlotsOfACallerWhoWaitsStay(t *testing.T) {
	held := memory.New(memory.Options{})
	g := guard.New(guard.Options{
		Store: held, Local: memory.New(memory.Options{}), Timeout: time.Second,
		Observe: func(_ context.Context, _ time.Duration, err error) {
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
