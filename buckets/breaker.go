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
// [Settle] under the same lease, of cost 0 for a success and 1 for a failure.
// What ends while the breaker is open, or was admitted before it opened, says
// nothing. A probe whose end is never told is given up after ProbeTTL.
type Breaker struct {
	Failures int64 // in a row, positive
	OpenFor  int64 // microseconds, positive
	Probes   int64 // at a time, positive
	ProbeTTL int64 // microseconds, positive
}

// manyCalls is the size of a closed breaker, more than can be in one request.
const manyCalls = 1 << 31

// breakerIdle is how long an untouched breaker remembers its state.
const breakerIdle = int64(24 * time.Hour / time.Microsecond)

// circuit is what is kept of a breaker.
type circuit struct {
	failures  int64            // in a row, while closed
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
func (k *circuit) empty() bool { return k.failures == 0 && k.opened == 0 }

// Size, Unit, Full and Remaining implement [Bucket]. A closed breaker is an empty
// level, an open one a full one, and a half-open one lacks the probes that it
// would admit.
func (b Breaker) Size() int64 { return manyCalls }

func (b Breaker) Unit() int64 { return 1 }

func (b Breaker) Full() int64 { return manyCalls }

func (b Breaker) Remaining(used int64) int64 { return max(0, manyCalls-used) }

func (b Breaker) deepest() int64 { return manyCalls }

func (b Breaker) level(s *State, now int64) int64 {
	k, _ := s.other.(*circuit)
	if k == nil || k.opened == 0 {
		return 0
	}
	k.opened = min(k.opened, now+b.OpenFor) // shortened by a reload, or the clock went back
	for id, givenUp := range k.probes {
		if givenUp <= now {
			delete(k.probes, id)
		}
	}
	if now < k.opened {
		return manyCalls
	}
	return manyCalls - max(0, b.Probes-k.succeeded-int64(len(k.probes)))
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
	}
	_, probe := k.probes[c.Lease]
	switch failed := ticks > 0; {
	case k.opened == 0 && !failed:
		k.failures = 0
	case k.opened == 0:
		if k.failures++; k.failures >= b.Failures {
			*k = circuit{opened: now + b.OpenFor}
		}
	case !probe || now < k.opened:
		return 0
	case failed:
		*k = circuit{opened: now + b.OpenFor}
	case k.succeeded+1 >= b.Probes:
		*k = circuit{}
	default:
		k.succeeded++
		delete(k.probes, c.Lease)
	}
	k.touched = now
	s.other = k
	return 0
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
