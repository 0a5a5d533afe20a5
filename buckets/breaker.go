package buckets

import (
	"maps"
	"time"
)

// Breaker keeps requests from a service that fails. Closed, it admits everything
// and counts failures in a row; at Failures of them it opens and refuses
// everything for OpenFor; then, half-open, it admits Probes requests as a trial.
// When as many of them succeeded it closes, and when one fails it opens again
// (Nygard, Release It!, "Circuit Breaker").
//
// A request asks with a [Take] of cost 1 under a lease; its end is told with a
// [Settle] under the same lease, of cost 0 for a success and 1 for a failure, and
// with the Now of the take's outcome as At. What ends while the breaker is open
// says nothing, nor does what was admitted before it last closed: of 20 requests
// in flight 5 open it, and the other 15 do not open it again once a probe has
// closed it. A probe is told by its lease; one whose end is never told is given up
// after ProbeTTL.
type Breaker struct {
	Failures int64 // in a row, positive
	OpenFor  int64 // microseconds, positive
	Probes   int64 // at a time, positive
	ProbeTTL int64 // microseconds, positive
}

// manyCalls is the size of a closed breaker, more than can be in one request.
const manyCalls = 1 << 31

// breakerIdle is how long an untouched breaker remembers its state from when it is
// not open any more, and the age at which the end of a request says nothing more:
// so one from before an opening that was forgotten is not counted. Forgotten, it is
// closed: a service that fails less than once an hour never opens it, and one that
// nobody tries for an hour is asked by Failures requests instead of Probes. Longer
// would cost more than that: a client that rotates values and fails 1000 times a
// second fills a store with 3.6 million breakers in an hour, and 86 million in a day.
const breakerIdle = int64(time.Hour / time.Microsecond)

// circuit is what is kept of a breaker.
type circuit struct {
	failures  int64            // in a row, while closed
	closed    int64            // since when, if it was open before; else 0
	opened    int64            // open until this instant and half-open from then on; 0 is closed
	succeeded int64            // probes
	probes    map[string]int64 // leases that are out, and when they are given up
	touched   int64
}

func (k *circuit) clone() otherState {
	c := *k
	c.probes = maps.Clone(k.probes)
	return &c
}
func (k *circuit) empty() bool { return k.failures == 0 && k.opened == 0 && k.closed == 0 }

// Size, Unit, Full, Remaining and Deepest implement [Bucket]. A closed breaker is an empty
// level, an open one a full one, and a half-open one lacks the probes that it
// would admit.
func (b Breaker) Size() int64 { return manyCalls }

func (b Breaker) Unit() int64 { return 1 }

func (b Breaker) Full() int64 { return manyCalls }

func (b Breaker) Remaining(used int64) int64 { return max(0, manyCalls-used) }

func (b Breaker) Deepest() int64 { return manyCalls }

func (b Breaker) level(s *State, now int64) int64 {
	k, _ := s.other.(*circuit)
	if k == nil {
		return 0
	}
	b.recall(k, now)
	switch {
	case k.opened == 0:
		return 0
	case now < k.opened:
		return manyCalls
	}
	return manyCalls - max(0, b.Probes-k.succeeded-int64(len(k.probes)))
}

// recall brings k to now. No instant lies further ahead than it could under this
// breaker: times were shortened by a reload, or the clock went back. Where a reload
// wants no more probes than have succeeded, the trial is over: nothing else would
// end it.
func (b Breaker) recall(k *circuit, now int64) {
	k.closed = min(k.closed, now)
	if k.opened == 0 {
		return
	}
	k.opened = min(k.opened, now+b.OpenFor)
	for id, givenUp := range k.probes {
		if givenUp <= now {
			delete(k.probes, id)
		} else {
			k.probes[id] = min(givenUp, now+b.ProbeTTL)
		}
	}
	if now >= k.opened && k.succeeded >= b.Probes {
		*k = circuit{closed: now, touched: now}
	}
}

func (b Breaker) add(s *State, c *Charge, ticks, now int64) {
	k, _ := s.other.(*circuit)
	if k == nil || k.opened == 0 || now < k.opened || ticks == 0 {
		return // closed, or opened by what the same call told of an earlier request
	}
	if k.probes == nil {
		k.probes = map[string]int64{}
	}
	k.probes[c.Lease], k.touched = now+b.ProbeTTL, now
}

// give takes back a probe that was never made.
func (b Breaker) give(s *State, c *Charge, _, _ int64) {
	if k, _ := s.other.(*circuit); k != nil {
		delete(k.probes, c.Lease)
	}
}

func (b Breaker) settle(s *State, c *Charge, ticks, now int64) (lost int64) {
	k, _ := s.other.(*circuit)
	if k == nil {
		k = &circuit{}
		s.other = k
	}
	_, probe := k.probes[c.Lease]
	switch {
	case k.opened == 0 && (c.At == 0 || c.At >= max(k.closed, now-breakerIdle)):
		b.count(k, ticks > 0, now)
	case probe && now >= k.opened:
		b.tried(k, c.Lease, ticks > 0, now)
	}
	return 0
}

// count takes note of how a request ended that was admitted while closed.
func (b Breaker) count(k *circuit, failed bool, now int64) {
	switch {
	case failed && k.failures+1 >= b.Failures:
		*k = circuit{opened: now + b.OpenFor, touched: now}
	case failed:
		k.failures, k.touched = k.failures+1, now
	case k.failures > 0:
		k.failures, k.touched = 0, now
	}
}

// tried takes note of how a probe ended.
func (b Breaker) tried(k *circuit, lease string, failed bool, now int64) {
	switch {
	case failed:
		*k = circuit{opened: now + b.OpenFor, touched: now}
	case k.succeeded+1 >= b.Probes:
		*k = circuit{closed: now, touched: now}
	default:
		delete(k.probes, lease)
		k.succeeded, k.touched = k.succeeded+1, now
	}
}

func (b Breaker) delay(s *State, _, now int64) time.Duration {
	if k, _ := s.other.(*circuit); k != nil {
		return time.Duration(max(0, k.opened-now)) * time.Microsecond
	}
	return 0
}

func (b Breaker) reset(s *State, now int64) time.Duration { return b.delay(s, 0, now) }

func (b Breaker) until(s *State) int64 {
	if k, _ := s.other.(*circuit); k != nil {
		return max(k.opened, k.touched) + breakerIdle
	}
	return 0
}

// owe says nothing: a breaker that was forgotten is closed.
func (b Breaker) owe(*State, int64, int64) {}
