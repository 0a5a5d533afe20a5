package stats

import "sync/atomic"

// A Counter only grows. It may be used by many at a time.
type Counter struct{ n atomic.Uint64 }

// Add counts n more.
func (c *Counter) Add(n uint64) { c.n.Add(n) }

// Value is what was counted since the start.
func (c *Counter) Value() uint64 { return c.n.Load() }

// Limit is what is counted of one limit, or of all that share a name.
type Limit struct {
	TotalHits               *Counter
	OverLimit               *Counter
	NearLimit               *Counter
	OverLimitWithLocalCache *Counter
	WithinLimit             *Counter
	ShadowMode              *Counter
	TotalNegativeHits       *Counter
}

// counted is a counter with its name, in two parts, so that the many of a limit share the
// first one in memory.
type counted struct {
	base, suffix string
	*Counter
}

func (c counted) name() string { return c.base + c.suffix }

// newLimit returns a limit and its counters, whose names begin with base.
func newLimit(base string) (*Limit, []counted) {
	all := new([7]Counter)
	l := &Limit{&all[0], &all[1], &all[2], &all[3], &all[4], &all[5], &all[6]}
	return l, []counted{
		{base, ".total_hits", l.TotalHits},
		{base, ".over_limit", l.OverLimit},
		{base, ".near_limit", l.NearLimit},
		{base, ".over_limit_with_local_cache", l.OverLimitWithLocalCache},
		{base, ".within_limit", l.WithinLimit},
		{base, ".shadow_mode", l.ShadowMode},
		{base, ".total_negative_hits", l.TotalNegativeHits},
	}
}
