package guard_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/guard"
	"github.com/weir-rls/weir/buckets/memory"
)

// failing is a store that fails on demand, behind a guard with a breaker, in virtual time.
type failing struct {
	*testing.T
	guard  *guard.Guard
	down   atomic.Bool
	fault  error        // what it answers then, nil: nothing
	asked  atomic.Int32 // by requests
	probes atomic.Int32
	last   error // that the observer was told
}

func inFailing(t *testing.T, name string, run func(f *failing)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := &failing{T: t, fault: errDown}
			store := memory.New(memory.Options{})
			ask := func(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
				switch {
				case !f.down.Load():
					return store.Take(ctx, charges)
				case f.fault == nil:
					<-ctx.Done()
					return nil, ctx.Err()
				}
				return nil, f.fault
			}
			f.guard = guard.New(guard.Options{
				Store: storeFunc(func(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
					f.asked.Add(1)
					return ask(ctx, charges)
				}),
				Local: memory.New(memory.Options{}), Timeout: 10 * time.Millisecond,
				Observe: func(_ context.Context, _ time.Duration, err error) { f.last = err },
				Probe: func(ctx context.Context) error {
					f.probes.Add(1)
					_, err := ask(ctx, []buckets.Charge{charge("{probe}", 1, buckets.Fail)})
					return err
				},
				Outage: func(err error) bool { return !errors.Is(err, errBucket) },
			})
			run(f)
			f.guard.Close()
			elapse(2 * time.Second) // calls whose callers have left go on for one
		})
	})
}

var errBucket = errors.New("a bucket cannot be read")

// take asks n times and tells how often the store was, and how long it took.
func (f *failing) take(n int) (asked int, took time.Duration) {
	f.Helper()
	before, begun := f.asked.Load(), time.Now()
	for range n {
		if _, err := f.guard.Take(f.Context(), []buckets.Charge{charge("{a}", 1, buckets.Allow)}); err != nil {
			f.Fatal(err)
		}
	}
	synctest.Wait()
	return int(f.asked.Load() - before), time.Since(begun)
}

// Five callers in a row pay for a store that does not answer, and then nobody does.
func TestStoreBreaker_NobodyWaitsForAStoreThatIsDown(t *testing.T) {
	inFailing(t, "", func(f *failing) {
		f.down.Store(true)
		f.fault = nil
		if asked, took := f.take(5); asked != 5 || took != 50*time.Millisecond || f.guard.Open() != true {
			f.Errorf("the store was asked %d times in %v, open %v", asked, took, f.guard.Open())
		}
		if asked, took := f.take(1000); asked != 0 || took != 0 || !errors.Is(f.last, guard.ErrOpen) {
			f.Errorf("the store was asked %d times in %v, the observer was told %v", asked, took, f.last)
		}
		f.probes.Store(0)
		elapse(10 * time.Second)
		if n := f.probes.Load(); n < 30 || n > 50 { // every 260 ms, a quarter more or less
			f.Errorf("%d probes in 10 s", n)
		}
		f.take(1)
	})
}

// The store is asked again within a second of its return, and as soon as that when it
// only stood still for a moment.
func TestStoreBreaker_AsksAgainWhenTheStoreIsBack(t *testing.T) {
	for name, c := range map[string]struct{ away, within time.Duration }{
		"after a moment":     {5 * time.Millisecond, 50 * time.Millisecond},
		"after a while":      {time.Minute, 400 * time.Millisecond},
		"after coming twice": {100 * time.Millisecond, 400 * time.Millisecond},
	} {
		inFailing(t, name, func(f *failing) {
			f.down.Store(true)
			f.take(5)
			elapse(c.away)
			f.down.Store(false)
			if name == "after coming twice" { // one good probe is not enough
				for before := f.probes.Load(); f.probes.Load() == before; {
					elapse(time.Millisecond)
				}
				f.down.Store(true)
				elapse(50 * time.Millisecond)
				if !f.guard.Open() {
					f.Error("one good probe closed it")
				}
				f.down.Store(false)
			}
			elapse(c.within)
			f.down.Store(true)
			if f.take(1); f.guard.Open() {
				f.Error("what failed before counts again")
			}
			f.down.Store(false)
			if asked, _ := f.take(3); asked != 3 {
				f.Errorf("the store was asked %d of 3 times, %v after its return", asked, c.within)
			}
			before := f.probes.Load()
			if elapse(time.Minute); f.probes.Load() != before {
				f.Error("a store that answers is probed")
			}
		})
	}
}

// What is no outage does not open it: failures that an answer interrupts, callers who
// have less time than the store may take, and buckets that cannot be read, which a
// caller could name on purpose.
func TestStoreBreaker_StaysClosedForWhatIsNoOutage(t *testing.T) {
	inFailing(t, "not in a row", func(f *failing) {
		for range 100 {
			f.down.Store(true)
			f.take(4)
			f.down.Store(false)
			f.take(1)
		}
		if f.asked.Load() != 500 {
			f.Errorf("the store was asked %d times, want 500", f.asked.Load())
		}
	})
	inFailing(t, "impatient callers", func(f *failing) {
		f.down.Store(true)
		f.fault = nil
		for range 100 {
			ctx, cancel := context.WithTimeout(f.Context(), 14*time.Millisecond) // 5 are for the way back
			_, _ = f.guard.Take(ctx, []buckets.Charge{charge("{a}", 1, buckets.Allow)})
			cancel()
		}
		if f.asked.Load() != 100 {
			f.Errorf("the store was asked %d times, want 100", f.asked.Load())
		}
	})
	inFailing(t, "a bucket of another format", func(f *failing) {
		f.down.Store(true)
		f.fault = errBucket
		if asked, _ := f.take(100); asked != 100 {
			f.Errorf("the store was asked %d times, want 100", asked)
		}
	})
}

// A connection that is cut fails all calls on it, and says no more of the store than one
// call does. Calls one after the other that fail do.
func TestStoreBreaker_CallsThatFailTogetherAreOneFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := guard.New(guard.Options{
			Store: storeFunc(func(context.Context, []buckets.Charge) ([]buckets.Outcome, error) {
				elapse(time.Millisecond)
				return nil, errDown
			}),
			Local: memory.New(memory.Options{}), Timeout: 10 * time.Millisecond, Observe: func(context.Context, time.Duration, error) {},
			Probe: func(context.Context) error { return errDown },
		})
		defer g.Close()
		together := func(n int) {
			var callers sync.WaitGroup
			for range n {
				callers.Go(func() {
					if _, err := g.Take(t.Context(), []buckets.Charge{charge("{a}", 1, buckets.Allow)}); err != nil {
						t.Error(err)
					}
				})
			}
			callers.Wait()
		}
		for range 4 {
			together(100)
		}
		if g.Open() {
			t.Error("four cuts opened it")
		}
		if together(1); !g.Open() {
			t.Error("five failures one after the other did not open it")
		}
	})
}
