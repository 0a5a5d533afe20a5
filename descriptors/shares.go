package descriptors

import "github.com/weir-rls/weir/buckets"

// Share is what one class may draw from its pool.
type Share struct {
	Pool  PoolID
	Class *Limit
	Split bool // there is a pool for each value of some entries, and no charge here
	// Charge is on the pool's bucket, of the size it has now; it costs nothing.
	Charge buckets.Charge
}

// Shares are those of all pools that somebody draws from, in order of domain and rule.
func (r *Rules) Shares() []Share {
	var all []Share
	for _, name := range r.names {
		d := r.domains[name]
		for _, l := range d.limits {
			if l.share == nil || l.share.pool.plan == nil || l.Disabled {
				continue
			}
			p := l.share.pool
			s := Share{Pool: p.plan.stated.PoolID, Class: l, Split: len(p.splitBy) > 0}
			if !s.Split {
				key := d.poolKey(p, &Request{Domain: name}, 0)
				s.Charge = l.ChargeOn(key, key+l.share.suffix)
			}
			all = append(all, s)
		}
	}
	return all
}
