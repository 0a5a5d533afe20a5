package buckets

import (
	"fmt"
	"math/bits"
	"time"
)

// ClassTerms are a class of a pool as a rule states it.
type ClassTerms struct {
	Guarantee int64         // tokens refilled in each Period, 0: none; of slots always 0
	Period    time.Duration // as in [Terms]
	Reserve   int64         // the capacity of the guarantee, in tokens or slots
	Borrow    bool
	Headroom  int64 // tokens or slots that the class leaves when it borrows
}

// NewPool compiles a pool of tokens and its classes, in common ticks and on one
// clock. The error tells numbers that are not exact together. That guarantees and
// reserves add up to no more than the pool has is for the caller to check: see
// [Overcommitted].
func NewPool(pool Terms, classes []ClassTerms) (TokenBucket, []Class, error) {
	terms := []Terms{pool}
	for _, c := range classes {
		if pool.Tokens == 0 {
			c.Guarantee = 0
		}
		terms = append(terms, Terms{Tokens: c.Guarantee, Period: c.Period, Capacity: c.Reserve})
	}
	for _, t := range terms {
		if t.Tokens == 0 {
			continue
		}
		if err := t.check(); err != nil {
			return TokenBucket{}, nil, err
		}
	}
	for _, q := range quanta {
		if bs, ok := together(terms, q); ok {
			guarantees := make([]Bucket, len(classes))
			for i := range classes {
				guarantees[i] = bs[i+1]
			}
			return bs[0], classesOf(classes, guarantees, bs[0].Unit()), nil
		}
	}
	return TokenBucket{}, nil, fmt.Errorf("the pool and its guarantees together: %w: choose rounder rates or a smaller capacity", ErrInexact)
}

// NewSlotPool compiles the classes of a pool of slots.
func NewSlotPool(pool Slots, classes []ClassTerms) []Class {
	guarantees := make([]Bucket, len(classes))
	for i, c := range classes {
		guarantees[i] = Slots{Count: c.Reserve, TTL: pool.TTL}
	}
	return classesOf(classes, guarantees, 1)
}

// classesOf gives each class what it has to leave to the others when it borrows.
func classesOf(terms []ClassTerms, guarantees []Bucket, unit int64) []Class {
	reserves := int64(0)
	for _, g := range guarantees {
		reserves += g.Full()
	}
	classes := make([]Class, len(terms))
	for i, t := range terms {
		g := guarantees[i]
		classes[i] = Class{Guarantee: g, Borrow: t.Borrow, Keep: reserves - g.Full() + t.Headroom*unit}
	}
	return classes
}

// Overcommitted tells whether the guarantees of a pool's classes are faster
// together than the pool.
func Overcommitted(pool TokenBucket, classes []Class) bool {
	left := pool.TicksPerQuantum
	for _, c := range classes {
		left -= c.Guarantee.(TokenBucket).TicksPerQuantum
	}
	return left < 0
}

// together compiles all terms in quanta of q. A token is as many ticks as the
// least common multiple of what each rate needs alone: of 10/s and 2/s, at 1 us,
// 500,000, of which five and one refill in a quantum.
func together(terms []Terms, q int64) ([]TokenBucket, bool) {
	perToken := int64(1)
	for _, t := range terms {
		if t.Tokens == 0 {
			continue
		}
		micros := t.Period.Microseconds()
		if micros%q != 0 {
			return nil, false
		}
		alone := micros / q / gcd(micros/q, t.Tokens)
		var fits bool
		if perToken, fits = times(perToken/gcd(perToken, alone), alone); !fits {
			return nil, false
		}
	}
	bs := make([]TokenBucket, len(terms))
	for i, t := range terms {
		if t.Tokens == 0 {
			continue
		}
		high, low := bits.Mul64(uint64(perToken), uint64(t.Tokens))
		per := uint64(t.Period.Microseconds() / q)
		if high >= per {
			return nil, false
		}
		perQuantum, _ := bits.Div64(high, low, per) // nothing remains: perToken is a multiple of what t needs
		var ok bool
		if bs[i], ok = t.in(perToken, int64(min(perQuantum, MaxTicks)), q); !ok {
			return nil, false
		}
	}
	return bs, true
}
