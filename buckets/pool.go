package buckets

import "time"

// Class is what one class of callers has of a pool: two-level hierarchical token
// buckets, "guarantee and borrow" (after S. Floyd and V. Jacobson, Link-sharing
// and resource management models for packet networks, 1995).
//
// The pool is one bucket, and each class accounts for its guarantee in another,
// on the same clock and in the same ticks. A cost is admitted as guaranteed if
// both have it, and is taken from both; else as borrowed, if the class may borrow
// and the pool would still hold what all classes may claim: the rest of this
// class's guarantee, the whole of the others', and the headroom. It is then taken
// from the pool alone. So the pool never holds less than the guarantees together,
// and what a class's own bucket admits is admitted whatever the others do.
type Class struct {
	Guarantee Bucket // a [TokenBucket] or [Slots], like the pool
	Borrow    bool
	Keep      int64 // ticks that borrowing leaves in the pool beyond the own guarantee: others' reserves and the headroom
}

// admits judges a cost of ticks where the pool has used ticks taken and the class
// has mine.
func (c *Class) admits(pool Bucket, used, mine, ticks int64) (admitted, borrowed bool) {
	free, own := pool.Full()-used, c.Guarantee.Full()-mine
	if own >= ticks && free >= ticks {
		return true, false
	}
	borrowed = c.Borrow && free-ticks >= max(own, 0)+c.Keep
	return borrowed, borrowed
}

// most is the largest cost that is admitted once the pool and the class are full.
func (c *Class) most(pool Bucket) int64 {
	guaranteed := min(c.Guarantee.Size(), pool.Size())
	if !c.Borrow {
		return guaranteed
	}
	return max(guaranteed, (pool.Full()-c.Guarantee.Full()-c.Keep)/pool.Unit())
}

// Delay is the least time after which a refused cost of ticks would be admitted if
// nobody else asked. As guaranteed it is when both buckets have refilled it. To be
// borrowed, used-mine must fall to a margin: while both refill it falls at the
// difference of the rates, when the class is full at the pool's, and it rises
// while only the pool is full. So the first such quantum is where one of these
// stretches meets the margin or begins.
func (c *Class) Delay(pool Bucket, used, mine, ticks int64) time.Duration {
	p, ok := pool.(TokenBucket)
	g, okToo := c.Guarantee.(TokenBucket)
	if !ok || !okToo || p.Capacity == 0 {
		return 0
	}
	best := int64(-1)
	if ticks <= g.Full() {
		best = max(p.quanta(used+ticks-p.Full()), g.quanta(mine+ticks-g.Full()))
	}
	if margin := p.Full() - g.Full() - c.Keep - ticks; c.Borrow {
		meet := int64(0)
		if faster := p.TicksPerQuantum - g.TicksPerQuantum; faster > 0 {
			meet = ceilDiv(used-mine-margin, faster)
		}
		for _, q := range [...]int64{meet, p.quanta(used), max(g.quanta(mine), p.quanta(used-margin))} {
			falls := max(0, used-q*p.TicksPerQuantum) - max(0, mine-q*g.TicksPerQuantum)
			if falls <= margin && (best < 0 || q < best) {
				best = q
			}
		}
	}
	return p.Refill(max(best, 0) * p.TicksPerQuantum)
}

// quanta is how many quanta of the clock b takes to refill ticks.
func (b TokenBucket) quanta(ticks int64) int64 {
	if b.TicksPerQuantum == 0 {
		return 0
	}
	return ceilDiv(ticks, b.TicksPerQuantum)
}

// ceilDiv is ceil(a/b), 0 where a is negative.
func ceilDiv(a, b int64) int64 {
	if a <= 0 {
		return 0
	}
	return (a-1)/b + 1
}
