package waiting_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/waiting"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const day = 24 * time.Hour

var errDown = errors.New("connection refused")

// storeFunc is a store in front of a real one that is slow, fails or hangs on
// demand, which no real one does.
type storeFunc func(context.Context, []buckets.Charge) ([]buckets.Outcome, error)

func (f storeFunc) Take(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
	return f(ctx, charges)
}

// counted counts the calls to a store.
func counted(store buckets.Store, calls *atomic.Int64) buckets.Store {
	return storeFunc(func(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
		calls.Add(1)
		return store.Take(ctx, charges)
	})
}

func newRoom(store buckets.Store) *waiting.Room {
	return waiting.New(waiting.Options{Store: store})
}

// inTime runs a test in virtual time, with one room on a memory store, and looks
// at what the room remembers in the end.
func inTime(t *testing.T, test func(*testing.T, *waiting.Room, buckets.Store)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store := memory.New(memory.Options{})
		r := newRoom(store)
		test(t, r, store)
		empty(t, r)
	})
}

func empty(t *testing.T, rooms ...*waiting.Room) {
	t.Helper()
	synctest.Wait()
	for _, r := range rooms {
		if kept := r.Kept(); kept != 0 {
			t.Errorf("a room that nobody waits in remembers %d things", kept)
		}
	}
}

// tokens is a charge on a token bucket whose callers may wait for a day.
func tokens(t testing.TB, n int64, period time.Duration, burst int64) buckets.Charge {
	t.Helper()
	return terms(t, buckets.Terms{Tokens: n, Period: period, Capacity: burst, MaxWait: day})
}

func terms(t testing.TB, terms buckets.Terms) buckets.Charge {
	t.Helper()
	b, err := terms.TokenBucket()
	if err != nil {
		t.Fatal(err)
	}
	return buckets.Charge{Key: "{k}tokens", Limit: "tokens", Bucket: b, Cost: 1}
}

func slots(count int64, lease string) buckets.Charge {
	return buckets.Charge{Key: "{k}slots", Limit: "slots", Bucket: buckets.Slots{Count: count, TTL: day.Microseconds()}, Cost: 1, Lease: lease}
}

// verdict is what a caller was told, and when.
type verdict struct {
	outcomes []buckets.Outcome
	waited   time.Duration
	err      error
	after    time.Duration // since it asked
}

// passed tells that every enforced charge was admitted.
func (v verdict) passed() bool {
	for _, o := range v.outcomes {
		if !o.Admitted {
			return false
		}
	}
	return v.err == nil
}

// call asks and waits for the answer.
func call(ctx context.Context, r *waiting.Room, wait time.Duration, charges ...buckets.Charge) verdict {
	return callOf(ctx, r, waiting.Wait{Charge: len(charges) - 1, Max: wait, Waiters: 1_000_000}, charges...)
}

func callOf(ctx context.Context, r *waiting.Room, w waiting.Wait, charges ...buckets.Charge) verdict {
	start := time.Now()
	var v verdict
	v.outcomes, v.waited, v.err = r.Take(ctx, charges, w)
	v.after = time.Since(start)
	return v
}

// started asks in the background, after everybody before has asked.
func started(ctx context.Context, r *waiting.Room, wait time.Duration, charges ...buckets.Charge) <-chan verdict {
	synctest.Wait()
	answers := make(chan verdict, 1)
	go func() { answers <- call(ctx, r, wait, charges...) }()
	synctest.Wait()
	return answers
}

// giveBack ends what holds a slot, as the service does.
func giveBack(t *testing.T, r *waiting.Room, store buckets.Store, c buckets.Charge) {
	t.Helper()
	c.Mode = buckets.Refund
	if _, err := store.Take(t.Context(), []buckets.Charge{c}); err != nil {
		t.Fatal(err)
	}
	r.Released(c.Key)
}

// elapse lets virtual time pass.
func elapse(d time.Duration) { <-time.After(d) }
