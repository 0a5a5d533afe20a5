package guard_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/guard"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/storetest"
)

// denying is a cache before a store in memory, on one virtual clock.
type denying struct {
	*testing.T
	cache *guard.DenyCache
	store *memory.Store
	clock *storetest.Clock
	asked int // calls that reached the store through the cache

	meanwhile func() // runs when the store has judged such a call, before the answer is there
}

func newDenying(t *testing.T) *denying {
	d := &denying{T: t, clock: storetest.NewClock()}
	d.store = memory.New(memory.Options{Now: d.clock.Now})
	d.cache = guard.NewDenyCache(guard.DenyCacheOptions{
		Store: forgetful{forget: d.store.Forget, Store: storeFunc(func(ctx context.Context, c []buckets.Charge) ([]buckets.Outcome, error) {
			d.asked++
			outcomes, err := d.store.Take(ctx, c)
			if then := d.meanwhile; then != nil {
				d.meanwhile = nil
				then()
			}
			return outcomes, err
		})},
		Now: func() time.Duration { return time.Duration(d.clock.Micros()) * time.Microsecond },
	})
	return d
}

// ask asks the cache, or another replica of the same store.
func (d *denying) ask(store buckets.Store, charges ...buckets.Charge) []buckets.Outcome {
	d.Helper()
	outcomes, err := store.Take(d.Context(), charges)
	if err != nil {
		d.Fatal(err)
	}
	return outcomes
}

// exhaust takes all there is of a bucket and has one more refused.
func (d *denying) exhaust(c buckets.Charge) {
	d.Helper()
	all := c
	all.Cost = c.Bucket.Size()
	if !d.ask(d.cache, all)[0].Admitted || d.ask(d.cache, c)[0].Admitted {
		d.Fatal("the bucket does not run empty")
	}
}

func back(c buckets.Charge) buckets.Charge {
	c.Mode = buckets.Refund
	return c
}

// deniable is a charge of one of each kind that is remembered, or of a pool.
func deniable(random *rand.Rand, key int) buckets.Charge {
	c := buckets.Charge{Key: fmt.Sprintf("{%d}", key), Cost: 1 + random.Int64N(3)}
	token := func(t buckets.Terms) buckets.TokenBucket {
		b, err := t.TokenBucket()
		if err != nil {
			panic(err)
		}
		return b
	}
	switch key {
	case 0:
		c.Bucket = token(buckets.Terms{Tokens: 30, Period: time.Second, Capacity: 5, MaxWait: 200 * time.Millisecond})
		c.MayOwe = c.Bucket.(buckets.TokenBucket).Ahead / 2 * random.Int64N(3)
	case 1: // a coarse clock: 10 tokens each time that its 10 ms are over
		c.Bucket = buckets.TokenBucket{Capacity: 12, TicksPerToken: 1, TicksPerQuantum: 10, Quantum: 10_000}
	case 2:
		c.Bucket = buckets.FixedWindow{Limit: 7, Calendar: buckets.Calendar{Length: 150 * time.Millisecond}}
	case 3:
		c.Bucket = buckets.SlidingWindow{Limit: 7, Window: 200_000, Parts: 7}
	case 4:
		class := int(random.Int64N(2))
		c.Bucket, c.ClassKey = token(buckets.Terms{Tokens: 40, Period: time.Second, Capacity: 10}), fmt.Sprintf("{4}:%d", class)
		c.Class = &buckets.Class{
			Guarantee: token(buckets.Terms{Tokens: 40 * int64(1+class), Period: 4 * time.Second, Capacity: 3}),
			Borrow:    class == 0, Keep: 3 * token(buckets.Terms{Tokens: 40, Period: time.Second, Capacity: 10}).TicksPerToken,
		}
	default:
		c.Bucket = token(buckets.Terms{Tokens: 50, Period: time.Second, Capacity: 5, Missing: 5})
	}
	return c
}

// What is answered without the store is what the store would have said, to the last
// tick: it would have refused, and whatever its level says is right. Takes of other
// replicas make no refusal wrong.
func TestARefusalFromTheCacheIsTheStoresOwn(t *testing.T) {
	for seed := range uint64(60) {
		random, d := rand.New(rand.NewPCG(seed, 1)), newDenying(t)
		local := 0
		for range 2000 {
			d.clock.Advance(time.Duration(random.ExpFloat64() * float64(time.Millisecond)))
			charges := make([]buckets.Charge, 0, 3)
			for range 1 + random.IntN(3) {
				c := deniable(random, random.IntN(6))
				if random.IntN(8) == 0 {
					c.Mode = buckets.Look
				}
				charges = append(charges, c)
			}
			if random.IntN(4) == 0 {
				for i := range charges {
					charges[i].MayOwe = 0
				}
				d.ask(d.store, charges...) // another replica, which learns nothing of this one
				continue
			}
			before := d.asked
			got := d.ask(d.cache, charges...)
			if d.asked > before {
				continue
			}
			local++
			d.checkRefused(charges, got)
		}
		if local < 60 {
			t.Errorf("seed %d: only %d of 2000 requests were answered by the cache", seed, local)
		}
	}
}

// checkRefused holds outcomes against what the store says, which takes nothing, as
// it refuses. Takes of other replicas can only make its delays longer.
func (d *denying) checkRefused(charges []buckets.Charge, got []buckets.Outcome) {
	d.Helper()
	refused := false
	for i, want := range d.ask(d.store, charges...) {
		switch {
		case got[i].Blind && got[i].Admitted && charges[i].Mode == buckets.Take:
		case got[i].Admitted || want.Admitted:
			d.Fatalf("the cache says %+v to charge %d of %+v, the store %+v", got[i], i, charges, want)
		case charges[i].Class == nil && got[i].Delay > want.Delay:
			d.Fatalf("the cache tells charge %d of %+v to wait %v, the store %v", i, charges, got[i].Delay, want.Delay)
		default:
			refused = true
		}
	}
	if !refused {
		d.Fatalf("nothing refuses %+v", charges)
	}
}

// hour is a bucket that stays empty.
func hour(t *testing.T) buckets.Charge {
	t.Helper()
	b, err := buckets.NewTokenBucket(1, time.Hour, 5)
	if err != nil {
		t.Fatal(err)
	}
	return buckets.Charge{Key: "{h}", Bucket: b, Cost: 1}
}

// An attack on a used-up bucket costs the store ten calls a second, however fast it
// is.
func TestC09_AnAttackOnAUsedUpBucketCostsNearlyNoCalls(t *testing.T) {
	d, c := newDenying(t), hour(t)
	d.exhaust(c)
	before := d.asked
	for range 10_000 {
		d.clock.Advance(100 * time.Microsecond)
		if d.ask(d.cache, c)[0].Admitted {
			t.Fatal("admitted")
		}
	}
	if asked := d.asked - before; asked > 11 {
		t.Errorf("%d of 10,000 requests in a second reached the store, want one each 100 ms", asked)
	}
	charges := []buckets.Charge{c}
	if allocated := testing.AllocsPerRun(100, func() { d.ask(d.cache, charges...) }); allocated > 1 {
		t.Errorf("a refusal from the cache allocates %v times, want the outcomes alone", allocated)
	}
}

// What this replica gives back is there at once, also if it was given back while a
// refusal was under way; what others give back is there within 100 ms.
func TestARefundEndsWhatIsKnown(t *testing.T) {
	d, c := newDenying(t), hour(t)
	d.exhaust(c)
	d.ask(d.cache, back(c))
	if !d.ask(d.cache, c)[0].Admitted {
		t.Error("a token that this replica gave back is refused")
	}
	d.ask(d.cache, c)
	d.ask(d.store, back(c)) // another replica
	d.clock.Advance(100*time.Millisecond - time.Microsecond)
	if d.ask(d.cache, c)[0].Admitted {
		t.Error("the cache knew of another replica's refund, so this test shows nothing")
	}
	d.clock.Advance(time.Microsecond)
	if !d.ask(d.cache, c)[0].Admitted {
		t.Error("a token that another replica gave back is refused for more than 100 ms")
	}
	d.meanwhile = func() { d.ask(d.cache, back(c)) } // after the refusal was judged, before it is known
	if d.ask(d.cache, c)[0].Admitted {
		t.Fatal("admitted by an empty bucket")
	}
	if !d.ask(d.cache, c)[0].Admitted {
		t.Error("a refusal that a refund overtook is believed")
	}
}

// A rule that changes, and a bucket that is forgotten, end it too.
func TestDropAndForgetEndWhatIsKnown(t *testing.T) {
	d, c := newDenying(t), hour(t)
	for name, end := range map[string]func(){
		"forget": func() {
			if err := d.cache.Forget(t.Context(), []string{c.Key}); err != nil {
				t.Fatal(err)
			}
		},
		"drop": func() { d.ask(d.store, back(c)); d.cache.Drop() },
	} {
		d.clock.Advance(24 * time.Hour)
		d.exhaust(c)
		if end(); !d.ask(d.cache, c)[0].Admitted {
			t.Errorf("after %s the bucket is still refused", name)
		}
	}
	d.clock.Advance(24 * time.Hour)
	d.exhaust(c)
	larger, err := buckets.NewTokenBucket(1, time.Hour, 50)
	if err != nil {
		t.Fatal(err)
	}
	if c.Bucket = larger; !d.ask(d.cache, c)[0].Admitted {
		t.Error("a raised limit is refused as the lower one was")
	}
}

// A refusal says nothing of another cost, of who waits, nor of requests that are more
// than takes.
func TestOtherRequestsPassTheCache(t *testing.T) {
	d, c := newDenying(t), hour(t)
	d.exhaust(c)
	for name, change := range map[string]func(*buckets.Charge){
		"another cost": func(c *buckets.Charge) { c.Cost = 2 },
		"who waits":    func(c *buckets.Charge) { c.MayOwe = 1 },
		"shadow":       func(c *buckets.Charge) { c.Role = buckets.Shadow },
		"quota":        func(c *buckets.Charge) { c.Role = buckets.Quota },
		"settlement":   func(c *buckets.Charge) { c.Mode = buckets.Settle },
		"refund":       func(c *buckets.Charge) { c.Mode = buckets.Refund },
	} {
		d.cache.Drop()
		d.ask(d.cache, c)
		other, before := c, d.asked
		change(&other)
		d.ask(d.cache, other)
		if d.asked == before {
			t.Errorf("%s was answered by what was known of a take of one", name)
		}
	}
}
