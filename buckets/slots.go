package buckets

import (
	"maps"
	"time"
)

// Slots admit as much as is in flight at once: each charge holds its cost of them
// under its lease until the lease is given back, or until TTL is over, because a
// caller that crashed gives nothing back.
//
// To take a lease that is held renews it: the TTL begins anew and nothing more is
// taken. To give back a lease that is not held does nothing, so one that comes
// late never frees somebody else's slots. The zero Slots refuse everything.
type Slots struct {
	Count int64
	TTL   int64 // microseconds, positive
}

// leases is what is kept: who holds how many slots until when.
type leases struct {
	held    map[string]lease
	sum     int64
	soonest int64 // no lease expires before this
	latest  int64 // and none after this
}

type lease struct{ slots, expires int64 }

func (l *leases) clone() otherState {
	c := *l
	c.held = maps.Clone(l.held)
	return &c
}
func (l *leases) empty() bool { return len(l.held) == 0 }

// Size, Unit, Full, Remaining and Deepest implement [Bucket]; a tick is a slot.
func (b Slots) Size() int64 { return b.Count }

func (b Slots) Unit() int64 { return 1 }

func (b Slots) Full() int64 { return b.Count }

func (b Slots) Remaining(used int64) int64 { return max(0, b.Count-used) }

func (b Slots) Deepest() int64 { return b.Count }

func (b Slots) level(s *State, now int64) int64 {
	l, _ := s.other.(*leases)
	if l == nil {
		return 0
	}
	if l.soonest <= now {
		l.sweep(now)
	}
	if l.empty() {
		s.other = nil
		return 0
	}
	return l.sum
}

// sweep drops the leases that have expired.
func (l *leases) sweep(now int64) {
	soonest := l.latest
	for id, held := range l.held {
		if held.expires <= now {
			l.drop(id)
			continue
		}
		soonest = min(soonest, held.expires)
	}
	l.soonest = soonest
}

func (l *leases) drop(id string) {
	l.sum -= l.held[id].slots
	delete(l.held, id)
}

// holds tells that a lease is held, at the instant of s.
func (b Slots) holds(s *State, id string) bool {
	l, _ := s.other.(*leases)
	if l == nil {
		return false
	}
	_, held := l.held[id]
	return held
}

func (b Slots) add(s *State, c *Charge, ticks, now int64) {
	b.hold(s, c.Lease, ticks, now+b.TTL)
}

func (b Slots) hold(s *State, id string, slots, expires int64) {
	l, _ := s.other.(*leases)
	if l == nil {
		l = &leases{held: map[string]lease{}, soonest: expires}
		s.other = l
	}
	if held, renewed := l.held[id]; renewed {
		slots = held.slots
	} else {
		l.sum += slots
	}
	l.held[id] = lease{slots, expires}
	l.soonest, l.latest = min(l.soonest, expires), max(l.latest, expires)
}

func (b Slots) give(s *State, c *Charge, _, _ int64) {
	if b.holds(s, c.Lease) {
		s.other.(*leases).drop(c.Lease)
	}
}

// settle does nothing: what is in flight is known when it begins.
func (b Slots) settle(*State, *Charge, int64, int64) (lost int64) { return 0 }

// delay cannot be told: a slot is free when somebody gives it back.
func (b Slots) delay(*State, int64, int64) time.Duration { return 0 }

func (b Slots) reset(*State, int64) time.Duration { return 0 }

func (b Slots) until(s *State) int64 {
	if l, _ := s.other.(*leases); l != nil {
		return l.latest
	}
	return 0
}

func (b Slots) owe(s *State, until, now int64) {
	if lacks := b.Count - b.level(s, now); lacks > 0 {
		b.hold(s, "forgotten", lacks, until)
	}
}
