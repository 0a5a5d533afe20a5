package waiting_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/waiting"
)

// The room has a bound beside those of the limits, for all that wait in it, however
// they do. Who comes beyond it is refused at once, with the delay, and takes nothing;
// the next finds a place when one is free.
func TestBound_MaxWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Int32
		r := waiting.New(waiting.Options{Store: memory.New(memory.Options{}), MaxWaiters: 3, Full: func() { full.Add(1) }})
		reserving, inLine := tokens(t, 1, time.Second, 1), slots(1, "first")
		call(t.Context(), r, 0, reserving)
		call(t.Context(), r, 0, inLine)
		var all sync.WaitGroup
		for _, c := range []buckets.Charge{reserving, reserving, slots(1, "second")} {
			all.Go(func() { call(t.Context(), r, time.Minute, c) })
			synctest.Wait()
		}
		if r.Waiting() != 3 || full.Load() != 0 {
			t.Fatalf("%d wait, %d are refused", r.Waiting(), full.Load())
		}
		start := time.Now()
		for i, c := range []buckets.Charge{reserving, slots(1, "third")} {
			o, waited, err := r.Take(t.Context(), []buckets.Charge{c}, waiting.Wait{Max: time.Minute, Waiters: 1000})
			if err != nil || o[0].Admitted || waited != 0 || time.Since(start) != 0 || i == 0 && o[0].Delay != 3*time.Second {
				t.Errorf("charge %d beyond the bound: %+v, %v after %v, want a refusal at once with the delay", i, o, err, time.Since(start))
			}
		}
		if full.Load() != 2 {
			t.Errorf("%d were told of, want 2", full.Load())
		}
		_, _, _ = r.Take(t.Context(), []buckets.Charge{reserving}, waiting.Wait{Max: time.Minute, Waiters: 2})
		if full.Load() != 2 {
			t.Error("who is refused for the bound of his limit counts as the room's")
		}
		elapse(1500 * time.Millisecond) // one got his token
		all.Go(func() { call(t.Context(), r, time.Minute, reserving) })
		synctest.Wait()
		if r.Waiting() != 3 {
			t.Errorf("%d wait, want the free place taken", r.Waiting())
		}
		r.Drain()
		all.Wait()
		empty(t, r)
	})
}
