package storetest

import (
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// breakerRule is a circuit breaker.
type breakerRule struct{ bucket buckets.Breaker }

// calls is how much a closed breaker admits: more than any request asks for.
const calls = 1 << 31

func (r breakerRule) String() string          { return fmt.Sprintf("%+v", r.bucket) }
func (r breakerRule) product() buckets.Bucket { return r.bucket }
func (r breakerRule) capacity() *big.Rat      { return tokens(calls) }
func (r breakerRule) deepest() *big.Rat       { return tokens(calls) }
func (r breakerRule) ticks() int64            { return 1 }
func (r breakerRule) quantum() int64          { return 1 }
func (r breakerRule) scale() int64            { return r.bucket.OpenFor }

// untold is the age at which a breaker does not count how a request ended, nor what
// it counted before.
var untold = time.Hour.Microseconds()

// circuit is where a breaker stands.
type circuit int

const (
	closed  circuit = iota
	tripped         // open until an instant, half-open from then on
)

type probe struct {
	lease   string
	givenUp int64
}

type breakerAccount struct {
	is        circuit
	inARow    int64 // failures, while closed
	since     int64 // it is closed, 0 if for ever
	until     int64 // open
	succeeded int64 // probes, while half-open
	out       []probe
	touched   int64
	halfOpen  bool // at the instant of recall
}

func (a *breakerAccount) same(b account) bool {
	other := b.(*breakerAccount)
	return a.is == other.is && a.inARow == other.inARow && a.since == other.since && a.until == other.until && a.succeeded == other.succeeded &&
		a.touched == other.touched && slices.Equal(a.out, other.out)
}

func (a *breakerAccount) onlySince() bool { return a.is == closed && a.inARow == 0 }

// remembers: since when it is closed matters until nothing from before is counted.
func (r breakerRule) remembers(is account) bool { return !is.(*breakerAccount).onlySince() }

func (r breakerRule) recall(written account, now int64) (is account, rewritten bool, forgot int64) {
	if written == nil {
		return nil, false, 0
	}
	a := *written.(*breakerAccount)
	if over := a.touched + untold; a.onlySince() && over <= now {
		return nil, false, over
	}
	notAfter := func(instant *int64, latest int64) {
		if *instant > latest {
			*instant, rewritten = latest, true
		}
	}
	notAfter(&a.since, now)
	if a.is == closed {
		return &a, rewritten, 0
	}
	notAfter(&a.until, now+r.bucket.OpenFor)
	a.halfOpen = now >= a.until
	var out []probe
	for _, p := range a.out {
		if p.givenUp <= now {
			forgot = max(forgot, p.givenUp)
			continue
		}
		notAfter(&p.givenUp, now+r.bucket.ProbeTTL)
		out = append(out, p)
	}
	a.out = out
	if a.halfOpen && a.succeeded >= r.bucket.Probes {
		return &breakerAccount{since: now, touched: now}, true, forgot
	}
	return &a, rewritten, forgot
}

func (r breakerRule) used(is account) *big.Rat {
	a, _ := is.(*breakerAccount)
	switch {
	case a == nil || a.is == closed:
		return new(big.Rat)
	case a.halfOpen:
		return tokens(calls - max(0, r.bucket.Probes-a.succeeded-int64(len(a.out))))
	}
	return tokens(calls)
}

func (a breakerAccount) withoutProbe(lease string) []probe {
	return slices.DeleteFunc(slices.Clone(a.out), func(p probe) bool { return p.lease == lease })
}

func (r breakerRule) take(is account, c *buckets.Charge, amount *big.Rat, now int64) account {
	if is == nil || !is.(*breakerAccount).halfOpen || amount.Sign() == 0 {
		return is // opened meanwhile, it sends no probe
	}
	a := *is.(*breakerAccount)
	a.out = append(a.withoutProbe(c.Lease), probe{c.Lease, now + r.bucket.ProbeTTL})
	a.touched = now
	return &a
}

// refund takes back a probe that was never made.
func (r breakerRule) refund(is account, c *buckets.Charge, _ *big.Rat, _ int64) account {
	if is == nil {
		return nil
	}
	a := *is.(*breakerAccount)
	a.out = a.withoutProbe(c.Lease)
	return &a
}

// settle tells how a request ended.
func (r breakerRule) settle(is account, c *buckets.Charge, amount *big.Rat, now int64) (account, *big.Rat) {
	a := breakerAccount{}
	if is != nil {
		a = *is.(*breakerAccount)
	}
	a.touched = now
	open := &breakerAccount{is: tripped, until: now + r.bucket.OpenFor, touched: now}
	failed := amount.Sign() > 0
	if a.is == closed {
		switch old := c.At != 0 && (c.At < a.since || now-c.At > untold); {
		case old, !failed && a.inARow == 0:
			return is, new(big.Rat)
		case !failed && a.since == 0:
			return nil, new(big.Rat)
		case !failed:
			a.inARow = 0
			return &a, new(big.Rat)
		case a.inARow+1 >= r.bucket.Failures:
			return open, new(big.Rat)
		}
		a.inARow++
		return &a, new(big.Rat)
	}
	rest := a.withoutProbe(c.Lease)
	switch {
	case len(rest) == len(a.out) || !a.halfOpen:
		return is, new(big.Rat) // not a probe: says nothing
	case failed:
		return open, new(big.Rat)
	case a.succeeded+1 >= r.bucket.Probes:
		return &breakerAccount{since: now, touched: now}, new(big.Rat)
	}
	a.out, a.succeeded = rest, a.succeeded+1
	return &a, new(big.Rat)
}

func (r breakerRule) delay(is account, _ *big.Rat, now int64) *big.Int { return r.reset(is, now) }

func (r breakerRule) reset(is account, now int64) *big.Int {
	if a, _ := is.(*breakerAccount); a != nil && a.is == tripped && a.until > now {
		return big.NewInt(a.until - now)
	}
	return new(big.Int)
}

func (r breakerRule) kept(written account, now int64) int64 {
	a := written.(*breakerAccount)
	return max(a.until-now, min(a.touched-now, 0)) + untold
}
