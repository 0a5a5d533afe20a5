package guard

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// The breaker's pace. Three good probes in a row close it, soon after each other, so
// that a store that stood still for a moment is missed for some 50 ms, and one that was
// away for 0.3 s after it is back.
const (
	mostFailures = 5
	goodProbes   = 3
	probeEvery   = 250 * time.Millisecond // while they fail, a quarter more or less
	probeAgain   = 10 * time.Millisecond  // after a good one
	mostSettling = time.Second            // before callers may ask again
)

// breaker keeps callers from waiting for a store that does not answer: the probe in the
// background waits for all of them.
type breaker struct {
	probe  func(context.Context) error // nil: the breaker never opens
	wait   time.Duration               // for a probe's answer
	settle func(context.Context) error // tells the store what was admitted without it

	failures atomic.Int32 // in a row
	begun    time.Time
	counted  atomic.Int64          // when a failure was last, in nanoseconds since begun
	open     atomic.Pointer[error] // why, nil: it is closed

	mu     sync.Mutex
	ending context.Context // of the probing
	end    context.CancelFunc
	work   sync.WaitGroup
}

func newBreaker(probe func(context.Context) error, wait time.Duration, settle func(context.Context) error) *breaker {
	b := &breaker{begun: time.Now(), probe: probe, wait: wait, settle: settle}
	b.ending, b.end = context.WithCancel(context.Background())
	return b
}

// err is what callers are told while the store is not asked, nil while it is.
func (b *breaker) err() error {
	if why := b.open.Load(); why != nil {
		return *why
	}
	return nil
}

// saw is told how a call ended that had its time.
//
// Calls that were under way together fail together where their connection is cut, which
// is one failure. Those that were waited for in vain count each: callers paid for them.
func (b *breaker) saw(err error, start time.Time) {
	switch {
	case b.probe == nil:
	case err == nil:
		if b.failures.Load() != 0 { // to read it costs nothing, to write it another processor's cache line
			b.failures.Store(0)
		}
	case !errors.Is(err, context.DeadlineExceeded) && int64(start.Sub(b.begun)) < b.counted.Load():
	case b.count() >= mostFailures:
		b.trip(fmt.Errorf("%w; it failed with: %w", ErrOpen, err))
	}
}

func (b *breaker) count() int32 {
	b.counted.Store(int64(time.Since(b.begun)))
	return b.failures.Add(1)
}

func (b *breaker) trip(why error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ending.Err() == nil && b.open.CompareAndSwap(nil, &why) {
		b.work.Go(b.run)
	}
}

// run probes until the store is well. Before it is asked again it is told what was
// admitted without it, as far as that does not take long: most of it is then known to the
// first request that it judges.
func (b *breaker) run() {
	for good, pause := 0, probeAgain; ; {
		select {
		case <-time.After(pause + rand.N(pause/2) - pause/4): // not all replicas at once
		case <-b.ending.Done():
			return
		}
		good, pause = good+1, probeAgain
		if err := b.ask(); err != nil {
			good, pause = 0, probeEvery
		}
		if good >= goodProbes && b.settledUp(mostSettling) {
			break
		}
	}
	b.failures.Store(0)
	b.open.Store(nil)
	b.settledUp(time.Minute)
}

// settledUp tells whether the store took what it was told, or all that there was time for.
func (b *breaker) settledUp(most time.Duration) bool {
	ctx, cancel := context.WithTimeout(b.ending, most)
	defer cancel()
	return b.settle(ctx) == nil
}

func (b *breaker) ask() error {
	ctx, cancel := context.WithTimeout(b.ending, b.wait)
	defer cancel()
	return b.probe(ctx)
}

func (b *breaker) close() {
	b.mu.Lock()
	b.end()
	b.mu.Unlock()
	b.work.Wait()
}
