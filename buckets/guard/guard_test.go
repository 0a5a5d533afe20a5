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

var errDown = errors.New("connection refused")

// storeFunc is a store that fails on demand, which no real one does.
type storeFunc func(context.Context, []buckets.Charge) ([]buckets.Outcome, error)

func (f storeFunc) Take(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
	return f(ctx, charges)
}

var down = storeFunc(func(context.Context, []buckets.Charge) ([]buckets.Outcome, error) { return nil, errDown })

// silent answers nothing until the call's context ends.
var silent = storeFunc(func(ctx context.Context, _ []buckets.Charge) ([]buckets.Outcome, error) {
	<-ctx.Done()
	return nil, ctx.Err()
})

// elapse lets virtual time pass, for calls under way too.
func elapse(d time.Duration) { <-time.After(d) }

func newGuard(shared buckets.Store) *guard.Guard {
	return guard.New(guard.Options{
		Store: shared, Local: memory.New(memory.Options{}), Timeout: 10 * time.Millisecond,
		Observe: func(context.Context, time.Duration, error) {},
	})
}

func charge(key string, cost int64, policy buckets.OnStoreError) buckets.Charge {
	bucket, err := buckets.NewTokenBucket(1, time.Hour, 10)
	if err != nil {
		panic(err)
	}
	return buckets.Charge{Key: key, Bucket: bucket, Cost: cost, OnStoreError: policy}
}

func admitted(t *testing.T, g *guard.Guard, charges ...buckets.Charge) []bool {
	t.Helper()
	outcomes, err := g.Take(t.Context(), charges)
	if err != nil {
		t.Fatal(err)
	}
	var out []bool
	for _, o := range outcomes {
		out = append(out, o.Admitted)
	}
	return out
}

func TestEachPolicyDecidesWhileTheStoreIsDown(t *testing.T) {
	g := newGuard(down)
	if got := admitted(t, g, charge("{a}", 1000, buckets.Allow)); !got[0] {
		t.Error("allow refused")
	}
	if got := admitted(t, g, charge("{a}", 1, buckets.Deny)); got[0] {
		t.Error("deny admitted")
	}
	if _, err := g.Take(t.Context(), []buckets.Charge{charge("{a}", 1, buckets.Fail)}); !errors.Is(err, errDown) {
		t.Errorf("error answered %v, want the store's own error", err)
	}
	for i, want := range []bool{true, false} { // 6 and 6 of 10
		if got := admitted(t, g, charge("{a}", 6, buckets.Local)); got[0] != want {
			t.Errorf("call %d on a local bucket: admitted %v, want %v", i, got[0], want)
		}
	}
}

func TestAVerdictWithoutTheStoreIsMarkedBlind(t *testing.T) {
	outcomes, err := newGuard(down).Take(t.Context(), []buckets.Charge{
		charge("{a}", 1, buckets.Allow), charge("{b}", 1, buckets.Local),
	})
	if err != nil || !outcomes[0].Blind || outcomes[1].Blind {
		t.Errorf("got %+v, %v: only the level of a locally judged bucket is known", outcomes, err)
	}
}

// All or nothing also holds without the store: what deny refuses must not be
// charged to the bucket beside it.
func TestADeniedRequestTakesNothingLocally(t *testing.T) {
	g := newGuard(down)
	if got := admitted(t, g, charge("{a}", 10, buckets.Local), charge("{b}", 1, buckets.Deny)); got[1] {
		t.Fatal("deny admitted")
	}
	if got := admitted(t, g, charge("{a}", 10, buckets.Local)); !got[0] {
		t.Error("the refused request was charged")
	}
}

func TestAShadowLimitNeverFailsACall(t *testing.T) {
	shadow := charge("{a}", 1, buckets.Fail)
	shadow.Role = buckets.Shadow
	if got := admitted(t, newGuard(down), shadow, charge("{b}", 1, buckets.Allow)); !got[1] {
		t.Error("a shadow limit decided over a request")
	}
}

func TestASilentStoreCostsNoMoreThanTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if got := admitted(t, newGuard(silent), charge("{a}", 1, buckets.Allow)); !got[0] {
			t.Error("allow refused")
		}
		if took := time.Since(start); took != 10*time.Millisecond {
			t.Errorf("the call took %v, want the timeout of 10ms", took)
		}
		elapse(time.Second)
	})
}

// An answer that comes after the caller's deadline is an error to Envoy, and
// admits: the verdict must be there before.
func TestG24_TheVerdictComesBeforeTheCallersDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := guard.New(guard.Options{
			Store: silent, Local: memory.New(memory.Options{}), Timeout: time.Second, Observe: func(context.Context, time.Duration, error) {},
		})
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		outcomes, err := g.Take(ctx, []buckets.Charge{charge("{a}", 1, buckets.Deny)})
		if err != nil || outcomes[0].Admitted {
			t.Errorf("got %+v, %v, want a refusal", outcomes, err)
		}
		if took := time.Since(start); took != 15*time.Millisecond {
			t.Errorf("the verdict came after %v, want 5ms before the caller's deadline", took)
		}
		elapse(time.Second)
	})
}

func TestACallerThatLeftIsNoFailureOfTheStore(t *testing.T) {
	for name, after := range map[string]time.Duration{"before the call": 0, "during the call": 3 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked atomic.Bool
				observed := false
				g := guard.New(guard.Options{
					Store: storeFunc(func(ctx context.Context, c []buckets.Charge) ([]buckets.Outcome, error) {
						asked.Store(true)
						return silent(ctx, c)
					}),
					Local: memory.New(memory.Options{}), Timeout: 10 * time.Millisecond,
					Observe: func(context.Context, time.Duration, error) { observed = true },
				})
				ctx, cancel := context.WithCancel(t.Context())
				if after == 0 {
					cancel()
				}
				time.AfterFunc(after, cancel)
				if _, err := g.Take(ctx, []buckets.Charge{charge("{a}", 1, buckets.Allow)}); !errors.Is(err, context.Canceled) {
					t.Errorf("got %v, want that the caller left", err)
				}
				if observed {
					t.Error("the store was blamed")
				}
				if asked.Load() != (after > 0) {
					t.Errorf("the store was asked: %v", asked.Load())
				}
				elapse(time.Second)
			})
		})
	}
}

// A call that was given up goes on, because a connection that is cut off has to
// be set up anew by somebody who has no more time either.
func TestACallOutlivesItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ended := make(chan error, 1)
		slow := storeFunc(func(ctx context.Context, _ []buckets.Charge) ([]buckets.Outcome, error) {
			select {
			case <-time.After(30 * time.Millisecond):
			case <-ctx.Done():
			}
			ended <- ctx.Err()
			return nil, ctx.Err()
		})
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := newGuard(slow).Take(ctx, []buckets.Charge{charge("{a}", 1, buckets.Allow)}); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := <-ended; err != nil || time.Since(start) != 30*time.Millisecond {
			t.Errorf("the call ended after %v with %v, want the 30ms that the store needs", time.Since(start), err)
		}
	})
}

// A store that hangs must not collect callers without bound, nor for ever.
func TestCallsUnderWayAreBoundedInNumberAndTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		var last atomic.Pointer[error]
		g := guard.New(guard.Options{
			Store: storeFunc(func(ctx context.Context, c []buckets.Charge) ([]buckets.Outcome, error) {
				calls.Add(1)
				return silent(ctx, c)
			}),
			Local: memory.New(memory.Options{}), Timeout: 10 * time.Millisecond,
			Observe: func(_ context.Context, _ time.Duration, err error) { last.Store(&err) },
		})
		const many = 5000
		for range many {
			go func() { _, _ = g.Take(t.Context(), []buckets.Charge{charge("{a}", 1, buckets.Allow)}) }()
		}
		synctest.Wait()
		bound := calls.Load()
		if bound >= many || bound == 0 {
			t.Fatalf("%d of %d calls wait for a store that hangs", bound, many)
		}
		start := time.Now()
		admitted(t, g, charge("{a}", 1, buckets.Allow))
		if err := *last.Load(); time.Since(start) != 0 || !errors.Is(err, guard.ErrBusy) {
			t.Errorf("one more call took %v and ended in %v, want an answer at once", time.Since(start), err)
		}
		elapse(2 * time.Second)
		admitted(t, g, charge("{a}", 1, buckets.Allow))
		if calls.Load() != bound+1 {
			t.Error("calls that hung keep new ones from the store for ever")
		}
		elapse(2 * time.Second)
	})
}

// The call runs in a goroutine of its own, where nobody else would recover.
func TestAPanicInTheStoreIsItsError(t *testing.T) {
	broken := storeFunc(func(context.Context, []buckets.Charge) ([]buckets.Outcome, error) { panic("a bug") })
	if got := admitted(t, newGuard(broken), charge("{a}", 1, buckets.Deny)); got[0] {
		t.Error("deny admitted")
	}
}

// Quotas are an OR: the request is refused when all of them are, and then takes
// nothing beside them; one that asks for an error gets it.
func TestQuotasWithoutTheStore(t *testing.T) {
	quota := func(policy buckets.OnStoreError) buckets.Charge {
		c := charge("{q}", 1, policy)
		c.Role = buckets.Quota
		return c
	}
	for i, c := range []struct {
		quotas []buckets.Charge
		taken  bool
	}{
		{[]buckets.Charge{quota(buckets.Deny), quota(buckets.Deny)}, false},
		{[]buckets.Charge{quota(buckets.Deny), quota(buckets.Allow)}, true},
	} {
		g := newGuard(down)
		admitted(t, g, append(c.quotas, charge("{a}", 10, buckets.Local))...)
		if got := admitted(t, g, charge("{a}", 1, buckets.Local)); got[0] == c.taken {
			t.Errorf("case %d: the bucket beside the quotas was taken from: %v, want %v", i, !got[0], c.taken)
		}
	}
	if _, err := newGuard(down).Take(t.Context(), []buckets.Charge{quota(buckets.Fail)}); !errors.Is(err, errDown) {
		t.Errorf("a quota that asks for an error got %v", err)
	}
}
