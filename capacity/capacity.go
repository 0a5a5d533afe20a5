// Package capacity makes the sizes of pools follow what they stand for: the
// backends that live, what an operator sets, and how what a pool admits ends.
//
// Any replica can be told of an instance, a capacity or a stream's end. One of
// them, the leader, computes the sizes once a second and publishes them; all apply
// what is published, so that they judge alike, and keep it while nobody leads.
package capacity

import (
	"context"
	"crypto/rand"
	"net/http"
	"sync"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/records"
)

const (
	tick      = time.Second            // between two computations of the sizes
	patience  = 900 * time.Millisecond // for what one of them asks
	watchEach = 250 * time.Millisecond // how often each replica looks for other sizes
)

// Options are what a [Controller] works on. Only Failed and Changed may be nil.
type Options struct {
	Store buckets.Store // where instances and the leader hold leases; shared by the fleet
	// Live holds what is set by hand, beside what others keep there, and Sizes what
	// the leader has computed.
	Live, Sizes records.Records
	Tally       Tally
	Pools       func() []descriptors.Pool
	// Resize applies sizes in this replica, each time that others are published.
	Resize func(map[descriptors.PoolID]int64)
	// Changed is told on the leader of each pool whose state it has changed.
	Changed func(before, after PoolState)
	// Failed is told when a part of the work begins to fail and, with nil, when it
	// works again.
	Failed func(part string, err error)
}

// Controller makes the sizes of pools follow what they stand for.
type Controller struct {
	o       Options
	replica string // names the lease of the leader
	client  *http.Client
	counts  counters

	// What only Run uses.
	leads   bool
	sources map[descriptors.PoolID]*following
	failing map[string]bool

	mu sync.Mutex // of failing
}

// New makes a controller. It does nothing by itself before [Controller.Run].
func New(o Options) *Controller {
	if o.Changed == nil {
		o.Changed = func(PoolState, PoolState) {}
	}
	if o.Failed == nil {
		o.Failed = func(string, error) {}
	}
	o.Sizes = records.Keep(o.Sizes) // a store that was emptied must not bring back the stated sizes
	return &Controller{
		o: o, replica: rand.Text(), client: newClient(), sources: map[descriptors.PoolID]*following{}, failing: map[string]bool{},
		counts: counters{of: map[descriptors.PoolID]*counts{}},
	}
}

// Run applies the sizes that are published, and computes them while this replica
// leads, until ctx ends. Then it gives up the lead, so that another takes it at
// once.
func (c *Controller) Run(ctx context.Context) {
	var watching sync.WaitGroup
	watching.Go(func() {
		records.Watch(ctx, c.o.Sizes, watchEach, func(_ int64, all map[string][]byte) { c.o.Resize(sizesOf(all)) },
			func(err error) { c.o.Failed("sizes", err) })
	})
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	last := time.Now()
	for ctx.Err() == nil {
		now := time.Now()
		c.work(ctx, now.Sub(last).Round(tick/10)) // a ticker is early and late by turns
		last = now
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
	watching.Wait()
	c.resign(ctx)
	c.client.CloseIdleConnections()
}

// work is what is done each tick; elapsed is since the one before.
func (c *Controller) work(ctx context.Context, elapsed time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pools := c.o.Pools()
	if len(pools) == 0 { // nobody needs a leader, nor a lease in the store
		c.leads = false
		clear(c.sources)
		return
	}
	c.lead(ctx)
	sums := c.tally(ctx, pools)
	if !c.leads {
		return
	}
	c.report("publication", c.govern(ctx, pools, sums, elapsed))
}

// report tells Failed of a part that begins to fail or works again. A replica that
// is stopped fails in nothing.
func (c *Controller) report(part string, err error) {
	c.mu.Lock()
	changed := c.failing[part] != (err != nil)
	c.failing[part] = err != nil
	c.mu.Unlock()
	if changed {
		c.o.Failed(part, err)
	}
}

// find is a pool of the rules.
func (c *Controller) find(id descriptors.PoolID) (descriptors.Pool, error) {
	for _, p := range c.o.Pools() {
		if p.PoolID == id {
			return p, nil
		}
	}
	return descriptors.Pool{}, descriptors.ChangeFault{
		Field: "pool", Message: "the rules have no pool of this name in the domain that anybody draws from", Remedy: "name one of the rules' pools", Unknown: true,
	}
}
