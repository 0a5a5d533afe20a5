package redis

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/weir-rls/weir/buckets"
)

// errSpans is what a reservation of buckets in several slots is answered. Who reserves
// has a single bucket: to give a reservation back is not to give tokens back.
var errSpans = errors.New("a request that may owe tokens has buckets in several hash slots of the Redis Cluster: ask for it without waiting")

// spans tells that the buckets of a request are in several slots.
func spans(charges []buckets.Charge) bool {
	for i := 1; i < len(charges); i++ {
		if slotOf(charges[i].Key) != slotOf(charges[0].Key) {
			return true
		}
	}
	return false
}

// split is a request whose buckets are in several slots of a Cluster, which no script
// call can span. Each slot's charges are a request of their own, all on their way at
// the same time. If one of them refuses, what the others took is given back at once.
//
// So no bucket ever admits more than it has. Between the two others may be refused
// for what is taken meanwhile; of a token bucket what refills meanwhile is lost, at most
// the cost, see [buckets.Charge.At]. What nobody can tell whether it was taken is not
// given back, and to give back is not tried again where it may have been done: then
// at most the cost is lost.
//
// A lease that the request held before is given back with what it took. What is settled
// of a bucket while tokens are taken that come back is written off sooner by as much.
type split struct {
	store   *Store
	charges []buckets.Charge
	asker   buckets.Asker
	groups  []*group
	open    atomic.Int32 // groups without an answer
}

// group is the charges of a request that are in one slot.
type group struct {
	whole   *split
	slot    uint16
	charges []buckets.Charge
	places  []int // of the charges in the request

	outcomes []buckets.Outcome
	err      error
}

// startSplit judges a request whose buckets are in several slots.
func (s *Store) startSplit(charges []buckets.Charge, asker buckets.Asker) error {
	for i := range charges {
		if charges[i].Role == buckets.Gate && i < len(charges)-1 {
			s.Start(charges[:i+1], &gated{store: s, charges: charges, gate: i, asker: asker})
			return nil
		}
	}
	whole := &split{store: s, charges: charges, asker: asker}
	for i := range charges {
		if charges[i].MayOwe != 0 {
			return errSpans
		}
		g := whole.of(slotOf(charges[i].Key))
		c := charges[i]
		if c.Role == buckets.Quota { // one that admits may be in another slot
			c.Role = buckets.Shadow
		}
		g.charges, g.places = append(g.charges, c), append(g.places, i)
	}
	var requests []request
	for _, g := range whole.groups {
		r, err := newRequest(g.charges, g)
		if err != nil {
			return err
		}
		requests = append(requests, r)
	}
	whole.open.Store(int32(len(requests)))
	return s.queue.add(requests...)
}

// of is the group of a slot.
func (w *split) of(slot uint16) *group {
	for _, g := range w.groups {
		if g.slot == slot {
			return g
		}
	}
	g := &group{whole: w, slot: slot}
	w.groups = append(w.groups, g)
	return g
}

// Answer implements [buckets.Asker].
func (g *group) Answer(outcomes []buckets.Outcome, err error) {
	g.outcomes, g.err = outcomes, err
	if g.whole.open.Add(-1) == 0 {
		g.whole.decide()
	}
}

// decide answers a request of which all groups are answered.
func (w *split) decide() {
	refused, err := w.verdict()
	if !refused && err == nil {
		w.asker.Answer(w.outcomes(false), nil)
		return
	}
	var all []*giveBack
	leases := false
	for _, g := range w.groups {
		if refunds, held := g.refunds(); len(refunds) > 0 {
			all = append(all, &giveBack{store: w.store, charges: refunds})
			leases = leases || held
		}
	}
	answer := func(failed error) {
		if err = errors.Join(err, failed); err != nil {
			w.asker.Answer(nil, err)
			return
		}
		w.asker.Answer(w.outcomes(true), nil)
	}
	if !leases {
		for _, b := range all {
			b.start()
		}
		answer(nil)
		return
	}
	// Who asks again under a lease that is about to be given back would be taken for
	// one who renews it, and then hold nothing. So he is not answered before.
	landing := &landing{then: answer}
	landing.open.Store(int32(len(all)))
	for _, b := range all {
		b.landing = landing
		b.start()
	}
}

// verdict tells that the request is refused, or the error where nobody knows. A group
// that failed decides nothing where another refuses, if it only asked.
func (w *split) verdict() (refused bool, err error) {
	quotas, met, only := false, false, true
	for _, g := range w.groups {
		for i, place := range g.places {
			c := &w.charges[place]
			switch {
			case g.err != nil:
				only = only && c.Asks()
			case !c.Asks():
			case c.Role == buckets.Enforce:
				refused = refused || !g.outcomes[i].Admitted
			case c.Role == buckets.Quota:
				quotas, met = true, met || g.outcomes[i].Admitted
			}
		}
		if err == nil {
			err = g.err
		}
	}
	switch {
	case err == nil:
		return refused || quotas && !met, nil
	case refused && only:
		return true, nil
	}
	return refused, fmt.Errorf("of buckets in %d hash slots: %w", len(w.groups), err)
}

// outcomes are those of all charges. Of a refused request they tell what is left once
// what was taken is given back, and nothing of a group that failed.
func (w *split) outcomes(refused bool) []buckets.Outcome {
	all := make([]buckets.Outcome, len(w.charges))
	for _, g := range w.groups {
		took := refused && g.took()
		for i, place := range g.places {
			switch {
			case g.err != nil:
				all[place] = buckets.Outcome{Admitted: true, Blind: true}
			case took:
				all[place] = g.without(i)
			default:
				all[place] = g.outcomes[i]
			}
		}
	}
	return all
}

// took tells that what the group admitted was taken.
func (g *group) took() bool {
	for i := range g.outcomes {
		c := &g.charges[i]
		if c.Asks() && c.Role == buckets.Enforce && !g.outcomes[i].Admitted {
			return false
		}
	}
	return g.err == nil
}

// holds tells that charge i took what it asked for.
func (g *group) holds(i int) bool {
	return g.charges[i].Mode == buckets.Take && g.outcomes[i].Admitted
}

// without is the outcome of charge i without what the group took.
func (g *group) without(i int) buckets.Outcome {
	o, c := g.outcomes[i], &g.charges[i]
	for j := range g.charges {
		other := &g.charges[j]
		if !g.holds(j) {
			continue
		}
		if other.Key == c.Key {
			o.Used = max(0, o.Used-other.Ticks())
		}
		if c.Class != nil && other.ClassKey == c.ClassKey && !g.outcomes[j].Borrowed {
			o.ClassUsed = max(0, o.ClassUsed-other.Ticks())
		}
	}
	switch b := c.Bucket.(type) {
	case buckets.TokenBucket:
		o.Reset = b.Refill(o.Used)
	case buckets.SlidingWindow:
		if o.Used == 0 {
			o.Reset = 0
		}
	}
	return o
}

// refunds give back what the group took, and tell whether there are leases among it.
func (g *group) refunds() (charges []buckets.Charge, leases bool) {
	if !g.took() {
		return nil, false
	}
	for i := range g.charges {
		c := g.charges[i]
		if !g.holds(i) || c.Cost == 0 && c.Lease == "" {
			continue
		}
		c.Mode, c.Role, c.At = buckets.Refund, buckets.Enforce, g.outcomes[i].Now
		if g.outcomes[i].Borrowed { // of the pool alone
			c.Class, c.ClassKey = nil, ""
		}
		charges, leases = append(charges, c), leases || c.Lease != ""
	}
	return charges, leases
}

// gated is a request with a gate and charges behind it that are in other slots. They
// are asked once the gate has admitted: what happens at most once may be lost
// between the two, and never happens twice.
type gated struct {
	store   *Store
	charges []buckets.Charge
	gate    int
	asker   buckets.Asker

	before []buckets.Outcome // with the gate's; nil: not judged yet
}

// Answer implements [buckets.Asker].
func (g *gated) Answer(outcomes []buckets.Outcome, err error) {
	switch {
	case err != nil:
		g.asker.Answer(nil, err)
	case g.before != nil:
		g.asker.Answer(append(g.before, outcomes...), nil)
	case !outcomes[g.gate].Admitted:
		passed := make([]buckets.Outcome, len(g.charges)-len(outcomes))
		for i := range passed {
			passed[i].Now = outcomes[g.gate].Now
		}
		g.asker.Answer(append(outcomes, passed...), nil)
	default:
		g.before = outcomes[:len(outcomes):len(outcomes)]
		g.store.Start(g.charges[g.gate+1:], g)
	}
}
