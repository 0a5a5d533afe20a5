package guard

import (
	"sync"
	"time"

	"github.com/weir-rls/weir/buckets"
)

const (
	// leaseLife is how long tokens that were taken ahead may be used. The rest is
	// given back then, so that other replicas do not miss it.
	leaseLife = 100 * time.Millisecond
	// leaseLasts is how long a lease is to last at the present demand.
	leaseLasts = 50 * time.Millisecond
	// leaseShare is the part of a burst, a hundredth, that all replicas together may
	// have taken ahead.
	leaseShare = 100
	// fewestLeased is how many requests a lease must be good for to be worth a call.
	fewestLeased = 8
	// largestDemand bounds sums of demand: more is never leased.
	largestDemand = buckets.MaxTicks
)

// lease is the tokens of one hot bucket that this replica has taken ahead.
type lease struct {
	key   string
	limit string

	mu     sync.Mutex
	bucket buckets.TokenBucket
	epoch  uint64 // of the rules by which somebody asked last who has these terms
	over   bool   // nobody finds it any more
	pulse  pulse

	left     int64         // tokens
	ends     time.Duration // when they are given back, 25 ms more or less
	fetching bool          // more of them

	// told is the latest outcome that the store told of the bucket, and heard when; of it
	// follow its level now, and how much may be taken ahead, level.
	told  buckets.Outcome
	heard time.Duration
	level int64 // whole tokens, 0: none, or unknown
}

// leasable tells whether a request may be answered with tokens taken ahead: one
// that takes at once from a bucket of its own, whose level nobody waits for.
func leasable(c *buckets.Charge) (buckets.TokenBucket, bool) {
	if c.Mode != buckets.Take || c.Role != buckets.Enforce || c.Cost < 1 || c.Exact || c.Class != nil || c.MayOwe != 0 {
		return buckets.TokenBucket{}, false
	}
	b, ok := c.Bucket.(buckets.TokenBucket)
	return b, ok && b.Ahead == 0 && b.Capacity >= fewestLeased*leaseShare
}

// charge takes n tokens ahead. While the store does not answer nothing is.
func (l *lease) charge(n int64) buckets.Charge {
	return buckets.Charge{Key: l.key, Limit: l.limit, Bucket: l.bucket, Cost: n, OnStoreError: buckets.Fail}
}

// take answers a request of cost tokens, and tells how many more are to be fetched,
// which the caller has to do. replicas is asked only where the lease runs short.
func (l *lease) take(b buckets.TokenBucket, cost int64, epoch uint64, now time.Duration, replicas func(time.Duration) int64) (o buckets.Outcome, answered bool, fetch int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || b != l.bucket { // its terms are its own, or the rules have changed
		return o, false, 0
	}
	l.epoch = epoch
	l.pulse.turn(now)
	l.pulse.now.requests++
	l.pulse.now.tokens = min(l.pulse.now.tokens+min(cost, b.Capacity+1), largestDemand)
	if cost <= l.left {
		l.left -= cost
		o, answered = l.outcome(now), true
	}
	if !l.fetching {
		fetch = l.lacks(now, replicas)
		l.fetching = fetch > 0
	}
	return o, answered, fetch
}

// lacks is how many tokens are to be fetched: so many that the lease
// lasts, but with those of all replicas at most half of what the bucket had when the
// store was asked last, and a hundredth of its burst. Three quarters are used by then,
// so that requests do not have to wait for it.
func (l *lease) lacks(now time.Duration, replicas func(time.Duration) int64) int64 {
	d := l.pulse.greatest()
	lasts, most := d.tokens/int64(heatWindow/leaseLasts), min(l.level/2, l.bucket.Capacity/leaseShare)
	if l.left > min(lasts, most)/4 {
		return 0
	}
	n := replicas(now)
	if n == 0 {
		return 0
	}
	want := min(lasts, most/n)
	if want < fewestLeased*(d.tokens/d.requests) || l.left > want/4 {
		return 0
	}
	return want - l.left
}

// outcome is what the store would tell, had it been asked for what was used of the
// lease: the tokens that are left in it are still the bucket's.
func (l *lease) outcome(now time.Duration) buckets.Outcome {
	b, passed := l.bucket, max(0, (now-l.heard)/time.Microsecond)
	o := buckets.Outcome{Admitted: true, Now: l.told.Now + int64(passed)}
	used := l.told.Used - (o.Now/b.Quantum-l.told.Now/b.Quantum)*b.TicksPerQuantum
	o.Used = max(0, used-l.left*b.TicksPerToken)
	o.Reset = b.Refill(o.Used)
	return o
}

// learn is told what the store answered to who takes from the bucket.
func (l *lease) learn(b buckets.TokenBucket, o *buckets.Outcome, now time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b == l.bucket && !o.Blind && !o.Alone {
		l.know(o, now)
	}
}

func (l *lease) know(o *buckets.Outcome, now time.Duration) {
	l.told, l.heard, l.level = *o, now, l.bucket.Remaining(o.Used)
}

// fetched is told what became of the wish for n tokens more, nil: nobody knows. Like
// sweep and end it tells how many tokens are to be given back.
func (l *lease) fetched(n int64, o *buckets.Outcome, asked, now time.Duration) (back int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fetching = false
	if o == nil || o.Blind || o.Alone {
		l.level = 0 // until the store tells another
		return 0
	}
	l.know(o, now)
	if !o.Admitted {
		return 0
	}
	l.left, l.ends = l.left+n, asked+leaseLife
	if l.over {
		back = l.empty()
	}
	return back
}

// empty takes the tokens that are left out of the lease.
func (l *lease) empty() int64 {
	left := l.left
	l.left = 0
	return left
}

// sweep ends what was not used in time, and tells whether nobody needs the lease any more. Tokens by rules that nobody has asked by since
// they changed are lost, a hundredth of the burst: to give them back by old terms could
// cut the bucket's level to what those allowed.
func (l *lease) sweep(epoch uint64, now time.Duration) (back int64, over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pulse.turn(now)
	if now >= l.ends {
		back = l.empty()
		if l.epoch != epoch {
			back = 0
		}
	}
	l.over = l.over || l.left == 0 && max(l.pulse.now.requests, l.pulse.earlier.requests) <= hotRequests
	return back, l.over
}

// end takes the lease out of use.
func (l *lease) end() (back int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	return l.empty()
}
