package guard_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/guard"
	"github.com/weir-rls/weir/buckets/memory"
)

// mute is a store that never answers.
type mute struct{ storeFunc }

func (mute) Start([]buckets.Charge, buckets.Asker) {}

// One timer serves all: each caller leaves when his own time is over all the same,
// whether the one before him waits longer or shorter, or has left, or hung up.
func TestEachCallerLeavesWhenHisTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout, margin = 20 * time.Millisecond, 5 * time.Millisecond
		g := guard.New(guard.Options{Store: mute{}, Local: memory.New(memory.Options{}), Timeout: timeout, Observe: func(context.Context, time.Duration, error) {}})
		random := rand.New(rand.NewPCG(3, 4))
		var callers sync.WaitGroup
		for i := range 3000 {
			time.Sleep(time.Duration(random.IntN(2000)) * time.Microsecond)
			wait := time.Duration(1+random.IntN(30_000)) * time.Microsecond
			ctx, cancel := context.WithTimeout(t.Context(), wait+margin)
			want := min(wait, timeout)
			if i%5 == 0 { // who hangs up leaves then
				hangsUp := time.Duration(1+random.IntN(30_000)) * time.Microsecond
				time.AfterFunc(hangsUp, cancel)
				want = min(want, hangsUp)
			}
			callers.Go(func() {
				defer cancel()
				begun := time.Now()
				_, _ = g.Take(ctx, []buckets.Charge{charge("{a}", 1, buckets.Allow)})
				if left := time.Since(begun); left != want {
					t.Errorf("caller %d left after %v, want %v", i, left, want)
				}
			})
			if i%1000 == 999 { // and after all have left the timer starts anew
				callers.Wait()
				time.Sleep(time.Minute)
			}
		}
	})
}
