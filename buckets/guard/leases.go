package guard

import (
	"context"
	"hash/maphash"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-rls/weir/buckets"
)

const (
	// mostLeases bounds the keys with a lease. Beyond them keys are judged by the store.
	mostLeases = 1024
	sweepEvery = 25 * time.Millisecond
)

// LeasesOptions are the settings of [Leases]. Store and Replicas are required.
type LeasesOptions struct {
	Store buckets.Store
	// Replicas is how many replicas share the buckets at an instant of Now, 0: nobody
	// knows, and nothing is taken ahead.
	Replicas func(now time.Duration) int64
	// Now is a clock that never goes back, nil: this machine's. Only tests set it.
	Now func() time.Duration
}

// Leases is a store that takes tokens of hot token buckets ahead from the store behind
// and admits from them without asking it again. It never refuses anything itself.
//
// With N replicas, of which each has at most n tokens of a bucket of B ahead, N*n <= B/100,
// what is admitted in any time W is at most B + rate*W + N*n, and from the first
// request on never more than B + rate*W: tokens are taken before they are used. A replica
// that crashes loses what it had ahead. Where little is left of a bucket nothing is taken
// ahead; until what was is used or given back, 0.1 s, up to (N-1)*n tokens are where those who
// are refused do not see them.
//
// Requests of one charge are leased, that enforces, on token buckets for which nobody
// waits, of more than 500 requests a second.
type Leases struct {
	store    buckets.Store
	replicas func(time.Duration) int64
	now      func() time.Duration
	heat     heat
	epoch    atomic.Uint64 // of the rules
	answered atomic.Uint64

	leases atomic.Pointer[map[string]*lease] // never changed, but replaced
	mu     sync.Mutex                        // of who replaces it
	sweep  *time.Timer                       // runs while there are leases
	closed bool
	work   sync.WaitGroup // calls to the store that no request waits for
}

var (
	_ buckets.Store     = (*Leases)(nil)
	_ buckets.Forgetter = (*Leases)(nil)
)

// NewLeases returns a store without leases. It is to be closed.
func NewLeases(o LeasesOptions) *Leases {
	if o.Now == nil {
		start := time.Now()
		o.Now = func() time.Duration { return time.Since(start) }
	}
	l := &Leases{store: o.Store, replicas: o.Replicas, now: o.Now, heat: heat{seed: maphash.MakeSeed()}}
	l.leases.Store(&map[string]*lease{})
	l.sweep = time.AfterFunc(time.Hour, l.sweepAll)
	l.sweep.Stop()
	return l
}

// Answered is how many requests were admitted without the store.
func (l *Leases) Answered() uint64 { return l.answered.Load() }

// Held is how many keys have a lease.
func (l *Leases) Held() int { return len(*l.leases.Load()) }

// Drop is told that the rules have changed. Tokens of a bucket whose terms are others
// from then on are lost.
func (l *Leases) Drop() { l.epoch.Add(1) }

// Forget implements [buckets.Forgetter]. What is left of the leases is given back before.
func (l *Leases) Forget(ctx context.Context, keys []string) error {
	for _, key := range keys {
		if held := (*l.leases.Load())[key]; held != nil {
			l.giveBack(held, held.end())
		}
	}
	return forget(ctx, l.store, keys)
}

// Close gives back what is left of all leases, and takes nothing ahead any more.
func (l *Leases) Close() {
	l.mu.Lock()
	l.closed = true
	l.sweep.Stop()
	l.mu.Unlock()
	for _, held := range *l.leases.Load() {
		l.work.Go(func() { l.giveBack(held, held.end()) })
	}
	l.work.Wait()
}

// Take implements [buckets.Store].
func (l *Leases) Take(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
	if len(charges) != 1 {
		return l.store.Take(ctx, charges)
	}
	c := &charges[0]
	bucket, ok := leasable(c)
	if !ok {
		return l.store.Take(ctx, charges)
	}
	now := l.now()
	held := (*l.leases.Load())[c.Key]
	if held == nil && l.heat.count(c.Key, now) {
		held = l.open(c, bucket, now)
	}
	if held == nil {
		return l.store.Take(ctx, charges)
	}
	o, answered, fetch := held.take(bucket, c.Cost, l.epoch.Load(), now, l.replicas)
	if fetch > 0 { // after the request's own call, whose caller would be told that the tokens are gone
		defer l.fetch(held, fetch)
	}
	if answered {
		l.answered.Add(1)
		return []buckets.Outcome{o}, nil
	}
	outcomes, err := l.store.Take(ctx, charges)
	if err == nil {
		held.learn(bucket, &outcomes[0], l.now())
	}
	return outcomes, err
}

// open returns the lease of a hot key, which has no tokens yet, or nil if there are too
// many.
func (l *Leases) open(c *buckets.Charge, b buckets.TokenBucket, now time.Duration) *lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := *l.leases.Load()
	if held := before[c.Key]; held != nil || len(before) >= mostLeases {
		return held
	}
	held := &lease{key: strings.Clone(c.Key), limit: c.Limit, bucket: b, epoch: l.epoch.Load()}
	held.pulse.turn(now)
	held.pulse.now = demand{hotRequests, hotRequests * min(c.Cost, b.Capacity+1)}
	after := maps.Clone(before)
	after[held.key] = held
	l.leases.Store(&after)
	if len(before) == 0 {
		l.sweep.Reset(sweepEvery)
	}
	return held
}

// sweepAll gives back what was not used in time, and closes the leases that nobody needs.
func (l *Leases) sweepAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	leases, epoch, now := *l.leases.Load(), l.epoch.Load(), l.now()
	var still map[string]*lease
	for key, held := range leases {
		back, over := held.sweep(epoch, now)
		if back > 0 {
			l.work.Go(func() { l.giveBack(held, back) })
		}
		if over && still == nil {
			still = maps.Clone(leases)
		}
		if over {
			delete(still, key)
		}
	}
	if still != nil {
		l.leases.Store(&still)
		leases = still
	}
	if len(leases) > 0 {
		l.sweep.Reset(sweepEvery)
	}
}

// fetch takes n tokens more of a lease ahead. A store that did not answer in time may
// have taken them all the same: they are lost.
func (l *Leases) fetch(held *lease, n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.work.Go(func() {
		asked := l.now()
		c := held.charge(n)
		outcomes, err := l.store.Take(context.Background(), []buckets.Charge{c})
		var o *buckets.Outcome
		if err == nil {
			o = &outcomes[0]
		}
		l.giveBack(held, held.fetched(n, o, asked, l.now()))
	})
}

// giveBack gives n tokens back that were taken ahead, whenever that was: they were not used,
// and so may be used later, as [Leases] says. If the store does not answer they are lost.
func (l *Leases) giveBack(held *lease, n int64) {
	if n == 0 {
		return
	}
	c := held.charge(n)
	c.Mode = buckets.Refund
	_, _ = l.store.Take(context.Background(), []buckets.Charge{c})
}
