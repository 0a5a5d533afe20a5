package guard_test

import (
	"context"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/guard"
)

// Other terms cut the level to what they allow, also where they refuse, so a refusal
// by the terms before is over.
func TestOtherTermsEndARefusal(t *testing.T) {
	d, c := newDenying(t), charge("{a}", 1, buckets.Allow)
	d.exhaust(c)
	half, b := c, c.Bucket.(buckets.TokenBucket)
	b.Capacity /= 2
	half.Bucket = b
	if d.ask(d.cache, half)[0].Admitted {
		t.Fatal("admitted by an empty bucket")
	}
	if !d.ask(d.cache, c)[0].Admitted {
		t.Error("the bucket has room, and is refused by what was known of it before")
	}
}

// While a refund is under way nobody knows whether the store has it already.
func TestNothingIsRememberedWhileARefundIsUnderWay(t *testing.T) {
	d, c := newDenying(t), charge("{a}", 1, buckets.Allow)
	d.exhaust(c)
	nothing := back(c)
	nothing.Cost = 0
	d.meanwhile = func() {
		d.ask(d.cache, c)
		d.ask(d.store, back(c)) // as if the refund under way took effect now
		if !d.ask(d.cache, c)[0].Admitted {
			t.Error("the refund is there, and refused by what was known before it")
		}
	}
	d.ask(d.cache, nothing)
}

// So it is while a bucket is being forgotten.
func TestNothingIsRememberedOfABucketBeingForgotten(t *testing.T) {
	d, c := newDenying(t), charge("{a}", 1, buckets.Allow)
	var cache *guard.DenyCache
	cache = guard.NewDenyCache(guard.DenyCacheOptions{Store: forgetful{Store: d.store, forget: func(ctx context.Context, keys []string) error {
		d.ask(cache, c) // refused before it is done
		return d.store.Forget(ctx, keys)
	}}})
	all := c
	all.Cost = c.Bucket.Size()
	d.ask(cache, all)
	if err := cache.Forget(t.Context(), []string{c.Key}); err != nil {
		t.Fatal(err)
	}
	if !d.ask(cache, c)[0].Admitted {
		t.Error("a refusal from before the bucket was forgotten refuses after it")
	}
}

// A refusal that was judged before a refund, and whose answer comes during or after
// it, must not be remembered.
func TestARefusalThatARefundOvertakesIsNotRemembered(t *testing.T) {
	c := charge("{a}", 1, buckets.Allow)
	refused := func(d *denying) { d.ask(d.cache, c) }
	refund := func(d *denying) { d.ask(d.cache, back(c)) }
	for name, run := range map[string]func(d *denying){
		"the refund comes and goes before the answer": func(d *denying) {
			d.meanwhile = func() { refund(d) }
			refused(d)
		},
		"refused before the refund is done, answered before it returns": func(d *denying) {
			// Another replica's refund stands for this one's taking effect in the store.
			d.ask(d.store, c) // refused, so that the refund below finds an empty bucket
			empty := back(c)
			empty.Cost = 0
			d.meanwhile = func() { refused(d); d.ask(d.store, back(c)) }
			d.ask(d.cache, empty)
		},
		"refused while the refund is under way, answered after it": func(d *denying) {
			d.meanwhile = func() {
				d.meanwhile = func() { d.ask(d.store, back(c)) }
				refused(d)
			}
			empty := back(c)
			empty.Cost = 0
			d.ask(d.cache, empty)
		},
		"the rules change before the answer": func(d *denying) {
			d.meanwhile = func() { d.ask(d.store, back(c)); d.cache.Drop() }
			refused(d)
		},
		"the bucket is forgotten before the answer": func(d *denying) {
			d.meanwhile = func() { _ = d.cache.Forget(d.Context(), []string{c.Key}) }
			refused(d)
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDenying(t)
			d.exhaust(c)
			d.clock.Advance(100 * time.Millisecond) // what the exhaustion left is over
			run(d)
			if !d.ask(d.cache, c)[0].Admitted {
				t.Error("a refusal from before the refund refuses after it")
			}
		})
	}
}

// What is not known to be refused by time alone, and by the bucket alone, is for the
// store, also beside a charge that is known to be refused.
func TestWhatElseTheCacheLeavesToTheStore(t *testing.T) {
	for name, change := range map[string]func(c *buckets.Charge){
		"a gate":            func(c *buckets.Charge) { c.Role = buckets.Gate },
		"a lease":           func(c *buckets.Charge) { c.Lease = "1" },
		"slots":             func(c *buckets.Charge) { c.Bucket = buckets.Slots{Count: 1, TTL: 1000} },
		"a look at another": func(c *buckets.Charge) { c.Key, c.Mode = "{b}", buckets.Look },
		"a bucket that begins to fill when it is asked": func(c *buckets.Charge) {
			b := c.Bucket.(buckets.TokenBucket)
			b.Missing = 1
			c.Key, c.Bucket = "{b}", b
		},
	} {
		d := newDenying(t)
		c := charge("{a}", 1, buckets.Allow)
		d.exhaust(c)
		changed := c
		change(&changed)
		alone := []buckets.Charge{changed}
		if changed.Key == "{b}" {
			alone = []buckets.Charge{c, changed}
		}
		before := d.asked
		if d.ask(d.cache, alone...); d.asked == before {
			t.Errorf("%s: the store was not asked", name)
		}
	}
}

// A verdict of another store than the one behind the guard is not the bucket's.
func TestARefusalWithoutTheStoreIsNotRemembered(t *testing.T) {
	asked := 0
	for name, outcome := range map[string]buckets.Outcome{"blind": {Delay: time.Second, Blind: true}, "alone": {Delay: time.Second, Alone: true}} {
		asked = 0
		cache := guard.NewDenyCache(guard.DenyCacheOptions{Store: storeFunc(func(context.Context, []buckets.Charge) ([]buckets.Outcome, error) {
			asked++
			return []buckets.Outcome{outcome}, nil
		})})
		for range 2 {
			_, _ = cache.Take(t.Context(), []buckets.Charge{charge("{a}", 1, buckets.Allow)})
		}
		if asked != 2 {
			t.Errorf("%s: the store was asked %d times, want 2", name, asked)
		}
	}
}
