package guard_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/guard"
	"github.com/weir-rls/weir/buckets/memory"
)

// With as many calls at the store as may ask it, what gives back or settles still
// reaches it; but a store that hangs for ever does not fill the memory with them.
func TestOverload_WhatIsGivenBackReachesABusyStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked, owed, busy atomic.Int64
		g := guard.New(guard.Options{
			Store: storeFunc(func(ctx context.Context, c []buckets.Charge) ([]buckets.Outcome, error) {
				if c[0].Asks() {
					asked.Add(1)
				} else {
					owed.Add(1)
				}
				return silent(ctx, c)
			}),
			Local: memory.New(memory.Options{}), Timeout: 10 * time.Millisecond,
			Observe: func(_ context.Context, _ time.Duration, err error) {
				if errors.Is(err, guard.ErrBusy) {
					busy.Add(1)
				}
			},
		})
		send := func(n int, mode buckets.Mode) {
			for range n {
				c := charge("{a}", 1, buckets.Allow)
				c.Mode = mode
				go func() { _, _ = g.Take(t.Context(), []buckets.Charge{c}) }()
			}
			synctest.Wait()
		}
		send(5000, buckets.Take)
		if asked.Load() != 4096 || busy.Load() != 5000-4096 {
			t.Errorf("%d calls ask, %d are answered without the store", asked.Load(), busy.Load())
		}
		busy.Store(0)
		send(1000, buckets.Refund)
		send(1000, buckets.Settle)
		if owed.Load() != 2000 || busy.Load() != 0 {
			t.Errorf("%d of 2000 refunds and settlements reach the store, %d are answered without it", owed.Load(), busy.Load())
		}
		send(20_000, buckets.Refund)
		if got := asked.Load() + owed.Load(); got != 4*4096 {
			t.Errorf("%d calls wait for a store that hangs, want a bound of %d", got, 4*4096)
		}
		elapse(2 * time.Second)
	})
}
