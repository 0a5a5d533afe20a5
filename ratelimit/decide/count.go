package decide

import (
	"context"

	"github.com/weir-rls/weir/buckets"
)

// call is one call to a store: charges that it judges at one instant.
type call struct {
	store   buckets.Store
	members []*met
}

// calls divides what a request asks of the stores, each store's in order. A call has so
// many charges as a store takes, and no bucket that is given back to meets another charge
// in it: the answer tells where a bucket stands in the end, from which the counts in
// between follow only if all that happened was counting.
func (s *Service) calls(all []met) []call {
	var made []call
	for _, second := range [...]bool{false, true} {
		var last *call
		for i := range all {
			m := &all[i]
			if m.known || s.perSecond(m) != second {
				continue
			}
			if last == nil || len(last.members) == buckets.MaxCharges || last.mixes(m) {
				store := s.options.Store
				if second {
					store = s.options.PerSecond
				}
				made = append(made, call{store, make([]*met, 0, min(len(all)-i, buckets.MaxCharges))})
				last = &made[len(made)-1]
			}
			last.members = append(last.members, m)
		}
	}
	return made
}

// mixes tells that a bucket would be given back to beside another charge.
func (c *call) mixes(m *met) bool {
	for _, earlier := range c.members {
		if earlier.charge.Key == m.charge.Key && (earlier.gives() || m.gives()) {
			return true
		}
	}
	return false
}

// take asks the store, and finds where each bucket stands after each of the charges.
func (c *call) take(ctx context.Context) error {
	if err := c.ask(ctx); err != nil {
		return err
	}
	for i, m := range c.members {
		m.after, m.left = m.outcome.Used, m.outcome.Reset
		for _, later := range c.members[i+1:] {
			if later.charge.Key == m.charge.Key {
				m.after -= later.counted()
			}
		}
		if !m.gives() {
			m.after = plus(max(0, m.after-m.counted()), m.charge.Cost)
		}
	}
	return nil
}

// ask asks the store.
func (c *call) ask(ctx context.Context) error {
	charges := make([]buckets.Charge, len(c.members))
	for i, m := range c.members {
		charges[i] = m.charge
	}
	outcomes, err := c.store.Take(ctx, charges)
	if err != nil {
		return err
	}
	for i, m := range c.members {
		m.outcome = outcomes[i]
	}
	return nil
}

// counted is how much of the charge its bucket counted.
func (m *met) counted() int64 { return m.charge.Ticks() - m.outcome.Lost }

// count counts the hits of all limits, in order, whatever becomes of the request.
func count(ctx context.Context, made []call) error {
	for i := range made {
		if err := made[i].take(ctx); err != nil {
			return err
		}
	}
	return nil
}
