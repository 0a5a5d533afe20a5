package descriptors

import (
	"fmt"

	"github.com/weir-rls/weir/buckets"
)

// compilePool compiles a pool and its classes, nil if they contradict one another.
func (c *compiler) compilePool(p *pooling) (buckets.Bucket, []buckets.Class) {
	s := p.spec
	sound := c.soundReserves(p)
	terms := make([]buckets.ClassTerms, len(p.classes))
	for i, k := range p.classes {
		terms[i] = k.terms
	}
	if slots, ok := s.limit.Bucket.(buckets.Slots); ok && sound {
		return slots, buckets.NewSlotPool(slots, terms)
	} else if ok {
		return nil, nil
	}
	bucket, classes, err := keepingPool(s.terms, terms)
	switch {
	case err != nil:
		c.fail(s.rateAt, err.Error(), "")
		return nil, nil
	case buckets.Overcommitted(bucket, classes):
		c.fail(p.lastGuarantee(), "the guarantees of the pool "+quote(s.name)+" are more together than its rate",
			"lower one: what is not stated is 0.6 of the rate, divided by the number of classes")
		return nil, nil
	case !sound:
		return nil, nil
	}
	return bucket, classes
}

// lastGuarantee is where a guarantee is stated, else the pool's rate.
func (p *pooling) lastGuarantee() place {
	for i := len(p.classes) - 1; i >= 0; i-- {
		if here := p.classes[i].stated.guaranteeAt; here.line > 0 {
			return here
		}
	}
	return p.spec.rateAt
}

// soundReserves reports reserves that the pool does not have, and classes that
// they leave nothing.
func (c *compiler) soundReserves(p *pooling) bool {
	capacity, reserves, heaviest, sound := p.spec.limit.Bucket.Size(), int64(0), int64(0), true
	stated := p.spec.rateAt
	for _, k := range p.classes {
		reserves += k.terms.Reserve
		heaviest = max(heaviest, k.stated.heaviest.tokens+k.terms.Headroom)
		if k.stated.reserveAt.line > 0 {
			stated = k.stated.reserveAt
		}
	}
	if reserves > capacity {
		c.fail(stated, fmt.Sprintf("the reserves of the pool %s are %d together, more than it holds, %d", quote(p.spec.name), reserves, capacity),
			"lower one: what is not stated is 0.3 of the capacity divided by the number of classes, and at least the weight")
		return false
	}
	for _, k := range p.classes {
		need := k.stated.heaviest.tokens + reserves + k.terms.Headroom
		if k.terms.Reserve == 0 && need > capacity {
			sound = false
			c.fail(k.stated.at, fmt.Sprintf("the class %s, guaranteed nothing, needs %d with the reserves of the others and its headroom, more than the pool holds, %d: it could never pass",
				quote(k.name), need, capacity), "lower a reserve, the weight or the headroom")
		}
	}
	if sound && reserves+heaviest > capacity {
		c.warn(p.spec.at, fmt.Sprintf("the reserves of the pool %s and its heaviest request need %d, more than it holds, %d: some of it may lie unused", quote(p.spec.name), reserves+heaviest, capacity),
			"lower a reserve, or raise the capacity")
	}
	return sound
}
