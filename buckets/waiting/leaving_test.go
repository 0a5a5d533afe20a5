package waiting_test

import (
	"context"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/waiting"
)

// fickle answers nobody who has left, as the guard does, though what he asked for
// was done.
type fickle struct {
	buckets.Store
	leave func() // while the store is asked
}

func (s fickle) Take(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
	outcomes, err := s.Store.Take(ctx, charges)
	if charges[0].Mode == buckets.Take {
		s.leave()
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return outcomes, err
}

// Who leaves while the store is asked for his reservation has it given back.
func TestW13_L5_WhoLeavesWhileTheStoreIsAskedBurnsNoToken(t *testing.T) {
	bucket, err := buckets.Terms{Tokens: 1, Period: time.Second, Capacity: 1, MaxWait: time.Hour}.TokenBucket()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	store := memory.New(memory.Options{Now: func() time.Time { return now }})
	charge := buckets.Charge{Key: "k", Limit: "l", Bucket: bucket, Cost: 1}
	if _, err := store.Take(t.Context(), []buckets.Charge{charge}); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		ctx, leave := context.WithCancel(t.Context())
		room := waiting.New(waiting.Options{Store: fickle{store, leave}})
		if _, _, err := room.Take(ctx, []buckets.Charge{charge}, waiting.Wait{Max: time.Hour, Waiters: 10}); err == nil {
			t.Fatal("who has left was answered")
		}
		room.Drain() // returns when what was reserved is given back
	}
	now = now.Add(time.Second)
	if outcomes, err := store.Take(t.Context(), []buckets.Charge{charge}); err != nil || !outcomes[0].Admitted {
		t.Errorf("%+v, %v: the token of the next second was burnt by who left", outcomes, err)
	}
}
