package capacity

import (
	"context"
	"sync"

	"github.com/weir-rls/weir/descriptors"
)

// Tally adds to sums that the fleet shares. Its method speaks in built-in types, so
// that a store of buckets can be one.
type Tally interface {
	// Tally adds to the sums of a name and answers them. Sums that nobody asked for
	// during a minute may be forgotten, and begin at 0 again.
	Tally(ctx context.Context, name string, add []int64) (sums []int64, err error)
}

// OneReplica is the tally of a replica that shares its store with no other.
type OneReplica struct {
	mu   sync.Mutex
	sums map[string][]int64
}

// Tally implements [Tally].
func (m *OneReplica) Tally(_ context.Context, name string, add []int64) ([]int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sums == nil {
		m.sums = map[string][]int64{}
	}
	sums := make([]int64, len(add))
	copy(sums, m.sums[name])
	for i := range add {
		sums[i] += add[i]
	}
	m.sums[name] = sums
	return append([]int64(nil), sums...), nil
}

// counters are what this replica has seen since it last told the fleet.
type counters struct {
	mu sync.Mutex
	of map[descriptors.PoolID]*counts
}

func (t *counters) add(domain, pool string, more counts) {
	t.mu.Lock()
	defer t.mu.Unlock()
	id := descriptors.PoolID{Domain: domain, Name: pool}
	known := t.of[id]
	if known == nil {
		known = &counts{}
		t.of[id] = known
	}
	known.ended, known.bad, known.limited = known.ended+more.ended, known.bad+more.bad, known.limited+more.limited
}

// take is what was seen of all pools, which is then forgotten.
func (t *counters) take() map[descriptors.PoolID]*counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	taken := t.of
	t.of = map[descriptors.PoolID]*counts{}
	return taken
}

// Ended tells that a stream which a pool of the rules admitted has ended in a
// response status, 0 without one: its client has left.
func (c *Controller) Ended(domain, pool string, status int64) {
	failed, says := bad(status)
	if !says {
		return
	}
	seen := counts{ended: 1}
	if failed {
		seen.bad = 1
	}
	c.counts.add(domain, pool, seen)
}

// Refused tells that a pool of the rules has refused a request.
func (c *Controller) Refused(domain, pool string) { c.counts.add(domain, pool, counts{limited: 1}) }

// tally adds what this replica has seen to what the fleet has, and answers the
// leader the sums. What a store does not take is dropped: it may have been added.
func (c *Controller) tally(ctx context.Context, pools []descriptors.Pool) map[descriptors.PoolID]counts {
	seen, sums := c.counts.take(), map[descriptors.PoolID]counts{}
	var failed error
	for _, p := range pools {
		if p.Feedback == nil || seen[p.PoolID] == nil && !c.leads {
			continue
		}
		add := make([]int64, 3)
		if s := seen[p.PoolID]; s != nil {
			add = []int64{s.ended, s.bad, s.limited}
		}
		sum, err := c.o.Tally.Tally(ctx, nameOf(p.PoolID), add)
		if err == nil && len(sum) == len(add) {
			sums[p.PoolID] = counts{sum[0], sum[1], sum[2]}
		} else if err != nil {
			failed = err
		}
	}
	c.report("tally", failed)
	return sums
}
