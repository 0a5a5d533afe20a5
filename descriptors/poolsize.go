package descriptors

import (
	"maps"
	"time"
)

// PoolID names a pool.
type PoolID struct {
	Domain string `json:"domain"`
	Name   string `json:"pool"`
}

// Pool is what the rules say of a pool.
type Pool struct {
	PoolID
	Size      int64 // its capacity as stated, in tokens or slots
	Least     int64 // no smaller size leaves each class room for its heaviest request
	Slots     bool
	Instances *Instances // nil: its size does not follow its backends
	Feedback  *Feedback  // nil: its size does not follow failures
}

// Instances say how a pool's size follows the backends that live. Size is then the
// sum of their units, within Min and Max.
type Instances struct {
	UnitsEach  int64         // units of an instance that states none of its own
	Min, Max   int64         // of the pool's size
	Step       int64         // largest rise of the size in a second, percent of the size as stated
	StaleAfter time.Duration // a source that is lost this long counts for Min; 0: its last value is kept
	EnvoyAdmin string        // URL of an Envoy's admin interface that is asked for healthy hosts, empty: none
	Cluster    string        // of that Envoy
}

// Feedback says how a pool shrinks when what it admits fails: additive increase,
// multiplicative decrease (D.-M. Chiu and R. Jain, 1989).
type Feedback struct {
	BadPercent int64 // more failures than this shrink the pool
	MinPercent int64 // never below this part of its size
	Freeze     bool  // leave it as it is
}

// Feedback names the pool that the limit draws from if its size follows failures.
func (l *Limit) Feedback() (pool string, follows bool) {
	if l.share == nil || l.share.pool.plan == nil || l.share.pool.plan.stated.Feedback == nil {
		return "", false
	}
	return l.share.pool.plan.stated.Name, true
}

// Pools are the pools of all domains that somebody draws from, in order of domain
// and file.
func (r *Rules) Pools() []Pool {
	var pools []Pool
	for _, name := range r.names {
		for _, p := range r.domains[name].pools {
			pools = append(pools, p.plan.stated)
		}
	}
	return pools
}

// Resize gives pools another size than the rules state, in tokens or slots; their
// rates, and the guarantees and reserves of their classes, change in proportion.
// Tokens used stay used. A pool that is not named has the size that is stated, and
// none is made smaller than its [Pool.Least]. It holds for rules read later too.
func (s *Source) Resize(sizes map[PoolID]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sizes = maps.Clone(sizes)
	if rules := s.Rules(); rules != nil {
		rules.resize(s.sizes)
	}
}

// resize gives all pools their sizes. It does not wait for requests: those under
// way have the sizes of before.
func (r *Rules) resize(sizes map[PoolID]int64) {
	for _, d := range r.domains {
		for _, p := range d.pools {
			p.resize(sizes)
		}
	}
}

func (p *pool) resize(sizes map[PoolID]int64) {
	size, named := sizes[p.plan.stated.PoolID]
	if now := p.sized.Load(); !named || size == p.plan.stated.Size {
		p.sized.Store(nil)
	} else if now == nil || now.asked != size {
		p.sized.Store(p.plan.fit(size))
	}
}
