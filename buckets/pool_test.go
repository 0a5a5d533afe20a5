package buckets_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-rls/weir/buckets"
)

// pool is a pool of tokens whose classes it can serve together: the guarantees
// are no faster than it refills, the reserves no more than it holds.
type pool struct {
	*bench
	rate    int64 // tokens a second
	bucket  buckets.TokenBucket
	classes []buckets.Class
	terms   []buckets.ClassTerms
}

// pools draws pools. lent tells that one class may always borrow.
func pools(lent bool) *rapid.Generator[pool] {
	return rapid.Custom(func(t *rapid.T) pool {
		p := pool{bench: newBench(midnight), rate: rapid.Int64Range(2, 50).Draw(t, "rate")}
		capacity := rapid.Int64Range(20, 200).Draw(t, "capacity")
		rates, reserves := p.rate, capacity/2
		for i := range rapid.IntRange(1, 4).Draw(t, "classes") {
			c := buckets.ClassTerms{
				Guarantee: rapid.Int64Range(0, rates/2).Draw(t, "guarantee"), Period: time.Second,
				Reserve: rapid.Int64Range(1, max(1, reserves/2)).Draw(t, "reserve"), Borrow: rapid.Bool().Draw(t, "borrow"),
				Headroom: rapid.Int64Range(0, 5).Draw(t, "headroom"),
			}
			if lent && i == 0 {
				c.Borrow = true
			}
			rates, reserves = rates-c.Guarantee, reserves-c.Reserve
			p.terms = append(p.terms, c)
		}
		var err error
		p.bucket, p.classes, err = buckets.NewPool(buckets.Terms{Tokens: p.rate, Period: time.Second, Capacity: capacity}, p.terms)
		if err != nil {
			t.Fatal(err)
		}
		return p
	})
}

func (p *pool) charge(class int, cost int64) buckets.Charge {
	return buckets.Charge{Key: "pool", Bucket: p.bucket, Cost: cost, Class: &p.classes[class], ClassKey: fmt.Sprint(class)}
}

func (p *pool) look(class int) buckets.Outcome {
	c := p.charge(class, 0)
	c.Mode = buckets.Look
	return p.one(c)
}

// pause lets some time pass, mostly a little.
func (p *pool) pause(t *rapid.T) {
	p.now += rapid.OneOf(rapid.SampledFrom([]int64{0, 0, 1, second / 10}), rapid.Int64Range(0, 5*second)).Draw(t, "pause")
}

// play asks for the classes in random turns, and tells check of each answer.
func (p *pool) play(t *rapid.T, check func(class int, cost int64, o buckets.Outcome)) {
	for range rapid.IntRange(1, 40).Draw(t, "steps") {
		p.pause(t)
		class := rapid.IntRange(0, len(p.classes)-1).Draw(t, "class")
		cost := rapid.Int64Range(0, 12).Draw(t, "cost")
		check(class, cost, p.one(p.charge(class, cost)))
	}
}

// TestT1_PoolAdmitsNoMoreThanItsBurstAndRefill in any window, for all classes
// together, also after classes changed and the capacity was lowered. (A capacity
// that is lowered cuts what is used, so one that is raised again afterwards admits
// the difference anew: a state cannot tell a lowered one from a clock that went
// back.)
func TestT1_PoolAdmitsNoMoreThanItsBurstAndRefill(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := pools(false).Draw(t, "pool")
		capacity, lowered := p.bucket.Capacity, p.bucket.Capacity
		var all []taken
		for range rapid.IntRange(1, 3).Draw(t, "reloads") {
			p.play(t, func(_ int, cost int64, o buckets.Outcome) {
				if o.Admitted {
					all = append(all, taken{p.now, cost})
				}
			})
			rate, kept := p.rate, p.bench
			p = pools(false).Draw(t, "reloaded")
			lowered = rapid.Int64Range(1, lowered).Draw(t, "capacity")
			var err error
			p.bucket, p.classes, err = buckets.NewPool(buckets.Terms{Tokens: rate, Period: time.Second, Capacity: lowered}, p.terms)
			if err != nil {
				t.Fatal(err)
			}
			p.rate, p.bench = rate, kept
		}
		for i := range all {
			sum := int64(0)
			for _, a := range all[i:] {
				sum += a.cost
				// In millionths of a token: each microsecond refills rate of them. A class
				// with a coarser clock would add a quantum; these all count microseconds.
				if bound := capacity*second + p.rate*(a.at-all[i].at+1); sum*second > bound {
					t.Fatalf("%d tokens admitted within %d us of %d/s burst %d", sum, a.at-all[i].at, p.rate, capacity)
				}
			}
		}
	})
}

// TestT2_PoolHoldsWhatItsGuaranteesHoldTogether, whatever is asked and given back.
func TestT2_PoolHoldsWhatItsGuaranteesHoldTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := pools(false).Draw(t, "pool")
		p.play(t, func(class int, cost int64, o buckets.Outcome) {
			if o.Admitted && rapid.IntRange(0, 4).Draw(t, "refund") == 0 {
				c := p.charge(class, cost)
				c.Mode = buckets.Refund
				p.one(c)
			}
			left := p.bucket.Full() - p.look(0).Used
			for i := range p.classes {
				left -= p.classes[i].Guarantee.Full() - p.look(i).ClassUsed
			}
			if left < 0 {
				t.Fatalf("the guarantees hold %d ticks more than the pool", -left)
			}
		})
	})
}

// TestT3_EveryClassHasItsGuaranteeToItself: it evolves like a bucket of its own,
// and what that would admit is admitted, whatever the others do.
func TestT3_EveryClassHasItsGuaranteeToItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := pools(false).Draw(t, "pool")
		alone := newBench(midnight)
		p.play(t, func(class int, cost int64, o buckets.Outcome) {
			alone.now = p.now
			own := alone.one(buckets.Charge{Key: fmt.Sprint(class), Bucket: p.classes[class].Guarantee, Cost: cost})
			if own.Admitted && (!o.Admitted || o.Borrowed) {
				t.Fatalf("class %d is refused, or has to borrow, %d that it is guaranteed: %+v", class, cost, o)
			}
			if o.ClassUsed != own.Used {
				t.Fatalf("class %d has used %d ticks of its guarantee, alone it would have %d", class, o.ClassUsed, own.Used)
			}
		})
	})
}

// TestT4_NoRefillIsLostWhileABorrowerIsBacklogged: the pool is never full, so all
// that refills is used by somebody.
func TestT4_NoRefillIsLostWhileABorrowerIsBacklogged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := pools(true).Draw(t, "pool")
		// The draws leave half the capacity beside the reserves, of at least 20: room
		// for the borrower's cost of 5 and its headroom of up to 5.
		const cost = 5
		for p.one(p.charge(0, cost)).Admitted {
		}
		p.play(t, func(int, int64, buckets.Outcome) {
			for refused := p.one(p.charge(0, cost)); refused.Admitted; refused = p.one(p.charge(0, cost)) {
			}
			o := p.look(0)
			if o.Used <= 0 {
				t.Fatalf("the pool is full although class 0 asks for all that it can get: %+v", p.terms)
			}
			// It waits as long as it is told, and is served then: the pool is not full yet.
			refused := p.one(p.charge(0, cost))
			p.now += refused.Delay.Microseconds()
			if o := p.look(0); o.Used <= 0 {
				t.Fatalf("the pool is full before the borrower is told to come back: %+v", p.terms)
			}
			if then := p.one(p.charge(0, cost)); !then.Admitted {
				t.Fatalf("refused after the delay of %v", refused.Delay)
			}
			for p.one(p.charge(0, cost)).Admitted {
			}
		})
	})
}

// TestT5_AHogLeavesEachClassItsReserve: whatever one class takes at once, one that
// was idle finds all it is guaranteed.
func TestT5_AHogLeavesEachClassItsReserve(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := pools(true).Draw(t, "pool")
		cost := rapid.Int64Range(1, 60).Draw(t, "cost")
		for range 2 {
			for p.one(p.charge(0, cost)).Admitted {
			}
			p.pause(t)
		}
		for i := 1; i < len(p.classes); i++ {
			reserve := p.classes[i].Guarantee.Size()
			if o := p.one(p.charge(i, reserve)); !o.Admitted {
				t.Fatalf("the hog left class %d less than its reserve of %d: %+v", i, reserve, o)
			}
		}
	})
}

// TestT6_AClassIsToldToWaitForItsGuaranteeAtMost: (c - G)/g and a quantum, also
// where borrowing would come later, and it then passes if it alone has waited.
func TestT6_AClassIsToldToWaitForItsGuaranteeAtMost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := pools(false).Draw(t, "pool")
		p.play(t, func(class int, cost int64, o buckets.Outcome) {
			g := p.classes[class].Guarantee.(buckets.TokenBucket)
			if o.Admitted || cost > g.Capacity {
				return
			}
			lacks := cost*p.bucket.TicksPerToken - (g.Full() - o.ClassUsed)
			most := (lacks/g.TicksPerQuantum + 1) * g.Quantum
			if wait := o.Delay.Microseconds(); wait <= 0 || wait > most {
				t.Fatalf("class %d waits %d us for %d ticks of its guarantee, at most %d", class, wait, lacks, most)
			}
			p.now += o.Delay.Microseconds()
			if then := p.one(p.charge(class, cost)); !then.Admitted {
				t.Fatalf("class %d is refused after its delay of %v: %+v", class, o.Delay, then)
			}
		})
	})
}

// TestPoolDelayIsTheLeast: whoever is refused passes after the delay, and in no
// microsecond before it that could be another's turn. The instants before are all
// tried where they are few, else those where something changes.
func TestPoolDelayIsTheLeast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := pools(false).Draw(t, "pool")
		p.play(t, func(class int, cost int64, o buckets.Outcome) {
			charge := p.charge(class, cost)
			if o.Admitted || charge.Hopeless() {
				if !o.Admitted && o.Delay != 0 {
					t.Fatalf("a delay of %v without hope", o.Delay)
				}
				return
			}
			charge.Mode = buckets.Look
			from, wait := p.now, o.Delay.Microseconds()
			before := rapid.SliceOfN(rapid.OneOf(rapid.Int64Range(0, wait-1), rapid.Just(wait-1)), 5, 5).Draw(t, "before")
			for _, early := range before {
				if p.now = from + early; p.one(charge).Admitted {
					t.Fatalf("cost %d of class %d passes after %d us, it was told %d", cost, class, early, wait)
				}
			}
			if p.now = from + wait; !p.one(charge).Admitted {
				t.Fatalf("cost %d of class %d is refused after the delay of %d us", cost, class, wait)
			}
			p.now = from
		})
	})
}
