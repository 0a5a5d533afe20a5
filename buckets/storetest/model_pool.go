package storetest

import (
	"fmt"
	"math/big"

	"github.com/weir-rls/weir/buckets"
)

// class is what one class of callers has of a pool, as a rule says it.
type class struct {
	guarantee rule
	borrow    bool
	others    int64 // the reserves of the other classes, in tokens
	headroom  int64 // tokens
	product   buckets.Class
}

func (c *class) String() string {
	return fmt.Sprintf("%v, borrow %v, others %d, headroom %d", c.guarantee, c.borrow, c.others, c.headroom)
}

// spared is what the pool must still hold when the class borrows and has own left
// of its guarantee.
func (c *class) spared(own *big.Rat) *big.Rat { return sum(own, tokens(c.others+c.headroom)) }

// judge decides what a class asks of a pool. Both have used some.
func (c *class) judge(pool rule, used, mine, cost *big.Rat, v *verdict) {
	free, own := sub(pool.capacity(), used), sub(c.guarantee.capacity(), mine)
	left := sub(free, cost)
	guaranteed := own.Cmp(cost) >= 0 && left.Sign() >= 0
	v.borrowed = !guaranteed && c.borrow && left.Cmp(c.spared(atLeast0(own))) >= 0
	v.admitted = guaranteed || v.borrowed
	if p, ok := pool.(tokenRule); ok && !v.admitted && c.everAdmits(p, cost) {
		v.delay = c.delay(p, used, mine, cost)
	}
}

// everAdmits tells whether the cost passes where nobody has used anything.
func (c *class) everAdmits(p tokenRule, cost *big.Rat) bool {
	left := sub(p.capacity(), cost)
	if p.closed() || left.Sign() < 0 {
		return false
	}
	return cost.Cmp(c.guarantee.capacity()) <= 0 || c.borrow && left.Cmp(c.spared(c.guarantee.capacity())) >= 0
}

// delay is the first quantum at which the cost would pass, in microseconds. The
// two levels fall on straight lines until they are 0, so it is the first in one
// of three stretches.
func (c *class) delay(p tokenRule, used, mine, cost *big.Rat) *big.Int {
	g := c.guarantee.(tokenRule)
	ends := []*big.Int{new(big.Int), quantaUntil(used, p.refill), quantaUntil(mine, g.refill)}
	if ends[1].Cmp(ends[2]) > 0 {
		ends[1], ends[2] = ends[2], ends[1]
	}
	at := func(level, refill *big.Rat, quanta *big.Int) *big.Rat {
		return atLeast0(sub(level, new(big.Rat).Mul(refill, new(big.Rat).SetInt(quanta))))
	}
	passes := func(quanta *big.Int) bool {
		v := verdict{}
		pool, own := at(used, p.refill, quanta), at(mine, g.refill, quanta)
		free := sub(p.capacity(), pool)
		left, rest := sub(free, cost), sub(g.capacity(), own)
		v.admitted = rest.Cmp(cost) >= 0 && left.Sign() >= 0 || c.borrow && left.Cmp(c.spared(rest)) >= 0
		return v.admitted
	}
	var best *big.Int
	consider := func(quanta *big.Int) {
		if quanta.Sign() >= 0 && (best == nil || quanta.Cmp(best) < 0) && passes(quanta) {
			best = quanta
		}
	}
	for i, from := range ends {
		consider(from)
		// In what follows both lines are straight: each of the three conditions holds
		// from where its own line crosses.
		pool, own := at(used, p.refill, from), at(mine, g.refill, from)
		poolFalls, ownFalls := slope(pool, p.refill), slope(own, g.refill)
		wait := func(lacks, falls *big.Rat) *big.Int {
			if lacks.Sign() <= 0 || falls.Sign() <= 0 {
				return new(big.Int)
			}
			return ceil(new(big.Rat).Quo(lacks, falls))
		}
		needPool := wait(sub(sum(pool, cost), p.capacity()), poolFalls)
		needOwn := wait(sub(sum(own, cost), g.capacity()), ownFalls)
		margin := sub(sum(sum(pool, cost), c.spared(sub(g.capacity(), own))), p.capacity())
		needMargin := wait(margin, sub(poolFalls, ownFalls))
		for _, need := range []*big.Int{needPool, needOwn, needMargin} {
			quanta := new(big.Int).Add(from, need)
			if i == len(ends)-1 || quanta.Cmp(ends[i+1]) <= 0 {
				consider(quanta)
			}
		}
	}
	if best == nil {
		panic("the model finds no time at which the cost passes")
	}
	return best.Mul(best, big.NewInt(p.bucket.Quantum))
}

func quantaUntil(level, refill *big.Rat) *big.Int {
	if level.Sign() <= 0 || refill.Sign() == 0 {
		return new(big.Int)
	}
	return ceil(new(big.Rat).Quo(level, refill))
}

// slope is how fast a level falls.
func slope(level, refill *big.Rat) *big.Rat {
	if level.Sign() == 0 {
		return new(big.Rat)
	}
	return refill
}

// newTokenPool compiles a pool of tokens and its classes.
func newTokenPool(terms buckets.Terms, classes []buckets.ClassTerms) (tokenRule, []*class, error) {
	bucket, products, err := buckets.NewPool(terms, classes)
	if err != nil || terms.Tokens == 0 {
		return tokenRule{}, nil, fmt.Errorf("no pool for the model: %w", err)
	}
	pool := tokenRule{terms: terms, bucket: bucket, refill: refillIn(terms, bucket.Quantum)}
	unit := pool.refill.Denom().Int64()
	var rules []tokenRule
	for _, c := range classes {
		g := tokenRule{terms: buckets.Terms{Tokens: c.Guarantee, Period: c.Period, Capacity: c.Reserve}, refill: new(big.Rat)}
		if c.Guarantee == 0 {
			g.terms = buckets.Terms{}
		} else {
			g.refill = refillIn(g.terms, bucket.Quantum)
			unit *= g.refill.Denom().Int64() / gcd(unit, g.refill.Denom().Int64())
		}
		rules = append(rules, g)
	}
	pool.unit = unit
	all := make([]*class, len(classes))
	for i := range classes {
		rules[i].unit, rules[i].bucket = unit, products[i].Guarantee.(buckets.TokenBucket)
		all[i] = &class{guarantee: rules[i], product: products[i]}
	}
	share(all, classes)
	return pool, all, nil
}

// newSlotPool compiles a pool of slots and its classes.
func newSlotPool(pool buckets.Slots, classes []buckets.ClassTerms) (slotRule, []*class) {
	products := buckets.NewSlotPool(pool, classes)
	all := make([]*class, len(classes))
	for i := range classes {
		guarantee := buckets.Slots{Count: classes[i].Reserve, TTL: pool.TTL}
		all[i] = &class{guarantee: slotRule{guarantee}, product: products[i]}
	}
	share(all, classes)
	return slotRule{pool}, all
}

// share tells each class what it leaves to the others.
func share(all []*class, terms []buckets.ClassTerms) {
	for i, c := range all {
		c.borrow, c.headroom = terms[i].Borrow, terms[i].Headroom
		for j, other := range all {
			if j != i {
				c.others += whole(other.guarantee.capacity())
			}
		}
	}
}
