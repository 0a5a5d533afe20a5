package memory

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-rls/weir/buckets"
)

// clock is virtual time.
type clock struct{ now time.Time }

func newClock() *clock { return &clock{time.Unix(1_800_000_000, 0)} }

func bucket10(t interface{ Fatal(...any) }, burst int64) buckets.TokenBucket {
	b, err := buckets.NewTokenBucket(10, time.Second, burst)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func take(t interface{ Fatal(...any) }, s *Store, charges ...buckets.Charge) []buckets.Outcome {
	outcomes, err := s.Take(context.Background(), charges)
	if err != nil {
		t.Fatal(err)
	}
	s.check(t)
	return outcomes
}

// check holds the store against its own bookkeeping.
func (s *Store) check(t interface{ Fatal(...any) }) {
	if s.table.size != int(s.byFullAt.size) {
		t.Fatal("held", s.table.size, "buckets but queued", s.byFullAt.size)
	}
	for i := range s.byFullAt.size {
		b := s.table.entries.at(*s.byFullAt.at(i))
		if b.place != int32(i) || s.table.get(b.key) != b {
			t.Fatal("the queue and the table disagree on", b.key)
		}
		if above := s.table.entries.at(*s.byFullAt.at((max(i, 1) - 1) / 2)); above.queued > b.queued {
			t.Fatal("the queue has", b.key, "below one that is full later")
		}
	}
}

func TestM23_W15_AFullBucketIsForgotten(t *testing.T) {
	c := newClock()
	s := New(Options{Now: func() time.Time { return c.now }})
	for i := range 100 {
		take(t, s, buckets.Charge{Key: fmt.Sprint("{k}", i), Bucket: bucket10(t, 10), Cost: 5})
	}
	if got := s.Held(); got != 100 {
		t.Fatalf("%d buckets held, want the 100 that are not full", got)
	}
	c.now = c.now.Add(501 * time.Millisecond) // 5 tokens at 10/s
	if got := s.Held(); got != 0 {
		t.Errorf("%d buckets held after all refilled, want none", got)
	}
}

func TestARefundToFullForgetsTheBucket(t *testing.T) {
	c := newClock()
	s := New(Options{Now: func() time.Time { return c.now }})
	charge := buckets.Charge{Key: "{k}", Bucket: bucket10(t, 10), Cost: 5}
	take(t, s, charge)
	charge.Mode, charge.Cost = buckets.Refund, 100
	take(t, s, charge)
	if s.table.size != 0 {
		t.Error("a bucket filled by a refund is still held")
	}
}

func TestARefusedNewcomerIsNotHeld(t *testing.T) {
	c := newClock()
	s := New(Options{Now: func() time.Time { return c.now }})
	take(t, s, buckets.Charge{Key: "{k}", Bucket: bucket10(t, 10), Cost: 11})
	if s.table.size != 0 {
		t.Error("a refused charge grew the store")
	}
}

// Exhausted buckets fill the store. Whoever then rotates values shares one
// bucket a limit: its burst, once, whatever the number of values.
func TestM23_RotatingValuesAtTheCapBuysOneBurst(t *testing.T) {
	c := newClock()
	s := New(Options{MaxBuckets: 100, Now: func() time.Time { return c.now }})
	for i := range 100 {
		take(t, s, buckets.Charge{Key: fmt.Sprint("{old}", i), Limit: "l", Bucket: bucket10(t, 50), Cost: 50})
	}
	admitted := 0
	for i := range 10_000 {
		if take(t, s, buckets.Charge{Key: fmt.Sprint("{new}", i), Limit: "l", Bucket: bucket10(t, 50), Cost: 1})[0].Admitted {
			admitted++
		}
	}
	if admitted != 50 {
		t.Errorf("10,000 new values were admitted %d times, want the 50 of one shared burst", admitted)
	}
	if got := s.Overflowed(); got != 10_000 {
		t.Errorf("%d charges counted as overflowed, want 10,000", got)
	}
	if got := s.table.size; got != 101 {
		t.Errorf("%d buckets held, want the cap of 100 and one overflow bucket", got)
	}
	if other := take(t, s, buckets.Charge{Key: "{new}", Limit: "other", Bucket: bucket10(t, 50), Cost: 50}); !other[0].Admitted {
		t.Error("another limit's overflow bucket was charged too")
	}
}

// One moment at the cap must not leave a limit's callers on one bucket for as
// long as they keep coming: once there is room each has its own again, which
// owes what the shared one did.
func TestOnceThereIsRoomKeysLeaveTheOverflowBucket(t *testing.T) {
	c := newClock()
	s := New(Options{MaxBuckets: 100, Now: func() time.Time { return c.now }})
	for i := range 100 {
		take(t, s, buckets.Charge{Key: fmt.Sprint("{old}", i), Limit: "l", Bucket: bucket10(t, 20), Cost: 5})
	}
	drain := func(key string) (admitted int) {
		for take(t, s, buckets.Charge{Key: key, Limit: "l", Bucket: bucket10(t, 20), Cost: 1})[0].Admitted {
			admitted++
		}
		return admitted
	}
	drain("{new}")
	c.now = c.now.Add(600 * time.Millisecond) // the hundred are full, the shared bucket has 6 tokens
	for _, key := range []string{"{new}", "{other}", "{third}"} {
		if got := drain(key); got != 6 {
			t.Errorf("%s found %d tokens, want 6 in a bucket of its own", key, got)
		}
	}
}

// Limits that come with requests are a limit for each rate. At the cap each has an
// overflow bucket of its own, in one request too, and their number is bounded.
func TestOverridesOfDifferentRatesDoNotMixAtTheCap(t *testing.T) {
	c := newClock()
	s := New(Options{MaxBuckets: 1, Now: func() time.Time { return c.now }})
	rate := func(tokens int64) buckets.TokenBucket {
		b, err := buckets.NewTokenBucket(tokens, time.Hour, 1000)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	take(t, s, buckets.Charge{Key: "{old}", Limit: "l", Bucket: rate(1), Cost: 1000})
	passed := 0
	for range 100 {
		outcomes := take(t, s,
			buckets.Charge{Key: "{fast}", Limit: "override fast", Bucket: rate(1_000_000), Cost: 900},
			buckets.Charge{Key: "{slow}", Limit: "override slow", Bucket: rate(1), Cost: 1})
		if outcomes[0].Admitted && outcomes[1].Admitted {
			passed++
		}
	}
	if passed != 1 {
		t.Errorf("%d of 100 requests for 900 of 1000 tokens passed at once, want 1", passed)
	}
	for tokens := range int64(2 * maxShared) {
		take(t, s, buckets.Charge{Key: fmt.Sprint("{any}", tokens), Limit: fmt.Sprint("override", tokens), Bucket: rate(tokens + 2), Cost: 1})
	}
	take(t, s, buckets.Charge{Key: "{back}", Limit: "override back", Bucket: rate(999_999), Cost: 1, Mode: buckets.Refund})
	if s.table.size > maxShared+2 {
		t.Errorf("%d buckets held: rates that a caller chooses grow the store", s.table.size)
	}
}

func TestRefundsDoNotGrowTheStore(t *testing.T) {
	c := newClock()
	s := New(Options{MaxBuckets: 10, Now: func() time.Time { return c.now }})
	for i := range 11 {
		take(t, s, buckets.Charge{Key: fmt.Sprint("{k}", i), Limit: "l", Bucket: bucket10(t, 100), Cost: 1})
		c.now = c.now.Add(time.Millisecond)
	}
	for i := range 1000 {
		take(t, s, buckets.Charge{Key: fmt.Sprint("{r}", i), Limit: "l", Bucket: bucket10(t, 100), Cost: 1, Mode: buckets.Refund})
	}
	if s.table.size > 11 {
		t.Errorf("%d buckets held, want at most the cap of 10 and an overflow bucket", s.table.size)
	}
}

// Several descriptors of one request may meet the same overflow bucket: each
// must find what the one before it left.
func TestOneRequestsChargesShareTheOverflowBucket(t *testing.T) {
	c := newClock()
	s := New(Options{MaxBuckets: 1, Now: func() time.Time { return c.now }})
	take(t, s, buckets.Charge{Key: "{old}", Limit: "l", Bucket: bucket10(t, 10), Cost: 10})
	request := []buckets.Charge{
		{Key: "{a}", Limit: "l", Bucket: bucket10(t, 10), Cost: 6},
		{Key: "{b}", Limit: "l", Bucket: bucket10(t, 10), Cost: 6},
	}
	if got := take(t, s, request...); !got[0].Admitted || got[1].Admitted {
		t.Errorf("6 and 6 of one bucket of 10 gave %v and %v", got[0].Admitted, got[1].Admitted)
	}
	if request[0].Key != "{a}" {
		t.Error("the caller's charges were changed")
	}
}

// The hazard of any bounded table: make it forget a key, and the key is full
// again. Whatever keys are rotated how, no key may ever get more than its burst
// and its refill.
func TestNoKeyGainsByBeingForgotten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newClock()
		s := New(Options{MaxBuckets: rapid.IntRange(1, 6).Draw(t, "cap"), Now: func() time.Time { return c.now }})
		limits := []buckets.TokenBucket{bucket10(t, 3), bucket10(t, 20)}
		seed := rapid.Uint64().Draw(t, "seed")
		random := rand.New(rand.NewPCG(seed, 0))
		type grant struct {
			at   time.Time
			cost int64
		}
		granted := map[string][]grant{}
		for range 400 {
			c.now = c.now.Add(time.Duration(random.IntN(60_000)) * time.Microsecond)
			limit := random.IntN(len(limits))
			key := fmt.Sprintf("{%d}%d", limit, random.IntN(8))
			cost := random.Int64N(3) + 1
			charge := buckets.Charge{Key: key, Limit: fmt.Sprint(limit), Bucket: limits[limit], Cost: cost}
			if take(t, s, charge)[0].Admitted {
				granted[key] = append(granted[key], grant{c.now, cost})
			}
		}
		for key, grants := range granted {
			burst := limits[key[1]-'0'].Capacity
			for i := range grants {
				sum := int64(0)
				for _, g := range grants[i:] {
					sum += g.cost
					refilled := g.at.Sub(grants[i].at).Microseconds() * 10 // in 1/1,000,000 token
					if sum*1_000_000 > burst*1_000_000+refilled {
						t.Fatalf("%s was granted %d tokens within %v, with a burst of %d", key, sum, g.at.Sub(grants[i].at), burst)
					}
				}
			}
		}
	})
}

// Buckets that fill, or were taken from since they were queued, in one instant
// are put right by many calls: each caller waits for all of them.
func TestOneCallPutsFewBucketsRight(t *testing.T) {
	for _, again := range []bool{false, true} {
		c := newClock()
		s := New(Options{MaxBuckets: 1000, Now: func() time.Time { return c.now }})
		for round := range 2 {
			for i := range 1000 {
				if round == 0 || again {
					take(t, s, buckets.Charge{Key: fmt.Sprint("{k}", i), Limit: "l", Bucket: bucket10(t, 10), Cost: 4})
				}
			}
		}
		before := map[string]int64{}
		for i := range s.byFullAt.size {
			b := s.table.entries.at(*s.byFullAt.at(i))
			before[b.key] = b.queued
		}
		c.now = c.now.Add(350 * time.Millisecond) // queued as full in 50 ms
		if !again {
			c.now = c.now.Add(time.Second)
		}
		take(t, s, buckets.Charge{Key: "{k}one", Limit: "l", Bucket: bucket10(t, 10), Cost: 1})
		touched := 0
		for key, queued := range before {
			if b := s.table.get(key); b == nil || b.queued != queued {
				touched++
			}
		}
		if touched == 0 || touched > 2*maxSifts {
			t.Errorf("taken from again %v: one call put %d of 1000 buckets right", again, touched)
		}
	}
}

// A refusal after a change of rate must leave the bucket on the new rate: the
// caller was told a delay at that rate.
func TestARefusalMovesTheBucketToANewRate(t *testing.T) {
	c := newClock()
	s := New(Options{Now: func() time.Time { return c.now }})
	slow, err := buckets.NewTokenBucket(1, 24*time.Hour, 1)
	if err != nil {
		t.Fatal(err)
	}
	charge := buckets.Charge{Key: "{k}", Bucket: slow, Cost: 1}
	take(t, s, charge)
	charge.Bucket = bucket10(t, 1)
	refused := take(t, s, charge)[0]
	if refused.Admitted {
		t.Fatal("a change of rate filled the bucket")
	}
	c.now = c.now.Add(refused.Delay)
	if !take(t, s, charge)[0].Admitted {
		t.Error("refused again after the delay that was promised")
	}
}

func TestALowerCapacityHoldsFromTheFirstRefusalOn(t *testing.T) {
	c := newClock()
	s := New(Options{Now: func() time.Time { return c.now }})
	charge := buckets.Charge{Key: "{k}", Bucket: bucket10(t, 1000), Cost: 1000}
	take(t, s, charge)
	charge.Bucket, charge.Cost = bucket10(t, 10), 1
	refused := take(t, s, charge)[0]
	c.now = c.now.Add(refused.Delay)
	if refused.Admitted || !take(t, s, charge)[0].Admitted {
		t.Error("a bucket whose capacity was lowered did not refill from its new capacity on")
	}
}

func TestClosingALimitForgivesNothing(t *testing.T) {
	c := newClock()
	s := New(Options{Now: func() time.Time { return c.now }})
	charge := buckets.Charge{Key: "{k}", Bucket: bucket10(t, 10), Cost: 10}
	take(t, s, charge)
	charge.Bucket = buckets.TokenBucket{}
	take(t, s, charge)
	charge.Bucket, charge.Cost = bucket10(t, 10), 1
	if take(t, s, charge)[0].Admitted {
		t.Error("a rate of 0 in between filled the bucket")
	}
}

// What is no token bucket is bounded like one: at the cap all new values share one
// window, one lot of slots.
func TestRotatingValuesAtTheCapBuysOneOfEachKind(t *testing.T) {
	for _, kind := range []buckets.Bucket{
		buckets.FixedWindow{Limit: 50, Calendar: buckets.Calendar{Unit: buckets.CalendarDay}},
		buckets.SlidingWindow{Limit: 50, Window: time.Hour.Microseconds(), Parts: 60},
		buckets.Slots{Count: 50, TTL: time.Hour.Microseconds()},
	} {
		c := newClock()
		s := New(Options{MaxBuckets: 100, Now: func() time.Time { return c.now }})
		for i := range 100 {
			take(t, s, buckets.Charge{Key: fmt.Sprint("{old}", i), Limit: "l", Bucket: kind, Cost: 50, Lease: "old"})
		}
		admitted := 0
		for i := range 1000 {
			charge := buckets.Charge{Key: fmt.Sprint("{new}", i), Limit: "l", Bucket: kind, Cost: 1, Lease: fmt.Sprint(i)}
			if take(t, s, charge)[0].Admitted {
				admitted++
			}
		}
		if admitted != 50 || s.table.size != 101 {
			t.Errorf("%T: 1,000 new values were admitted %d times with %d buckets held, want 50 and 101", kind, admitted, s.table.size)
		}
		c.now = c.now.Add(25 * time.Hour)
		if s.Held() != 0 {
			t.Errorf("%T: %d buckets are held a day later", kind, s.Held())
		}
		s.check(t)
	}
}

// A limit that became another kind of bucket has another overflow bucket, and the
// one that it had forgets nothing meanwhile.
func TestKindsDoNotMixAtTheCap(t *testing.T) {
	c := newClock()
	s := New(Options{MaxBuckets: 1, Now: func() time.Time { return c.now }})
	take(t, s, buckets.Charge{Key: "{old}", Limit: "l", Bucket: bucket10(t, 50), Cost: 50})
	daily := buckets.FixedWindow{Limit: 5, Calendar: buckets.Calendar{Unit: buckets.CalendarDay}}
	sliding := buckets.SlidingWindow{Limit: 5, Window: 1_000_000, Parts: 10}
	for i, c := range []struct {
		kind     buckets.Bucket
		admitted bool
	}{{daily, true}, {sliding, true}, {daily, false}, {sliding, false}} {
		o := take(t, s, buckets.Charge{Key: fmt.Sprint("{new}", i), Limit: "l", Bucket: c.kind, Cost: 5})
		if o[0].Admitted != c.admitted {
			t.Errorf("charge %d: %+v", i, o)
		}
	}
}

// All draws of a pool meet at its overflow bucket, however many classes it has.
func TestAPoolAtTheCapIsOnePool(t *testing.T) {
	c := newClock()
	s := New(Options{MaxBuckets: 1, Now: func() time.Time { return c.now }})
	take(t, s, buckets.Charge{Key: "{old}", Limit: "old", Bucket: bucket10(t, 50), Cost: 50})
	pool, classes, err := buckets.NewPool(
		buckets.Terms{Tokens: 10, Period: time.Second, Capacity: 60},
		[]buckets.ClassTerms{{Guarantee: 2, Period: time.Second, Reserve: 10, Borrow: true}, {Guarantee: 3, Period: time.Second, Reserve: 20, Borrow: true}},
	)
	if err != nil {
		t.Fatal(err)
	}
	admitted := [2]int{}
	for i := range 400 {
		key := fmt.Sprint("{tenant}", i/4)
		charge := buckets.Charge{Key: key, Limit: "pool", Bucket: pool, Class: &classes[i%2], ClassKey: fmt.Sprint(key, "/", i%2), Cost: 1}
		if take(t, s, charge)[0].Admitted {
			admitted[i%2]++
		}
	}
	if admitted != [2]int{20, 30} { // the last 10 are kept from the second class for the first
		t.Errorf("the classes of 100 tenants got %v, want those of one pool", admitted)
	}
}
