package buckets_test

import (
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-rls/weir/buckets"
)

func tenPerSecond(t interface{ Fatal(...any) }, terms buckets.Terms) buckets.TokenBucket {
	terms.Tokens, terms.Period = 10, time.Second
	if terms.Capacity == 0 {
		terms.Capacity = 100
	}
	b, err := terms.TokenBucket()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestG06_BurstThenRate: an idle bucket of 100 lets 100 pass at once, then one
// every tenth of a second.
func TestG06_BurstThenRate(t *testing.T) {
	bucket := tenPerSecond(t, buckets.Terms{})
	b := newBench(midnight)
	b.used("k", bucket, 100)
	b.now += 10 * second
	if n := b.burst(bucket, 101); n != 100 {
		t.Fatalf("%d of 101 admitted at once after 10 idle seconds", n)
	}
	for range 20 {
		b.now += second/10 - 1
		if n := b.burst(bucket, 1); n != 0 {
			t.Fatal("a token came before its tenth of a second")
		}
		b.now++
		if n := b.burst(bucket, 2); n != 1 {
			t.Fatalf("%d admitted after a tenth of a second, want 1", n)
		}
	}
}

// exceeds tells a stretch of time in which more was taken than a full bucket and
// what refills meanwhile, and in the quantum in which it begins.
func exceeds(b buckets.TokenBucket, all []taken) (sum, span int64, is bool) {
	for i := range all {
		sum = 0
		for _, a := range all[i:] {
			sum, span = sum+a.cost, a.at-all[i].at
			bound := new(big.Int).Mul(big.NewInt(span/b.Quantum+1), big.NewInt(b.TicksPerQuantum))
			bound.Add(bound, big.NewInt(b.Full()))
			if product(sum, b.TicksPerToken).Cmp(bound) > 0 {
				return sum, span, true
			}
		}
	}
	return 0, 0, false
}

// TestTokenBucketHoldsItsWindowBound: in any window what was admitted and not given
// back is at most B + rate x (W + a quantum), and nothing lifts the level above
// full.
func TestTokenBucketHoldsItsWindowBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := spec{
			rapid.Int64Range(1, 1000).Draw(t, "tokens"),
			rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 24 * time.Hour, 7 * time.Microsecond}).Draw(t, "period"),
			rapid.Int64Range(1, 1000).Draw(t, "capacity"),
		}
		bucket, err := buckets.NewTokenBucket(s.tokens, s.period, s.capacity)
		if err != nil {
			t.Fatal(err)
		}
		b := newBench(midnight)
		var all []taken
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			b.now += rapid.OneOf(rapid.SampledFrom([]int64{0, 1, bucket.Quantum}), rapid.Int64Range(0, s.period.Microseconds())).Draw(t, "pause")
			if len(all) > 0 && rapid.IntRange(0, 3).Draw(t, "refund") == 0 {
				last := all[len(all)-1]
				o := b.one(buckets.Charge{Key: "k", Bucket: bucket, Cost: last.cost, Mode: buckets.Refund, At: last.at})
				if o.Used < 0 {
					t.Fatalf("a refund lifts the level above full: %+v", o)
				}
				if time.Duration(b.now-last.at)*time.Microsecond <= bucket.Refill(last.cost*bucket.TicksPerToken) {
					all = all[:len(all)-1]
				}
				continue
			}
			c := buckets.Charge{Key: "k", Bucket: bucket, Cost: rapid.Int64Range(0, s.capacity).Draw(t, "cost")}
			if b.one(c).Admitted {
				all = append(all, taken{b.now, c.Cost})
			}
			if sum, span, is := exceeds(bucket, all); is {
				t.Fatalf("%d tokens within %d us of %+v", sum, span, bucket)
			}
		}
	})
}

// TestWhatWasTakenAndGivenBackAdmitsNothingTwice: whatever was taken for requests that
// are refused elsewhere, and given back a while later in any order, the others get no
// more of any window than the bucket has. Given back as it was taken it would: 10 full,
// 1/s, two taken at 0 s, one given back at once, ten taken at 1 s, and the other given
// back then is an eleventh.
func TestWhatWasTakenAndGivenBackAdmitsNothingTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bucket := tenPerSecond(t, buckets.Terms{Capacity: rapid.Int64Range(1, 12).Draw(t, "capacity")})
		b := newBench(midnight)
		var kept, pending []taken
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			b.now += rapid.SampledFrom([]int64{0, 0, 0, second / 50, second / 10, second}).Draw(t, "pause")
			if i := rapid.IntRange(-4, len(pending)-1).Draw(t, "given back"); i >= 0 {
				p := pending[i]
				b.one(buckets.Charge{Key: "k", Bucket: bucket, Cost: p.cost, Mode: buckets.Refund, At: p.at})
				pending = append(pending[:i], pending[i+1:]...)
				continue
			}
			c := taken{b.now, rapid.Int64Range(1, bucket.Capacity).Draw(t, "cost")}
			if !b.one(buckets.Charge{Key: "k", Bucket: bucket, Cost: c.cost}).Admitted {
				continue
			}
			if rapid.Bool().Draw(t, "refused elsewhere") {
				pending = append(pending, c)
				continue
			}
			kept = append(kept, c)
			if sum, span, is := exceeds(bucket, kept); is {
				t.Fatalf("%d tokens within %d us of %+v", sum, span, bucket)
			}
		}
	})
}

// TestALateRefundAdmitsNothingTwice: 100 charged at 0 s and given back at 61 s,
// when all have refilled and 100 more were taken at 60 s: a refund then would let
// 200 pass within a second.
func TestALateRefundAdmitsNothingTwice(t *testing.T) {
	bucket, err := buckets.NewTokenBucket(100, time.Minute, 100)
	if err != nil {
		t.Fatal(err)
	}
	take := buckets.Charge{Key: "k", Bucket: bucket, Cost: 100}
	for _, c := range []struct {
		at   int64
		want int64 // left after the refund
	}{{midnight, 1}, {midnight + 60*second, 100}, {0, 100}} {
		b := newBench(midnight)
		b.one(take)
		b.now += 60 * second
		if !b.one(take).Admitted {
			t.Fatal("not full after a minute")
		}
		b.now += second
		o := b.one(buckets.Charge{Key: "k", Bucket: bucket, Cost: 100, Mode: buckets.Refund, At: c.at})
		if left := bucket.Remaining(o.Used); left != c.want {
			t.Errorf("%d left after a refund of what was taken at %d, want %d", left, c.at, c.want)
		}
	}
}

// reservation is a place that a caller waits for.
type reservation struct {
	place        buckets.Place
	released, at int64
	gone         bool
}

// TestReservationsHoldTheWindowBoundUnderCancels: callers who wait are released
// when they were told, and those who leave give up their place only if nobody
// reserved after them. A plain refund would break the bound: 1/s, 200 waiters, of
// whom the first 100 leave, and 100 newcomers release 22 in 10 s.
func TestReservationsHoldTheWindowBoundUnderCancels(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bucket := tenPerSecond(t, buckets.Terms{Capacity: rapid.Int64Range(1, 5).Draw(t, "capacity"), MaxWait: 3 * time.Second})
		b := newBench(midnight)
		var all []reservation
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			b.now += rapid.SampledFrom([]int64{0, 0, 0, second / 100, second / 10, second}).Draw(t, "pause")
			if i := rapid.IntRange(-40, len(all)-1).Draw(t, "leaves"); i >= 0 && !all[i].gone && all[i].released > b.now {
				b.one(buckets.Charge{Key: "k", Bucket: bucket, Cost: 1, Mode: buckets.Cancel, Place: all[i].place})
				all[i].gone = true
				continue
			}
			o := b.one(buckets.Charge{Key: "k", Bucket: bucket, Cost: 1, MayOwe: bucket.Ahead})
			if wait := o.Delay.Microseconds(); o.Admitted {
				if wait > 3*second {
					t.Fatalf("reserved for %v, at most 3s ahead", o.Delay)
				}
				all = append(all, reservation{bucket.State(o.Used, o.Now).Place, b.now + wait, b.now, false})
			}
		}
		var released []taken
		for _, r := range all {
			if !r.gone {
				released = append(released, taken{r.released, 1})
			}
		}
		for i := 1; i < len(released); i++ {
			if released[i].at < released[i-1].at {
				t.Fatal("who came later is released earlier")
			}
		}
		if sum, span, is := exceeds(bucket, released); is {
			t.Fatalf("%d released within %d us, of 10/s burst %d", sum, span, bucket.Capacity)
		}
	})
}

// TestCancelGivesUpTheLastPlaceOnly: the counter-example with 200 waiters.
func TestCancelGivesUpTheLastPlaceOnly(t *testing.T) {
	bucket, err := buckets.Terms{Tokens: 1, Period: time.Second, Capacity: 1, MaxWait: 10 * time.Minute}.TokenBucket()
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(midnight)
	reserve := buckets.Charge{Key: "k", Bucket: bucket, Cost: 1, MayOwe: bucket.Ahead}
	var places []buckets.Place
	for i := range int64(200) {
		o := b.one(reserve)
		if !o.Admitted || o.Delay != time.Duration(i)*time.Second {
			t.Fatalf("waiter %d is told %+v", i, o)
		}
		places = append(places, bucket.State(o.Used, o.Now).Place)
	}
	leave := func(i int) bool {
		return b.one(buckets.Charge{Key: "k", Bucket: bucket, Cost: 1, Mode: buckets.Cancel, Place: places[i]}).Admitted
	}
	for i := range 100 {
		if leave(i) {
			t.Fatalf("waiter %d gave up a place that others reserved after", i)
		}
	}
	if o := b.one(reserve); o.Delay != 200*time.Second {
		t.Fatalf("a newcomer is told %+v, want the place after all others", o)
	}
	if leave(199) {
		t.Fatal("the last but one gave up its place")
	}
	b = newBench(midnight)
	first := b.one(reserve)
	second := b.one(reserve)
	places = []buckets.Place{bucket.State(first.Used, first.Now).Place, bucket.State(second.Used, second.Now).Place}
	if !leave(1) || !leave(0) || leave(0) || b.one(reserve).Delay != 0 {
		t.Error("places are not given up from the last to the first, each once")
	}
}

// TestSettlementsOweDownToTheDebt, and what is beyond is told as lost.
func TestSettlementsOweDownToTheDebt(t *testing.T) {
	bucket := tenPerSecond(t, buckets.Terms{MaxDebt: 50})
	b := newBench(midnight)
	settle := buckets.Charge{Key: "k", Bucket: bucket, Cost: 120, Mode: buckets.Settle}
	if o := b.one(settle); o.Lost != 0 || o.Used != 120*bucket.TicksPerToken || bucket.Remaining(o.Used) != 0 {
		t.Fatalf("%+v, want 120 tokens used", o)
	}
	if o := b.one(settle); o.Lost != 90*bucket.TicksPerToken || o.Used != 150*bucket.TicksPerToken {
		t.Fatalf("%+v, want 150 tokens used and 90 lost", o)
	}
	if o := b.one(buckets.Charge{Key: "k", Bucket: bucket, Cost: 1}); o.Admitted || o.Delay != 5100*time.Millisecond {
		t.Fatalf("%+v, want a refusal until the debt and one token more are refilled", o)
	}
}

// TestABucketNeverSeenLacksItsFirstTokens once: a refusal is the first sight too.
func TestABucketNeverSeenLacksItsFirstTokens(t *testing.T) {
	bucket := tenPerSecond(t, buckets.Terms{Missing: 100})
	b := newBench(midnight)
	take := buckets.Charge{Key: "k", Bucket: bucket, Cost: 1}
	if o := b.one(take); o.Admitted || o.Delay != 100*time.Millisecond {
		t.Fatalf("%+v, want an empty bucket", o)
	}
	if kept := buckets.Until(bucket, b.states["k"]) - b.now; kept < 10*second+3600*second {
		t.Fatalf("kept for %d us, not for an hour beyond the time to full", kept)
	}
	b.now += second
	if n := b.burst(bucket, 20); n != 10 {
		t.Fatalf("%d admitted a second after the first sight, want 10", n)
	}
	b.now += 3600 * second
	if n := b.burst(bucket, 200); n != 100 {
		t.Fatalf("%d admitted once it is full, want 100", n)
	}
}
