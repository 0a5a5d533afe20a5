package service

import (
	"context"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/waiting"
	"github.com/weir-rls/weir/descriptors"
)

// Bounds are how much one request may hold, and how much may be under way at a
// time. A request beyond one of them is answered with the verdict of
// [Options.AllowExcess], never with an error. 0 is no bound.
type Bounds struct {
	MessageBytes int // of a request in its wire form
	Descriptors  int
	Entries      int // of one descriptor
	KeyBytes     int // of one entry
	ValueBytes   int

	InFlight      int // requests that are being judged; those that wait for tokens are not among them
	InFlightBytes int // of all requests under way in their wire form, those that wait included
}

// bounded is b with the largest number for no bound.
func (b Bounds) bounded() Bounds {
	for _, n := range []*int{&b.MessageBytes, &b.Descriptors, &b.Entries, &b.KeyBytes, &b.ValueBytes, &b.InFlight, &b.InFlightBytes} {
		if *n == 0 {
			*n = math.MaxInt
		}
	}
	return b
}

// ofEntry is the bound that an entry is beyond which has so many before it in its
// descriptor.
func (b *Bounds) ofEntry(e *descriptors.Entry, before int) Bound {
	switch {
	case before >= b.Entries:
		return EntriesBound
	case len(e.Key) > b.KeyBytes:
		return KeyBound
	case len(e.Value) > b.ValueBytes:
		return ValueBound
	}
	return within
}

// of is the bound that a request is beyond, but for that of its wire form.
func (b *Bounds) of(r *descriptors.Request) Bound {
	if len(r.Descriptors) > b.Descriptors {
		return DescriptorsBound
	}
	for i := range r.Descriptors {
		for k := range r.Descriptors[i].Entries {
			if bound := b.ofEntry(&r.Descriptors[i].Entries[k], k); bound != within {
				return bound
			}
		}
	}
	return within
}

// Bound is one that a request is beyond.
type Bound uint8

const (
	within Bound = iota
	MessageBound
	DescriptorsBound
	EntriesBound
	KeyBound
	ValueBound
	LimitsBound // more limits than are judged in one step
	InFlightBound
	InFlightBytesBound
)

// String is the bound as a metric's label.
func (b Bound) String() string {
	return [...]string{
		"", "message_bytes", "descriptors", "entries", "key_bytes", "value_bytes", "limits", "in_flight", "in_flight_bytes",
	}[b]
}

// sheds tells that the same request would be judged at a quieter time.
func (b Bound) sheds() bool { return b == InFlightBound || b == InFlightBytesBound }

// shedFor is when who was shed is told to return, less the jitter: overload that
// lasts less is over by then, and a second of rest is a second of rest.
const shedFor = time.Second

// load is what is under way. It never allocates, and nothing waits for it.
type load struct{ calls, bytes atomic.Int64 }

// enter counts a call, and tells the bound that it is beyond, if any.
func (l *load) enter(c *call) Bound {
	calls, bytes := l.calls.Add(1), l.bytes.Add(int64(c.size))
	switch {
	case calls > int64(c.bounds.InFlight):
		return InFlightBound
	case bytes > int64(c.bounds.InFlightBytes):
		return InFlightBytesBound
	}
	return within
}

// hold makes room for another call: c waits for tokens from now on. Its bytes still
// count, as its memory does.
func (l *load) hold(c *call) {
	if !c.held {
		c.held = true
		l.calls.Add(-1)
	}
}

func (l *load) leave(c *call) {
	l.hold(c)
	l.bytes.Add(-int64(c.size))
}

// shed tells the bound that a request is beyond and may be refused for. What only
// gives back or settles is owed, and judged in any case: refused, its slots would
// stay taken and its costs uncharged, and the overload would last.
func (c *call) shed(loaded Bound) Bound {
	if c.beyond != within {
		return c.beyond
	}
	if loaded != within && !c.request.Asks() {
		return within
	}
	return loaded
}

// excess answers a request that is beyond a bound. For more descriptors than are
// allowed it carries no statuses: a caller must not make the answer large.
func (s *Service) excess(c *call, bound Bound, found *descriptors.Resolution) {
	s.options.Observe.Excess(bound)
	statuses := len(c.request.Descriptors)
	if statuses > c.bounds.Descriptors {
		statuses = 0
	}
	v := &c.verdict
	v.exceed(statuses, found, s.options.AllowExcess)
	if bound.sheds() {
		v.reason = "overload"
		s.spread(v)
	}
}

// settle does what a request that is not judged gives back or settles. The store's
// error is the guard's to count: nobody else could do anything about it.
func (s *Service) settle(ctx context.Context, rules *descriptors.Rules, request *descriptors.Request) {
	if !request.Settles() {
		return
	}
	found := rules.Resolve(request)
	found.Matches = slices.DeleteFunc(found.Matches, func(m descriptors.Match) bool { return m.Limit.Unlimited || m.Charge.Asks() })
	for matches := range slices.Chunk(found.Matches, buckets.MaxCharges) {
		charges := chargesOf(matches, false)
		outcomes, _, err := s.options.Room.Take(ctx, charges, waiting.Wait{})
		for i := range charges {
			s.options.Room.Released(charges[i].Key)
		}
		if err != nil {
			continue
		}
		var v verdict
		v.decide(len(request.Descriptors), &descriptors.Resolution{Matches: matches, Redaction: found.Redaction}, outcomes)
		s.observeVerdict(&v, request, 0, "")
		s.observeBreakers(rules, charges, outcomes)
	}
}
