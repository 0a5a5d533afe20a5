// Package guard stands between the service and a store that can fail: it bounds
// how long a decision may wait for the store, and decides when the store does
// not answer.
package guard

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-rls/weir/buckets"
)

const (
	// margin is what a caller's deadline leaves for the answer's way back.
	margin = 5 * time.Millisecond

	// patience is how long a call to a store that is waited for may go on after its
	// caller was answered without it. To cut it off at the caller's 10 ms would close
	// its connection, and a new one, that needs several round trips until it can be
	// used, would not be ready within the next caller's 10 ms either.
	patience = time.Second

	// maxUnderWay bounds the calls that wait for the store: 4096 of them, with a
	// goroutine each if the store cannot be asked otherwise, hold some 40 MB. With
	// more the store is not keeping up, and the next caller is answered without it at
	// once.
	maxUnderWay = 4096

	// maxOwed is the same for calls that give back or settle: what is not given back
	// stays taken, and would keep the store busy with refusals.
	maxOwed = 4 * maxUnderWay
)

// ErrOpen is told to the observer of a call that was not made, because the store
// failed several times in a row and has not been seen to answer since.
var ErrOpen = errors.New("the bucket store is not asked until it answers again")

// ErrBusy is told to the observer of a call that did not reach the store,
// because too many are waiting for it.
var ErrBusy = errors.New("too many calls to the bucket store are under way")

// Options are a guard's settings. All are required up to Observe.
type Options struct {
	Store   buckets.Store                               // the shared store
	Local   buckets.Store                               // judges [buckets.Local] limits while the shared store does not answer
	Timeout time.Duration                               // how long a caller waits for the store
	Observe func(context.Context, time.Duration, error) // is told of every call whose caller did not leave, with its context

	// Probe asks the store whether it takes tokens. With it a store that failed five
	// times in a row is not asked any more until three probes were answered in time.
	// Outage tells which errors are the store's, not of what it was asked; nil: all.
	Probe  func(context.Context) error
	Outage func(error) bool
	// Replicas is how many replicas share the store, as far as this one knows. While it does
	// not answer each judges [buckets.Local] limits by its share. nil: one.
	Replicas func() int64
	// Strict lets a charge that settles or gives back fail its call too, if it asks for that:
	// its caller answers by what it is told. Otherwise those that ask alone do.
	Strict bool
	// Trace is what follows the call of a context, nil if nothing does; it may be nil itself.
	Trace func(context.Context) buckets.Trace
	// Degraded is told of each charge that was decided without the store, if not nil.
	Degraded func(buckets.OnStoreError)
}

// Guard is a store that always answers in time, unless a limit asks for an
// error.
type Guard struct {
	options   Options
	store     buckets.Starter
	underWay  atomic.Int64
	calls     sync.Pool // of *call
	deadlines *deadlines
	breaker   *breaker
	seen      *seen
	accounts  *accounts
}

var (
	_ buckets.Store     = (*Guard)(nil)
	_ buckets.Forgetter = (*Guard)(nil)
)

// New returns a guard.
func New(o Options) *Guard {
	g := &Guard{options: o, deadlines: newDeadlines(), seen: newSeen()}
	g.accounts = newAccounts(o.Local, g.seen)
	g.breaker = newBreaker(o.Probe, o.Timeout, g.settleUp)
	starter, ok := o.Store.(buckets.Starter)
	if !ok {
		starter = waiter{o.Store, max(patience, o.Timeout)}
	}
	g.store = starter
	return g
}

// Open tells that the store is not asked at present.
func (g *Guard) Open() bool { return g.breaker.err() != nil }

// Close ends the probing of a store that does not answer.
func (g *Guard) Close() { g.breaker.close() }

// Take asks the store and, when it fails or does not answer in time, each
// charge's [buckets.OnStoreError]. It returns the store's error only for a
// charge that asks for it, and the caller's own when the caller has left. A
// store that did not answer in time may still take the charges, so it is never
// asked again.
func (g *Guard) Take(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
	if gone := ctx.Err(); gone != nil {
		return nil, gone
	}
	trace := g.trace(ctx)
	if err := g.breaker.err(); err != nil {
		g.options.Observe(ctx, 0, err)
		failed(trace, err)
		return g.decideAlone(ctx, charges, err)
	}
	start := time.Now()
	wait := g.options.Timeout
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, deadline.Sub(start)-margin)
	}
	outcomes, err := g.ask(ctx, trace, start, wait, charges)
	if gone := ctx.Err(); err != nil && gone != nil {
		return nil, gone
	}
	g.options.Observe(ctx, time.Since(start), err)
	if err == nil || wait == g.options.Timeout && !errors.Is(err, ErrBusy) && (g.options.Outage == nil || g.options.Outage(err)) {
		g.breaker.saw(err, start)
	}
	if err != nil {
		failed(trace, err)
		return g.decideAlone(ctx, charges, err)
	}
	g.seen.note(charges, outcomes)
	g.handBackAlone(ctx, charges)
	return outcomes, nil
}

// trace is what follows the call of a context, if anything does.
func (g *Guard) trace(ctx context.Context) buckets.Trace {
	if g.options.Trace == nil {
		return nil
	}
	return g.options.Trace(ctx)
}

func failed(t buckets.Trace, err error) {
	if t != nil {
		t.Failed(err)
	}
}

// handBackAlone gives back in this process's memory too what may have been taken
// there while the store was away. It knows nothing of other leases.
func (g *Guard) handBackAlone(ctx context.Context, charges []buckets.Charge) {
	for i := range charges {
		_, slots := charges[i].Bucket.(buckets.Slots)
		if slots && charges[i].Mode == buckets.Refund {
			_, _ = g.options.Local.Take(ctx, charges[i:i+1]) // it fails only for too many charges
		}
	}
}
