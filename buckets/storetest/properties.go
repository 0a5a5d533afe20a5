package storetest

import (
	"math/big"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// property is one run of a property, on a random token bucket that starts full
// and never owes.
type property struct {
	*scene
	*history
	rule tokenRule
}

// openRule draws a token bucket that is not closed.
func (h *history) openRule() tokenRule {
	for {
		if r, err := newTokenRule(h.anyTerms()); err == nil && !r.closed() {
			return r
		}
	}
}

const propertyRuns = 150

// exactFor is how far into the future buckets promise to be exact, at least.
const exactFor = 50 * 365 * 24 * time.Hour

func runProperties(t *testing.T, s Subject) {
	for _, p := range []struct {
		name  string
		check func(property)
	}{
		{"the delay is minimal and enough", delayIsMinimal},
		{"no window admits more than burst plus refill", windowBound},
		{"more capacity never refuses earlier", monotone},
		{"a changed limit keeps the tokens used and the delay told", carry},
	} {
		t.Run(p.name, func(t *testing.T) {
			scene := newScene(t, s, 1)
			for number := range propertyRuns {
				// Histories from another range than the comparison's.
				h := newHistory(tokenBuckets, 1_000_000+number)
				h.subjects = h.subjects[:1]
				scene.clock.Set(NewClock().Micros())
				r := h.openRule()
				h.subjects[0].rule = r
				p.check(property{scene, h, r})
				if t.Failed() {
					t.Fatalf("run %d with %v", number, r)
				}
			}
		})
	}
}

// charge is a take of cost tokens from the history's bucket under rule r.
func (p property) charge(r tokenRule, cost int64) buckets.Charge {
	return buckets.Charge{Key: p.subjects[0].key, Limit: "property", Bucket: r.bucket, Cost: cost}
}

// delayIsMinimal: who is refused with a delay passes after it, and not a quantum
// of the clock earlier.
func delayIsMinimal(p property) {
	l := p.rule
	p.ask(p.charge(l, l.terms.Capacity))
	cost := 1 + p.Int64N(l.terms.Capacity)
	refused := p.ask(p.charge(l, cost))[0]
	delay := refused.Delay.Microseconds()
	if refused.Admitted || delay <= 0 {
		p.Fatalf("an empty bucket answers cost %d with %+v", cost, refused)
	}
	if delay > exactFor.Microseconds() {
		return
	}
	p.clock.Set(p.clock.Micros() + delay - l.bucket.Quantum)
	if early := p.ask(p.charge(l, cost))[0]; early.Admitted {
		p.Fatalf("cost %d passes %d us before the delay of %d us", cost, l.bucket.Quantum, delay)
	}
	p.clock.Set(p.clock.Micros() + l.bucket.Quantum)
	if then := p.ask(p.charge(l, cost))[0]; !then.Admitted {
		p.Fatalf("cost %d is refused after its delay of %d us: %+v", cost, delay, then)
	}
}

// windowBound: in every window W the admitted cost is at most
// B + rate x (W + quantum).
func windowBound(p property) {
	type admission struct{ at, cost int64 }
	var admitted []admission
	l := p.rule
	for range 60 {
		if now := p.nextInstant(newModel(), p.clock.Micros()); now > p.clock.Micros() {
			p.clock.Set(now)
		}
		c := p.charge(l, 1+p.Int64N(min(l.terms.Capacity, 1+l.terms.Capacity/3)))
		o := p.ask(c)[0]
		p.told = []int64{o.Delay.Microseconds()}
		if o.Admitted {
			admitted = append(admitted, admission{p.clock.Micros(), c.Cost})
		}
	}
	for i := range admitted {
		var sum int64
		for _, a := range admitted[i:] {
			sum += a.cost
			window := big.NewRat(a.at-admitted[i].at+l.bucket.Quantum, l.bucket.Quantum)
			bound := window.Mul(window, l.refill)
			bound.Add(bound, big.NewRat(l.terms.Capacity, 1))
			if big.NewRat(sum, 1).Cmp(bound) > 0 {
				p.Fatalf("%d tokens admitted within %d us, at most %s may be", sum, a.at-admitted[i].at, bound.FloatString(3))
			}
		}
	}
}

// monotone: the same requests on a larger bucket of the same rate are refused no
// earlier.
func monotone(p property) {
	small := p.rule
	terms := small.terms
	terms.Capacity += 1 + p.Int64N(small.terms.Capacity)
	large, err := newTokenRule(terms)
	if err != nil || large.bucket.Quantum != small.bucket.Quantum {
		return // on a coarser clock its refill comes up to a quantum later
	}
	for range 40 {
		p.clock.Set(p.clock.Micros() + p.Int64N(2*small.terms.Period.Microseconds()))
		cost := p.Int64N(small.terms.Capacity/2 + 2)
		other := p.charge(large, cost)
		other.Key += " large"
		first, second := p.ask(p.charge(small, cost))[0], p.ask(other)[0]
		if first.Admitted && !second.Admitted {
			p.Fatalf("cost %d passes a capacity of %d and not one of %d", cost, small.terms.Capacity, large.terms.Capacity)
		}
		if !first.Admitted {
			return
		}
	}
}

// carry: tokens used at the old limit are used at the new one, rounded against
// the caller by less than one of its ticks, and what the first refusal under it
// promises is kept.
func carry(p property) {
	before, after := p.rule, p.openRule()
	used := 1 + p.Int64N(before.terms.Capacity)
	p.ask(p.charge(before, used))
	want := min(used, after.terms.Capacity) * after.bucket.TicksPerToken
	refused := p.ask(p.charge(after, after.terms.Capacity))[0]
	if refused.Used != want || refused.Admitted {
		p.Fatalf("%d tokens used became %d ticks under %v, want %d: %+v", used, refused.Used, after, want, refused)
	}
	delay := refused.Delay.Microseconds()
	if delay > exactFor.Microseconds() {
		return
	}
	p.clock.Set(p.clock.Micros() + delay)
	if then := p.ask(p.charge(after, after.terms.Capacity))[0]; !then.Admitted {
		p.Fatalf("refused after the promised delay of %d us under %v: %+v", delay, after, then)
	}
}
