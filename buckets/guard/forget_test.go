package guard_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/guard"
	"github.com/weir-rls/weir/buckets/memory"
)

// forgetful is a store that fails to forget on demand.
type forgetful struct {
	buckets.Store
	forget func(context.Context, []string) error
}

func (f forgetful) Forget(ctx context.Context, keys []string) error { return f.forget(ctx, keys) }

// What is reset must be fresh wherever it is judged next: a bucket that was also
// used up here, while the store was away, is forgotten here too, and where it was seen.
func TestForgetReachesBothStores(t *testing.T) {
	shared, local := memory.New(memory.Options{}), memory.New(memory.Options{})
	away := false
	g := guard.New(guard.Options{
		Local: local, Timeout: time.Second, Observe: func(context.Context, time.Duration, error) {},
		Store: forgetful{forget: shared.Forget, Store: storeFunc(func(ctx context.Context, c []buckets.Charge) ([]buckets.Outcome, error) {
			if away {
				return nil, errDown
			}
			return shared.Take(ctx, c)
		})},
	})
	all := charge("{a}", 10, buckets.Local)
	for _, away = range []bool{true, false} {
		if !admitted(t, g, all)[0] || admitted(t, g, all)[0] {
			t.Fatal("the bucket does not run empty")
		}
	}
	away = true
	if admitted(t, g, all)[0] {
		t.Fatal("the bucket is full again where the store is away")
	}
	if err := g.Forget(t.Context(), []string{"{a}"}); err != nil {
		t.Fatal(err)
	}
	for _, away = range []bool{true, false} {
		if !admitted(t, g, all)[0] {
			t.Errorf("the bucket is not fresh with the store away: %v", away)
		}
	}
}

// Whoever resets a level is told that the store did not do it, in bounded time.
func TestForgetTellsWhatTheStoreDidNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		stalled := newGuard(forgetful{forget: func(ctx context.Context, _ []string) error { <-ctx.Done(); return ctx.Err() }})
		if err := stalled.Forget(t.Context(), []string{"{a}"}); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("%v after %v, want that the store did not answer within a second", err, time.Since(start))
		}
		if err := newGuard(down).Forget(t.Context(), []string{"{a}"}); !errors.Is(err, guard.ErrCannotForget) {
			t.Errorf("%v of a store that cannot forget", err)
		}
	})
}
