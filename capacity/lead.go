package capacity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/descriptors"
)

// leadTTL is how long a leader that is lost goes on leading.
const leadTTL = 3 * time.Second

// leadership is the one slot whose lease the leader holds. It is renewed each tick.
func (c *Controller) leadership() buckets.Charge {
	return buckets.Charge{
		Key: tag + "leader", Limit: tag + "leader", Lease: c.replica, Cost: 1, OnStoreError: buckets.Fail,
		Bucket: buckets.Slots{Count: 1, TTL: leadTTL.Microseconds()},
	}
}

// lead takes the lead or keeps it, unless another replica has it.
func (c *Controller) lead(ctx context.Context) {
	outcomes, err := c.o.Store.Take(ctx, []buckets.Charge{c.leadership()})
	c.leads = err == nil && outcomes[0].Admitted
	if err == nil && !c.leads { // another leads; a store that did not answer in time says nothing
		clear(c.sources)
	}
	c.report("leader", err)
}

// resign gives up the lead, for the others to take at once.
func (c *Controller) resign(ctx context.Context) {
	if !c.leads {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	given := c.leadership()
	given.Mode = buckets.Refund
	_, _ = c.o.Store.Take(ctx, []buckets.Charge{given}) // else it ends with its lease
}

// following is what the leader remembers of a pool beside what is published.
type following struct {
	lost time.Duration // how long nothing has told of its instances
	sums *counts       // the fleet's at the last tick; nil: not known yet
}

// view is what is known of a pool's instances at a tick.
type view struct {
	source           Source
	units, instances int64
}

// govern computes the sizes of all pools that follow something, and publishes them.
func (c *Controller) govern(ctx context.Context, pools []descriptors.Pool, sums map[descriptors.PoolID]counts, elapsed time.Duration) error {
	version, published, err := c.o.Sizes.Read(ctx)
	if err != nil {
		return fmt.Errorf("read the sizes: %w", err)
	}
	_, live, err := c.o.Live.Read(ctx)
	if err != nil {
		return fmt.Errorf("read what is set by hand: %w", err)
	}
	hosts := c.askEnvoys(ctx, pools)
	set, remove := map[string][]byte{}, maps.Clone(published)
	var changes [][2]PoolState
	for _, p := range pools {
		name := sizePrefix + nameOf(p.PoolID)
		before, found := decode(published[name], p)
		h, f := hand(live, p.PoolID, time.Now())
		after := c.next(ctx, p, before, h, f, hosts, sums, elapsed)
		if !after.follows(p, h) {
			continue
		}
		delete(remove, name)
		if found && after == before {
			continue
		}
		raw, err := json.Marshal(after)
		if err != nil {
			return err
		}
		set[name] = raw
		changes = append(changes, [2]PoolState{before.of(p), after.of(p)})
	}
	if len(set)+len(remove) == 0 {
		return nil
	}
	names := make([]string, 0, len(remove))
	for name := range remove {
		names = append(names, name)
	}
	_, written, err := c.o.Sizes.Write(ctx, version, set, names, nil)
	if err != nil {
		return fmt.Errorf("publish the sizes: %w", err)
	}
	if !written {
		return errors.New("publish the sizes: another replica has published some meanwhile")
	}
	for _, change := range changes {
		c.o.Changed(change[0], change[1])
	}
	return nil
}

// next is the state of a pool after the tick.
func (c *Controller) next(ctx context.Context, p descriptors.Pool, before state, h *ByHand, f *frozen, hosts map[descriptors.PoolID]int64,
	sums map[descriptors.PoolID]counts, elapsed time.Duration,
) state {
	known := c.sources[p.PoolID]
	if known == nil {
		known = &following{}
		c.sources[p.PoolID] = known
	}
	after := before
	v, found := c.look(ctx, p, h, hosts)
	known.lost += elapsed
	switch i := p.Instances; {
	case found:
		known.lost = 0
		after.Source, after.Units, after.Instances = v.source, v.units, v.instances
		if v.source != Hand {
			after.Counted = v.units
		}
	case i != nil && i.StaleAfter > 0 && (known.lost > i.StaleAfter || before.Source == Fallback):
		after.Source, after.Units, after.Instances = Fallback, i.Min, 0
	case i != nil && before.Counted >= 0:
		after.Source, after.Units, after.Instances = Kept, before.Counted, 0
	default:
		after.Source, after.Units, after.Instances = Stated, p.Size, 0
	}
	after.Target = after.Units
	if p.Instances != nil {
		after.Target = clamp(p.Instances, after.Units)
	}
	after.Factor, after.Frozen = c.factor(p, before.Factor, f, known, sums), false
	if p.Feedback != nil {
		after.Frozen = feedback(p, f).Freeze
	}
	percent := int64(defStep)
	if p.Instances != nil {
		percent = p.Instances.Step
	}
	after.Level = step(before.Level, shrunk(after.Target, after.Factor), p.Size, percent, elapsed)
	after.Size = max(p.Least, after.Level/thousandths)
	return after
}

// look is what is known of a pool's instances: what is set by hand, else what they
// say themselves, else what Envoy says. It is not found where none of them says
// anything, for an instance that is lost and a source that is lost look alike when
// nobody is left.
func (c *Controller) look(ctx context.Context, p descriptors.Pool, h *ByHand, hosts map[descriptors.PoolID]int64) (v view, found bool) {
	if h != nil {
		return view{Hand, h.size(), h.Instances}, true
	}
	if p.Instances == nil {
		return v, false
	}
	units, number, err := c.count(ctx, p.PoolID)
	c.report("instances of "+nameOf(p.PoolID), err)
	if err == nil && number > 0 {
		return view{Heartbeats, units, number}, true
	}
	if healthy, told := hosts[p.PoolID]; told {
		return view{Envoy, healthy * p.Instances.UnitsEach, healthy}, true
	}
	return v, false
}

// factor is what failures leave of a pool.
func (c *Controller) factor(p descriptors.Pool, before int64, f *frozen, known *following, sums map[descriptors.PoolID]counts) int64 {
	if p.Feedback == nil {
		return whole
	}
	sum, told := sums[p.PoolID]
	if !told {
		known.sums = nil
		return before
	}
	var during counts
	if known.sums != nil {
		during = sum.minus(*known.sums) // of sums that began anew negative, which says nothing
	}
	known.sums = &sum
	return adjust(before, feedback(p, f), during)
}

// feedback is what a pool's rule says, with what an operator says of freezing.
func feedback(p descriptors.Pool, f *frozen) *descriptors.Feedback {
	b := *p.Feedback
	if f != nil {
		b.Freeze = f.Freeze
	}
	return &b
}

// askEnvoys asks for the healthy hosts of all pools that follow an Envoy's view; of
// one that does not answer there is none.
func (c *Controller) askEnvoys(ctx context.Context, pools []descriptors.Pool) map[descriptors.PoolID]int64 {
	var all sync.WaitGroup
	var mu sync.Mutex
	hosts := map[descriptors.PoolID]int64{}
	for _, p := range pools {
		if p.Instances == nil || p.Instances.EnvoyAdmin == "" {
			continue
		}
		all.Go(func() {
			n, err := healthy(ctx, c.client, p.Instances.EnvoyAdmin, p.Instances.Cluster)
			c.report("envoy of "+nameOf(p.PoolID), err)
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				hosts[p.PoolID] = n
			}
		})
	}
	all.Wait()
	return hosts
}
