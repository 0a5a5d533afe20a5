package capacity

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/descriptors"
)

const (
	// DefaultTTL is how long an instance counts that does not say how long.
	DefaultTTL = 30 * time.Second
	minTTL     = time.Second
	maxTTL     = 24 * time.Hour

	mostInstances = 10_000 // of a pool
	mostName      = 200    // bytes
)

// tag begins the keys of what a controller keeps: no domain's have a slash behind
// the brace, and one slot of a Redis cluster holds them all.
const tag = "{weir.capacity}/"

// An instance holds two leases of its name while it is alive: its units of one
// bucket, whose level is the sum of all, and one slot of another, whose level is
// how many there are. Both end when nobody renews them.
func (c *Controller) leases(id descriptors.PoolID, instance string, ttl time.Duration) (units, number buckets.Charge) {
	sum := sha256.Sum256([]byte(instance))
	lease := base64.RawURLEncoding.EncodeToString(sum[:])
	charge := func(kind string, most int64) buckets.Charge {
		key := tag + kind + "/" + nameOf(id)
		return buckets.Charge{
			Key: key, Limit: key, Lease: lease, OnStoreError: buckets.Fail,
			Bucket: buckets.Slots{Count: most, TTL: max(ttl, minTTL).Microseconds()},
		}
	}
	return charge("units", buckets.MaxTicks/2), charge("instances", mostInstances)
}

// Beat counts an instance of a pool's backends with its units for a time to live,
// in place of what it said before. 0 units are those that the rules give each
// instance, a ttl of 0 is [DefaultTTL]. What cannot be is a
// [descriptors.ChangeFault].
func (c *Controller) Beat(ctx context.Context, id descriptors.PoolID, instance string, units int64, ttl time.Duration) error {
	pool, err := c.follower(id, instance)
	if err != nil {
		return err
	}
	if units == 0 {
		units = pool.Instances.UnitsEach
	}
	if ttl == 0 {
		ttl = DefaultTTL
	}
	switch {
	case units < 0 || units > math.MaxUint32:
		return descriptors.ChangeFault{Field: "units", Message: fmt.Sprintf("%d is not between 1 and %d", units, uint32(math.MaxUint32)), Remedy: "leave it out for those that the rules state"}
	case ttl < minTTL || ttl > maxTTL:
		return descriptors.ChangeFault{Field: "ttl", Message: fmt.Sprintf("%v is not between %v and %v", ttl, minTTL, maxTTL), Remedy: "write three times the interval in which the instance reports, as in 30s"}
	}
	sum, number := c.leases(id, instance, ttl)
	sum.Cost, number.Cost = units, 1
	before := sum // a renewal would keep the units of before
	before.Mode = buckets.Refund
	outcomes, err := c.o.Store.Take(ctx, []buckets.Charge{number, before, sum})
	if err != nil {
		return fmt.Errorf("count the instance, which may or may not be counted now: %w", err)
	}
	if !outcomes[0].Admitted {
		return descriptors.ChangeFault{Message: fmt.Sprintf("%d instances of the pool are counted already", mostInstances), Remedy: "wait until some are gone"}
	}
	return nil
}

// Leave stops counting an instance, as one does that shuts down in order.
func (c *Controller) Leave(ctx context.Context, id descriptors.PoolID, instance string) error {
	if _, err := c.follower(id, instance); err != nil {
		return err
	}
	sum, number := c.leases(id, instance, 0)
	sum.Mode, number.Mode = buckets.Refund, buckets.Refund
	if _, err := c.o.Store.Take(ctx, []buckets.Charge{sum, number}); err != nil {
		return fmt.Errorf("stop counting the instance, which may or may not be counted now: %w", err)
	}
	return nil
}

// follower is a pool whose instances are counted.
func (c *Controller) follower(id descriptors.PoolID, instance string) (descriptors.Pool, error) {
	pool, err := c.find(id)
	switch {
	case err != nil:
		return pool, err
	case pool.Instances == nil:
		return pool, descriptors.ChangeFault{Field: "pool", Message: "the pool's size does not follow its instances", Remedy: "write instances: {units_each: 20, min: 20, max: 400} in its rule"}
	case instance == "" || len(instance) > mostName || !utf8.ValidString(instance):
		return pool, descriptors.ChangeFault{Field: "id", Message: fmt.Sprintf("an instance's name is a text of 1 to %d bytes", mostName), Remedy: "use a host name or address"}
	}
	return pool, nil
}

// count is the sum of the units of all instances that live, and their number.
func (c *Controller) count(ctx context.Context, id descriptors.PoolID) (units, number int64, err error) {
	sum, each := c.leases(id, "", 0)
	sum.Lease, each.Lease = "", ""
	sum.Mode, each.Mode = buckets.Look, buckets.Look
	outcomes, err := c.o.Store.Take(ctx, []buckets.Charge{sum, each})
	if err != nil {
		return 0, 0, fmt.Errorf("count the instances of %s: %w", id.Name, err)
	}
	return outcomes[0].Used, outcomes[1].Used, nil
}
