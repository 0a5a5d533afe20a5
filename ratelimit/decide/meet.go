package decide

import (
	"math"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/ratelimit/stats"
)

// met is one limit that a descriptor meets, and what becomes of it.
type met struct {
	*descriptors.Match
	charge buckets.Charge // what its bucket is asked
	cost   int64          // of all its hits, whatever is asked
	hits   uint64         // for the statistics
	stats  *stats.Limit

	known   bool // the cache knows it to be over: its bucket is not asked
	exceeds bool // it would be over with its hits alone: asked only under StopIncrement
	over    bool // whatever its modes make of that
	outcome buckets.Outcome
	after   int64         // the count with the hits, of a limit in the reference's form
	left    time.Duration // until its window ends, or what was refused would be admitted
}

// gives tells that the limit is given back to.
func (m *met) gives() bool { return m.charge.Mode == buckets.Refund }

// shadow tells that the limit refuses nothing.
func (m *met) shadow() bool { return m.Charge.Role == buckets.Shadow }

// meet prepares what a request's matches are to be charged, in their order, and counts
// their hits. An unlimited match is left out.
func (s *Service) meet(request *descriptors.Request, matches []descriptors.Match) []met {
	all := make([]met, 0, len(matches))
	for i := range matches {
		m := met{Match: &matches[i]}
		if m.Limit.Unlimited {
			continue
		}
		d := &request.Descriptors[m.Descriptor]
		if m.hits = max(1, request.Hits); d.HasHits {
			m.hits = d.Hits
		}
		m.charge = chargeOf(m.Match)
		m.cost = m.charge.Cost
		if name := m.Limit.StatName(d.Entries); m.Limit.StatNameSent() {
			m.stats = s.options.Stats.Limit(m.Limit.Domain, name)
		} else {
			m.stats = s.options.Stats.RuleLimit(m.Limit.Domain, name)
		}
		if m.gives() {
			m.stats.TotalNegativeHits.Add(m.hits)
		} else {
			m.stats.TotalHits.Add(m.hits)
			if m.Limit.Reference {
				m.left, m.known = s.cache.over(m.charge.Key, m.Limit.Requests)
			}
		}
		all = append(all, m)
	}
	return all
}

// chargeOf is what a limit's bucket is asked. A limit in the reference's form counts
// all hits, whatever becomes of the request; 0 of them are counted too, and show where
// the limit stands. One of weir's own form takes what it admits and is refused alone.
func chargeOf(m *descriptors.Match) buckets.Charge {
	c := m.Charge
	switch {
	case !m.Limit.Reference:
		c.Role = buckets.Shadow
		return c
	case c.Mode == buckets.Look:
		c.Cost = 0
	}
	if c.Role = buckets.Enforce; c.Mode != buckets.Refund {
		c.Mode = buckets.Settle
	} else if window, ok := c.Bucket.(buckets.FixedWindow); ok {
		// A refund fills at most a full bucket. Here it may go back to nothing from
		// anything that was counted.
		c.Bucket = buckets.FixedWindow{Limit: buckets.MaxTicks, Calendar: window.Calendar}
	}
	return c
}

// perSecond tells that the limit's bucket is in the store for limits of a second.
func (s *Service) perSecond(m *met) bool {
	return s.options.PerSecond != nil && m.Limit.Reference && m.Limit.Unit == descriptors.Second
}

// plus is a sum of two numbers that are not negative, or the largest number.
func plus(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
