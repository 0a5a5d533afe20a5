package guard_test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/guard"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/storetest"
)

// lonely is replicas whose shared store does not answer, on one virtual clock.
type lonely struct {
	*testing.T
	clock    *storetest.Clock
	replicas []*guard.Guard
}

func newLonely(t *testing.T, n int64) *lonely {
	l := &lonely{T: t, clock: storetest.NewClock()}
	for range n {
		l.replicas = append(l.replicas, guard.New(guard.Options{
			Store: down, Local: memory.New(memory.Options{Now: l.clock.Now}), Timeout: time.Second, Observe: func(context.Context, time.Duration, error) {},
			Replicas: func() int64 { return n },
		}))
	}
	return l
}

func (l *lonely) take(replica int, charges ...buckets.Charge) []buckets.Outcome {
	l.Helper()
	outcomes, err := l.replicas[replica].Take(context.Background(), charges)
	if err != nil {
		l.Fatal(err)
	}
	return outcomes
}

// Together the replicas admit what the limit says: in any window a burst and what
// refills in it, where no request asks for more than a share, and each its share at once.
func TestSimulation_ReplicasThatAreAloneKeepTheLimitTogether(t *testing.T) {
	for seed := range uint64(storetest.Share(300, 15)) {
		random := rand.New(rand.NewPCG(seed, 11))
		n := 1 + random.Int64N(7)
		rate, burst := 1+random.Int64N(50), n*(1+random.Int64N(40))+random.Int64N(n)
		dearest := max(1, burst/n/(1+random.Int64N(5)))
		l := newLonely(t, n)
		c := buckets.Charge{Key: "{a}", Bucket: bucketOf(rate, burst), Cost: 1}
		for i := range l.replicas {
			for k := range burst/n + 1 {
				fresh := c
				fresh.Key = "{a}" + strconv.Itoa(i)
				if o := l.take(i, fresh)[0]; o.Admitted != (k < burst/n) || !o.Alone {
					t.Fatalf("seed %d: request %d of a share of %d/%d: %+v", seed, k+1, burst, n, o)
				} else if left := c.Bucket.Remaining(o.Used); o.Admitted && (left-burst%n)/n != burst/n-k-1 {
					t.Fatalf("seed %d: %d of %d are left after %d of a share of %d", seed, left, burst, k+1, burst/n)
				}
			}
		}
		sum, least, start := 0.0, 0.0, l.clock.Micros()
		for range 3000 {
			if random.IntN(3) == 0 {
				l.clock.Advance(time.Duration(random.Int64N(int64(2*time.Second) / rate)))
			}
			c.Cost = 1 + random.Int64N(dearest)
			refilled := float64(rate) * float64(l.clock.Micros()-start) / 1e6
			least = min(least, sum-refilled)
			if l.take(random.IntN(int(n)), c)[0].Admitted {
				sum += float64(c.Cost)
			}
			if above := sum - refilled - least; above > float64(burst)+1e-3 {
				t.Fatalf("seed %d: %d replicas admitted %v more than refilled, with a burst of %d", seed, n, above, burst)
			}
		}
	}
}

// A request that asks for more than a share is admitted where that is full, and keeps
// to the rate: small ones between forgive nothing of it.
func TestShare_ACostAboveTheShareIsAdmittedAtTheRate(t *testing.T) {
	l := newLonely(t, 4)
	heavy := buckets.Charge{Key: "{a}", Bucket: bucketOf(10, 20), Cost: 15} // a share is 5, of 2.5/s
	light, whole, look := heavy, heavy, heavy
	light.Cost, whole.Cost, look.Cost, look.Mode = 1, 21, 0, buckets.Look
	admits := func(c buckets.Charge, want bool) {
		t.Helper()
		if o := l.take(0, c)[0]; o.Admitted != want {
			t.Errorf("%d tokens: %+v, want admitted %v", c.Cost, o, want)
		}
	}
	admits(whole, false)
	admits(heavy, true)
	admits(light, false)
	l.clock.Advance(4300 * time.Millisecond)
	admits(light, false) // 4.25 of the 15 are used still
	l.clock.Advance(200 * time.Millisecond)
	admits(light, true)
	admits(heavy, false)
	l.clock.Advance(2100 * time.Millisecond)
	admits(heavy, true)

	single := look
	single.Key, single.Bucket, single.Mode, single.Cost = "{b}", bucketOf(1, 1), buckets.Take, 1
	admits(single, true)
	single.Mode, single.Cost = buckets.Look, 0
	if o := l.take(0, single)[0]; single.Bucket.Remaining(o.Used) != 0 {
		t.Errorf("a look at the share of one token: %+v", o)
	}
}

// Windows and slots are divided too, and what a caller is told is of the whole limit.
func TestShare_OfWindowsAndSlots(t *testing.T) {
	for name, b := range map[string]buckets.Bucket{
		"fixed":   buckets.FixedWindow{Limit: 10, Calendar: buckets.Calendar{Length: time.Hour}},
		"sliding": buckets.SlidingWindow{Limit: 10, Window: 3600e6, Parts: 10},
		"slots":   buckets.Slots{Count: 10, TTL: 3600e6},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLonely(t, 3)
			admitted := 0
			for replica := range 3 {
				for i := range 5 {
					c := buckets.Charge{Key: "{a}", Bucket: b, Cost: 1, Lease: strconv.Itoa(i)}
					o := l.take(replica, c)[0]
					if o.Admitted {
						admitted++
					}
					if want := int64(min(i+1, 3) * 3); o.Used != want {
						t.Errorf("request %d: %d of 10 are used, want %d", i+1, o.Used, want)
					}
				}
			}
			if admitted != 9 {
				t.Errorf("%d were admitted, want the three shares of 3", admitted)
			}
		})
	}
	one := newLonely(t, 5)
	c := buckets.Charge{Key: "{a}", Bucket: buckets.Slots{Count: 1, TTL: 1e6}, Cost: 1, Lease: "1"}
	if !one.take(3, c)[0].Admitted {
		t.Error("a share of one slot admits nothing")
	}
	c = buckets.Charge{Key: "{b}", Bucket: buckets.TokenBucket{}, Cost: 1}
	if one.take(3, c)[0].Admitted {
		t.Error("a share of a closed bucket admits something")
	}
}

// A class keeps its share of what it is guaranteed, whatever the others borrow.
func TestShare_OfAPool(t *testing.T) {
	l := newLonely(t, 2)
	of := func(tokens int64) buckets.TokenBucket { // each tenth of a second one of ten refills
		return buckets.TokenBucket{Capacity: tokens, TicksPerToken: 1_000_000, TicksPerQuantum: tokens / 10, Quantum: 1}
	}
	pool, guarantee := of(100), of(40)
	hog := buckets.Charge{Key: "{p}", Bucket: pool, Cost: 1, Class: &buckets.Class{Guarantee: of(60), Borrow: true, Keep: guarantee.Full()}, ClassKey: "{p}hog"}
	modest := buckets.Charge{Key: "{p}", Bucket: pool, Cost: 1, Class: &buckets.Class{Guarantee: guarantee}, ClassKey: "{p}modest"}
	took := func(c buckets.Charge) (n int) {
		for l.take(1, c)[0].Admitted {
			n++
		}
		return n
	}
	if hogs, modests := took(hog), took(modest); hogs != 30 || modests != 20 {
		t.Errorf("a half gave one class %d and the other %d, want 30 and 20", hogs, modests)
	}

	slots := func(count int64, keep int64, name string) buckets.Charge {
		return buckets.Charge{
			Key: "{s}", Bucket: buckets.Slots{Count: 10, TTL: 3600e6}, Cost: 1, ClassKey: "{s}" + name,
			Class: &buckets.Class{Guarantee: buckets.Slots{Count: count, TTL: 3600e6}, Borrow: true, Keep: keep},
		}
	}
	held := func(replica int, c buckets.Charge) (n int) {
		for c.Lease = c.ClassKey; l.take(replica, c)[0].Admitted; c.Lease = c.ClassKey + strconv.Itoa(n) {
			n++
		}
		return n
	}
	if hogs, modests := held(0, slots(4, 6, "hog")), held(0, slots(6, 4, "modest")); hogs != 2 || modests != 3 {
		t.Errorf("a half gave one class %d slots and the other %d, want 2 and 3", hogs, modests)
	}
	if borrows := held(1, slots(6, 2, "borrows")); borrows != 4 {
		t.Errorf("a class took %d slots of a half, want its 3 and all but one of the others'", borrows)
	}
}
