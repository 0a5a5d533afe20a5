package guard_test

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/guard"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/storetest"
)

// outage is replicas on one store that goes away on demand, in virtual time.
type outage struct {
	*testing.T
	down     atomic.Bool
	swallows atomic.Bool   // it applies what it is asked, and its answers are lost
	settling time.Duration // how long it takes to settle
	store    atomic.Pointer[memory.Store]
	degraded atomic.Int64 // charges of limits that are judged in memory, without the store
	replicas []*guard.Guard
}

func inOutage(t *testing.T, n int, run func(f *outage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &outage{T: t}
		f.store.Store(memory.New(memory.Options{}))
		take := func(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
			if f.down.Load() {
				return nil, errDown
			}
			if charges[0].Mode == buckets.Settle {
				elapse(f.settling)
			}
			outcomes, err := f.store.Load().Take(ctx, charges)
			if f.swallows.Load() {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return outcomes, err
		}
		for range n {
			f.replicas = append(f.replicas, guard.New(guard.Options{
				Store: storeFunc(take), Local: memory.New(memory.Options{}), Timeout: 10 * time.Millisecond,
				Observe: func(context.Context, time.Duration, error) {},
				Probe: func(ctx context.Context) error {
					_, err := take(ctx, []buckets.Charge{charge("{probe}", 0, buckets.Fail)})
					return err
				},
				Replicas: func() int64 { return int64(n) },
				Degraded: func(by buckets.OnStoreError) {
					if by == buckets.Local {
						f.degraded.Add(1)
					}
				},
			}))
		}
		defer func() {
			for _, g := range f.replicas {
				g.Close()
			}
			elapse(2 * time.Second) // calls whose callers have left go on for one
		}()
		run(f)
	})
}

// fail takes the store away, by calls that say nothing of the bucket under test.
func (f *outage) fail() {
	f.down.Store(true)
	for i := range f.replicas {
		for range 5 {
			f.take(i, charge("{other}", 0, buckets.Allow))
		}
		if !f.replicas[i].Open() {
			f.Fatal("the store is still asked")
		}
	}
}

// recover gives the store back and waits until all replicas ask it.
func (f *outage) recover() {
	f.down.Store(false)
	elapse(time.Second)
	for i := range f.replicas {
		if f.replicas[i].Open() {
			f.Fatal("the store is not asked")
		}
	}
}

func (f *outage) take(replica int, c buckets.Charge) buckets.Outcome {
	f.Helper()
	outcomes, err := f.replicas[replica].Take(f.Context(), []buckets.Charge{c})
	if err != nil {
		f.Fatal(err)
	}
	return outcomes[0]
}

// takes counts how many of n requests replica admits.
func (f *outage) takes(replica, n int, c buckets.Charge) (admitted int64) {
	f.Helper()
	for range n {
		if f.take(replica, c).Admitted {
			admitted++
		}
	}
	return admitted
}

func (f *outage) used(c buckets.Charge) int64 {
	f.Helper()
	c.Mode, c.Cost = buckets.Look, 0
	outcomes, err := f.store.Load().Take(f.Context(), []buckets.Charge{c})
	if err != nil {
		f.Fatal(err)
	}
	return (outcomes[0].Used + c.Bucket.Unit() - 1) / c.Bucket.Unit()
}

// Who has used up his limit does not get it anew from a store that goes away, and what
// he takes meanwhile is charged when it is back: of every kind of bucket.
func TestOutage_LevelsAreKnownBeforeAndAfter(t *testing.T) {
	hourly, err := buckets.NewTokenBucket(100, 1000*time.Hour, 100)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]buckets.Bucket{ // of slots see below
		"token bucket":   hourly,
		"fixed window":   buckets.FixedWindow{Limit: 100, Calendar: buckets.Calendar{Length: 1000 * time.Hour}},
		"sliding window": buckets.SlidingWindow{Limit: 100, Window: 1000 * 3600e6, Parts: 60},
	} {
		t.Run(name, func(t *testing.T) {
			inOutage(t, 2, func(f *outage) {
				c := buckets.Charge{Key: "{a}", Bucket: b, Cost: 1}
				if n := f.takes(0, 40, c); n != 40 || f.takes(1, 1, c) != 1 {
					t.Fatalf("%d of 40 were admitted", n)
				}
				f.take(0, c) // so that both have seen nearly the same
				f.fail()
				mine, others := f.takes(0, 100, c), f.takes(1, 100, c)
				if mine < 28 || mine > 30 || others < 28 || others > 30 {
					t.Errorf("without the store %d and %d were admitted, want each the half of what was left, 58", mine, others)
				}
				if n := f.degraded.Load(); n != 200 {
					t.Errorf("%d charges count as judged without the store, want 200", n)
				}
				f.recover()
				if used := f.used(c); used < 42+mine+others || used > 42+mine+others+2 {
					t.Errorf("the store counts %d used, want 42 and the %d and %d that were admitted without it", used, mine, others)
				}
				f.fail() // nothing is told twice
				f.recover()
				if used := f.used(c); used > 42+mine+others+2 {
					t.Errorf("the store counts %d used after another outage", used)
				}
			})
		})
	}
}

// Slots that are held in the store are taken of the shares too, until they are given back,
// whoever is told of that, or their time is over.
func TestOutage_SlotsHeldInTheStoreAreHeld(t *testing.T) {
	inOutage(t, 2, func(f *outage) {
		c := buckets.Charge{Key: "{a}", Bucket: buckets.Slots{Count: 10, TTL: 3600e6}, Cost: 1}
		hold := func(replica int, lease string, want bool) {
			t.Helper()
			c := c
			c.Lease = lease
			if o := f.take(replica, c); o.Admitted != want {
				t.Errorf("%s: %+v, want admitted %v", lease, o, want)
			}
		}
		release := func(replica int, lease string) {
			c := c
			c.Lease, c.Mode = lease, buckets.Refund
			f.take(replica, c)
		}
		early := c
		early.Key = "{b}"
		for i := range 8 {
			hold(i%2, string(rune('a'+i)), true)
			early.Lease = string(rune('a' + i))
			f.take(1, early)
		}
		f.take(0, buckets.Charge{Key: "{a}", Bucket: c.Bucket, Mode: buckets.Look})
		f.fail()
		for replica := range 2 {
			hold(replica, "one more", true)
			hold(replica, "and another", false)
		}
		release(0, "a")
		hold(0, "instead of a", true)
		hold(0, "too many", false)
		release(0, "one more")
		hold(0, "again", true)
		hold(1, "still too many", false)
		for _, lease := range []string{"b", "c", "d", "e", "f"} { // more than stand for them here
			release(0, lease)
		}
		for i := range 3 {
			hold(0, string(rune('A'+i)), true)
		}
		hold(0, "more than a share", false)
		elapse(2 * time.Hour)
		for i := range 5 {
			hold(1, string(rune('a'+i)), true)
		}
		hold(1, "more than a share", false)
		if n := f.takes(1, 1, early); n != 1 {
			t.Error("slots are held that were seen longer ago than their time")
		}
		early.Lease = "another"
		early.Cost = 4
		if !f.take(1, early).Admitted {
			t.Error("slots are held that were seen longer ago than their time")
		}
	})
}

// What has recovered meanwhile is not owed: the example of [accounts.close]. The other
// replica's half refills for nobody.
func TestOutage_WhatHasRefilledIsNotOwed(t *testing.T) {
	for _, passed := range []time.Duration{0, 2 * time.Second, 5 * time.Second, time.Minute} {
		inOutage(t, 2, func(f *outage) {
			c := buckets.Charge{Key: "{a}", Bucket: bucketOf(10, 100), Cost: 1}
			f.takes(0, 40, c)
			f.fail()
			f.takes(0, 20, c)
			elapse(passed)
			f.down.Store(false)
			for f.replicas[0].Open() || f.replicas[1].Open() {
				elapse(time.Millisecond)
				passed += time.Millisecond
			}
			refilled := int64(passed / (100 * time.Millisecond))
			unasked, share := max(0, 40-refilled), max(0, 40+2*20-refilled)
			if used, want := f.used(c), unasked+(share-unasked)/2; used < want-1 || used > want+1 {
				t.Errorf("%v later %d tokens are used, want about %d", passed, used, want)
			}
		})
	}
}

// A store that takes and whose answers are lost may have charged what is then admitted
// without it: that is not told it again.
func TestOutage_WhatMayHaveBeenChargedIsNotChargedAgain(t *testing.T) {
	inOutage(t, 1, func(f *outage) {
		c := buckets.Charge{Key: "{a}", Bucket: charge("", 0, 0).Bucket, Cost: 1} // 10
		f.take(0, c)
		f.swallows.Store(true)
		if n := f.takes(0, 5, c); n != 5 || !f.replicas[0].Open() {
			t.Fatalf("%d were admitted, open %v", n, f.replicas[0].Open())
		}
		if n := f.takes(0, 2, c); n != 2 {
			t.Fatalf("%d more were admitted", n)
		}
		f.swallows.Store(false)
		f.recover()
		if used := f.used(c); used != 8 {
			t.Errorf("the store counts %d used, want the 6 that it charged itself and 2", used)
		}
	})
}

// A single answer that comes late admits nobody whose limit is used up, whatever an earlier
// one that came late has left in this replica's memory.
func TestOutage_OneLateAnswerAdmitsNobodyWhoWasRefused(t *testing.T) {
	inOutage(t, 1, func(f *outage) {
		c := buckets.Charge{Key: "{a}", Bucket: charge("", 0, 0).Bucket, Cost: 1} // 10
		late := func(want bool) {
			t.Helper()
			f.swallows.Store(true)
			o := f.take(0, c)
			f.swallows.Store(false)
			if o.Admitted != want || !o.Alone {
				t.Errorf("a late answer: %+v, want admitted %v", o, want)
			}
		}
		f.takes(0, 4, c)
		late(true)
		f.takes(0, 6, c)
		for range 3 {
			late(false)
			if f.take(0, c).Admitted {
				t.Error("the store admits more than there is")
			}
		}
	})
}

// The first request that the store judges again knows what was admitted without it.
func TestOutage_WhatIsOwedIsToldBeforeTheNextRequest(t *testing.T) {
	inOutage(t, 1, func(f *outage) {
		c := buckets.Charge{Key: "{a}", Bucket: charge("", 0, 0).Bucket, Cost: 1} // 10
		f.settling = 300 * time.Millisecond
		f.take(0, c)
		f.fail()
		f.takes(0, 9, c)
		f.down.Store(false)
		for f.replicas[0].Open() {
			elapse(time.Millisecond)
		}
		if o := f.take(0, c); o.Admitted || o.Alone {
			t.Errorf("more than there is was admitted: %+v", o)
		}
	})
}

// One replica admits no more than the burst and what refills in any window, through
// outages of a store that keeps its memory. Several do as long as the store is away. They
// come back within 0.4 s of each other: the first do not know yet what the others owe, at
// most a burst, and those go on with their shares meanwhile. A store that has lost its memory
// is a burst more.
func TestSimulation_OutagesStayWithinTheirBounds(t *testing.T) {
	worst := map[string]float64{}
	for seed := range uint64(storetest.Share(400, 8)) {
		random := rand.New(rand.NewPCG(seed, 7))
		n, loses := 1+random.IntN(4), random.IntN(2) == 0
		rate, burst := 1+random.Int64N(200), int64(n)*(1+random.Int64N(60))
		c := buckets.Charge{Key: "{a}", Bucket: bucketOf(rate, burst), Cost: 1}
		inOutage(t, n, func(f *outage) {
			var sum, least, most float64
			start := time.Now()
			serve := func(requests int) {
				for range requests {
					if random.IntN(3) > 0 {
						elapse(time.Duration(random.Int64N(int64(2*time.Second) / rate)))
					}
					c.Cost = 1 + random.Int64N(max(1, burst/int64(n)/4))
					refilled := float64(rate) * time.Since(start).Seconds()
					least = min(least, sum-refilled)
					if f.take(random.IntN(n), c).Admitted {
						sum += float64(c.Cost)
					}
					most = max(most, sum-refilled-least)
				}
			}
			serve(200)
			look := c
			look.Mode, look.Cost = buckets.Look, 0
			for i := range n { // what others have taken since it looked a replica does not know
				f.take(i, look)
			}
			f.fail()
			serve(300)
			if most > float64(burst)+1e-3 {
				t.Fatalf("seed %d: %d replicas admitted %v of %d before the store was back", seed, n, most, burst)
			}
			if loses {
				f.store.Store(memory.New(memory.Options{}))
			}
			f.down.Store(false)
			serve(600)
			bound, name := float64(burst), "one replica"
			if n > 1 {
				bound, name = 2*bound+0.4*float64(rate), "several replicas"
			}
			if loses {
				bound, name = bound+float64(burst), name+", memory lost"
			}
			worst[name] = max(worst[name], most/bound)
			if most > bound+1e-3 {
				t.Fatalf("seed %d: %d replicas admitted %v of %d through an outage, memory lost: %v", seed, n, most, burst, loses)
			}
		})
	}
	t.Logf("most that was admitted beyond what refilled, of what is bound: %v", worst)
}
