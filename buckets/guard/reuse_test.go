package guard

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/memory"
)

// collides is a store whose answer comes at the moment at which the caller hangs up.
type collides struct{ buckets.Store }

func (collides) Start(c []buckets.Charge, asker buckets.Asker) {
	go c[0].Bucket.(hangUp).now()
	go asker.Answer(make([]buckets.Outcome, len(c)), nil)
}

type hangUp struct {
	buckets.Bucket
	now context.CancelFunc
}

// A call serves another caller once both have left it, so a caller who hangs up must
// be gone from the deadlines before: else he takes the next one's deadline away.
func TestWhoHangsUpLeavesNothingAmongTheDeadlines(t *testing.T) {
	g := New(Options{Store: collides{}, Local: memory.New(memory.Options{}), Timeout: 50 * time.Millisecond, Observe: func(context.Context, time.Duration, error) {}})
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for range 30_000 {
				ctx, cancel := context.WithCancel(t.Context())
				_, _ = g.Take(ctx, []buckets.Charge{{Key: "{a}", Bucket: hangUp{now: cancel}, Cost: 1, OnStoreError: buckets.Allow}})
				cancel()
			}
		})
	}
	callers.Wait()
	time.Sleep(100 * time.Millisecond) // twice the time-out
	g.deadlines.mu.Lock()
	defer g.deadlines.mu.Unlock()
	if n := len(g.deadlines.calls); n > 0 {
		t.Errorf("%d calls are among the deadlines, and nobody waits", n)
	}
}
