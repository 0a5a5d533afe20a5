package guard

import "github.com/weir-rls/weir/buckets"

// shareOf is a charge as one of n replicas judges it while none sees the others: on an
// n-th of its bucket and of its rate, so that together they admit what the limit says.
// It takes n times the ticks of the charge from a bucket of as many ticks, and so
// counts exactly: at 10/s of 100 tokens and 3 replicas a token refills in 0.3 s
// instead of 0.1 s, and there are 33.
//
// A share is never so small that it could not admit the charge at all: one of 100 tokens
// where a hundredth is 30 admits it when it is full, and then lets none pass until
// the 100 have refilled.
func shareOf(c buckets.Charge, n int64) buckets.Charge {
	if n <= 1 {
		return c
	}
	c.Bucket = shareOfBucket(c.Bucket, c.Cost, n)
	if c.Class == nil {
		return c
	}
	if _, slots := c.Class.Guarantee.(buckets.Slots); slots { // of token buckets the ticks are those of all
		c.Class = &buckets.Class{Guarantee: shareOfBucket(c.Class.Guarantee, 0, n), Borrow: c.Class.Borrow, Keep: c.Class.Keep / n}
	}
	return c
}

func shareOfBucket(whole buckets.Bucket, cost, n int64) buckets.Bucket {
	part := func(of int64) int64 { return max(of/n, min(cost, of), min(of, 1)) }
	switch b := whole.(type) {
	case buckets.TokenBucket:
		if b.Unit() > buckets.MaxTicks/2/max(b.Capacity, 1)/n { // so large a share would not be exact
			cost = 0
		} else {
			b.Kept = max(b.Kept, b.Full()*n) // a small charge after one above the share forgives nothing of it
		}
		b.Capacity, b.TicksPerToken = part(b.Capacity), b.TicksPerToken*n
		b.Missing = min(b.Missing, b.Full())
		return b
	case buckets.FixedWindow:
		b.Limit, b.Debt = part(b.Limit), b.Limit+b.Debt
		return b
	case buckets.SlidingWindow:
		b.Limit, b.Debt = part(b.Limit), b.Limit+b.Debt
		return b
	case buckets.Slots:
		b.Count = part(b.Count)
		return b
	}
	return whole // a breaker stands for what one replica sees
}

// ofTheWhole tells of a share's outcome as if all replicas had used as much: so the
// whole limit and what is left of it go together in what a caller reads.
func ofTheWhole(o buckets.Outcome, whole *buckets.Charge, n int64) buckets.Outcome {
	if n <= 1 {
		return o
	}
	switch whole.Bucket.(type) {
	case buckets.FixedWindow, buckets.SlidingWindow, buckets.Slots: // of a token bucket the ticks are those of all
		o.Used = min(o.Used*n, whole.Bucket.Deepest())
		o.ClassUsed *= n
	}
	return o
}
