package service

import (
	"math"
	"math/bits"
	"slices"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/descriptors"
)

// verdict is the answer to a request before it takes Envoy's form.
type verdict struct {
	over     bool
	met      []met
	statuses []shown       // one a descriptor
	decisive *met          // the limit that refused, else the one with the lowest share left; nil if none was met
	reason   string        // why the request was refused
	waited   bool          // it was held before it was decided
	receipt  string        // what its end is to be told with, empty if that changes nothing
	tells    DegradedStyle // where it tells that the store was not asked
	jitter   time.Duration // how much later than needed a refused caller is told to return

	fallback  *descriptors.Response // what the caller sees of a refusal by no limit
	requestID string                // as the client sent it
	known     bool                  // the rules know the domain
	redaction descriptors.Redaction // of the domain
}

// met is one limit that the request met and what its bucket said.
type met struct {
	*descriptors.Match
	buckets.Outcome
	hopeless bool // it can never admit what the request asks of it, however long one waits
	refuses  bool // it is why the request does not pass
}

// shown is what a descriptor's status shows: one of the limits it met, or none.
type shown struct {
	*met
	over bool
}

// begin makes v that of a request about which nothing is known but what the rules
// found. It uses the memory of the verdict before.
func (v *verdict) begin(descriptors int, found *descriptors.Resolution) {
	*v = verdict{met: v.met[:0], statuses: slices.Grow(v.statuses[:0], descriptors)[:descriptors]}
	clear(v.statuses)
	v.fallback, v.requestID = found.Response, found.RequestID
	v.known, v.redaction = found.KnownDomain, found.Redaction
}

// forget lets go of all that v refers to, and keeps its memory.
func (v *verdict) forget() {
	clear(v.met[:cap(v.met)])
	clear(v.statuses[:cap(v.statuses)])
	*v = verdict{met: v.met[:0], statuses: v.statuses[:0]}
}

// decide makes v the verdict on a request that met limits, by the outcomes of
// those that have a bucket.
func (v *verdict) decide(count int, found *descriptors.Resolution, outcomes []buckets.Outcome) {
	v.begin(count, found)
	for i := range found.Matches {
		m := met{Match: &found.Matches[i]}
		if m.Limit.Unlimited {
			m.Admitted = true
		} else {
			m.Outcome, outcomes = outcomes[0], outcomes[1:]
		}
		v.met = append(v.met, m)
	}
	quotasRefuse := v.quotasRefuse()
	for i := range v.met {
		m := &v.met[i]
		m.hopeless = v.isHopeless(i)
		m.refuses = !m.Admitted && (m.Charge.Role == buckets.Enforce || m.Charge.Role == buckets.Quota && quotasRefuse)
		status := &v.statuses[m.Descriptor]
		if m.tellsMoreThan(status.met) {
			status.met = m
		}
		if m.tellsMoreThan(v.decisive) {
			v.decisive = m
		}
		if m.refuses {
			v.over, v.reason = true, "limit"
		}
		status.over = status.over || m.refuses || m.over()
	}
	if found.DenyUnmatched {
		for _, i := range found.Unmatched {
			v.statuses[i].over, v.over = true, true
			if v.reason == "" {
				v.reason = "unmatched"
			}
		}
	}
}

// exceed makes v the verdict on a request of excessive size.
func (v *verdict) exceed(statuses int, found *descriptors.Resolution, allow bool) {
	v.begin(statuses, found)
	v.over, v.reason = !allow, "excess"
	for i := range v.statuses {
		v.statuses[i].over = v.over
	}
}

// isHopeless tells that limit i, with what the request asks of the same bucket
// before it, is asked for more than it can ever admit.
func (v *verdict) isHopeless(i int) bool {
	if v.met[i].Admitted || v.met[i].Limit.Unlimited {
		return false
	}
	charges := make([]buckets.Charge, i+1)
	for j := range charges {
		charges[j] = v.met[j].Charge
	}
	return buckets.Hopeless(charges, i)
}

// quotasRefuse tells that the request met quotas and none of them admits it.
func (v *verdict) quotasRefuse() bool {
	quotas := false
	for i := range v.met {
		if v.met[i].Charge.Role == buckets.Quota && v.met[i].Charge.Asks() {
			if v.met[i].Admitted {
				return false
			}
			quotas = true
		}
	}
	return quotas
}

// over tells that the limit's own status is over, whether or not that refuses the
// request: a quota that is used up says so although another one has room.
func (m *met) over() bool { return !m.Admitted && m.Charge.Role == buckets.Quota }

// tellsMoreThan orders the limits that one status, or one set of headers, could
// show: what refuses before what admits, and of two that refuse the one that
// refuses longer; else what is enforced before what is in shadow mode, and the
// lower share left.
func (m *met) tellsMoreThan(other *met) bool {
	switch {
	case other == nil:
		return true
	case m.refuses != other.refuses:
		return m.refuses
	case m.refuses && m.Charge.Role == buckets.Quota && other.Charge.Role == buckets.Quota:
		return !m.hopeless && (other.hopeless || m.Delay < other.Delay) // one of them is enough
	case m.refuses && m.hopeless != other.hopeless:
		return m.hopeless
	case m.refuses:
		return m.Delay > other.Delay
	case m.Charge.Role != other.Charge.Role:
		return other.Charge.Role == buckets.Shadow
	}
	return m.showsLevel() && (!other.showsLevel() || m.lessLeft(other))
}

// showsLevel tells whether a number of remaining tokens means anything.
func (m *met) showsLevel() bool {
	_, breaker := m.Charge.Bucket.(buckets.Breaker)
	return !m.Limit.Unlimited && !m.Blind && !breaker
}

// timeless tells that nobody knows when the limit will admit, or be full: slots
// are free when they are given back.
func (m *met) timeless() bool { return m.Delay == 0 && m.Reset == 0 }

// lessLeft compares free/full of the two buckets without dividing.
func (m *met) lessLeft(other *met) bool {
	a, b := m.Charge.Bucket, other.Charge.Bucket
	mineHigh, mineLow := bits.Mul64(uint64(max(0, a.Full()-m.Used)), uint64(b.Full()))
	otherHigh, otherLow := bits.Mul64(uint64(max(0, b.Full()-other.Used)), uint64(a.Full()))
	return mineHigh < otherHigh || mineHigh == otherHigh && mineLow < otherLow
}

// remaining is the number of whole tokens left to show, 0 where the limit is
// over: Envoy shows the lowest of all statuses, and a refusal must be it.
func (m *met) remaining() int64 {
	if !m.Admitted {
		return 0
	}
	return m.Charge.Bucket.Remaining(m.Used)
}

// retryAfter is when the caller is told to return: when all limits that refused
// would admit the request, of quotas the first, or somewhat later. hope tells
// whether there is any such time.
func (v *verdict) retryAfter() (delay time.Duration, hope bool) {
	if v.reason == "overload" {
		return later(shedFor, v.jitter), true
	}
	var longest, quota time.Duration
	quotas := false
	for i := range v.met {
		m := &v.met[i]
		hopeless := m.hopeless || m.Blind
		switch {
		case !m.refuses:
		case m.Charge.Role == buckets.Quota:
			quotas = true
			if !hopeless && m.Delay > 0 && (quota == 0 || m.Delay < quota) {
				quota = m.Delay
			}
		case hopeless:
			return 0, false
		default:
			longest = max(longest, m.Delay)
		}
	}
	if quotas && quota == 0 {
		return 0, false
	}
	longest = max(longest, quota)
	if longest == 0 {
		return 0, false
	}
	return later(longest, v.jitter), true
}

func later(delay, jitter time.Duration) time.Duration {
	return delay + min(jitter, math.MaxInt64-delay)
}

// outcomeOf is what the metrics say of one limit.
func (v *verdict) outcomeOf(m *met) Outcome {
	switch {
	case m.Charge.Mode == buckets.Refund:
		return Refunded
	case m.Charge.Mode == buckets.Settle:
		return Settled
	case m.refuses:
		return Denied
	case !m.Admitted && m.Charge.Role == buckets.Quota:
		return QuotaDenied
	case !m.Admitted:
		return ShadowDenied
	case v.over:
		return NotCharged
	case v.waited && m.Limit.MaxWait > 0:
		return Waited
	case m.Borrowed:
		return Borrowed
	}
	return Allowed
}

// charged is how many tokens were taken for good, of a settlement without what was
// written off.
func (v *verdict) charged(m *met) int64 {
	switch {
	case m.Limit.Unlimited || m.Blind || !m.Admitted:
		return 0
	case m.Charge.Mode == buckets.Settle:
		return max(0, (m.Charge.Ticks()-m.Lost)/m.Charge.Bucket.Unit())
	case m.Charge.Mode == buckets.Take && !v.over:
		return m.Charge.Cost
	}
	return 0
}
