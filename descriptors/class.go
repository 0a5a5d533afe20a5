package descriptors

import (
	"cmp"
	"fmt"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// maxClasses bounds the classes of a pool: their default guarantees are exact
// fractions of its rate, with the number of classes in the period.
const maxClasses = 256

// pooling is a pool while its domain is compiled.
type pooling struct {
	spec    *poolSpec
	pool    *pool
	classes []*class
	byID    map[string]*class
}

// class is the draws that share one guarantee.
type class struct {
	id     string // unique in its pool
	name   string
	limits []*Limit // one for each draw
	stated drawSpec // what the draws say together
	terms  buckets.ClassTerms
}

// pools makes the pools of all files known, by name.
func (c *compiler) pools(files []*file) {
	for _, f := range files {
		for _, s := range f.pools {
			if s.name == "" {
				continue
			}
			if first := c.poolings[s.name]; first != nil {
				c.fail(s.at, "the pool "+quote(s.name)+" is here a second time, first at "+first.spec.at.String(), "choose another name")
				continue
			}
			c.unique(s.name, s.at)
			p := &pooling{spec: c.elastic(s), pool: newPool(c.domain.name, s), byID: map[string]*class{}}
			c.poolings[s.name], c.pooled = p, append(c.pooled, p)
		}
	}
}

// draw makes l what s draws from a pool: a class that it names, else the pool's
// default class, else one of its own. The class's part is known once all draws
// are, see divide.
func (c *compiler) draw(s *limitSpec, l *Limit, way path) {
	p := c.poolings[s.draw.pool]
	if p == nil {
		if s.draw.pool != "" {
			c.fail(s.draw.at, "there is no pool "+quote(s.draw.pool), "name one of the domain's pools, or state it under pools")
		}
		return
	}
	id, name := "p:"+way.exact, l.Name
	if named := cmp.Or(s.draw.class, p.spec.defaultClass); named != "" {
		id, name = "n:"+named, named
	}
	k := p.byID[id]
	if k == nil {
		c.unique(name, s.at)
		k = &class{id: id, name: name, stated: drawSpec{at: s.draw.at, heaviest: s.draw.heaviest, borrow: true}}
		p.byID[id], p.classes = k, append(p.classes, k)
	}
	c.join(k, s.draw)
	own := *l.Settings
	*l.Settings = p.spec.limit
	l.Domain, l.Name, l.Weight, l.Shadow, l.Quota = own.Domain, name, own.Weight, own.Shadow || l.Shadow, own.Quota
	l.Disabled = own.Disabled // and if the pool is, see divide
	l.share = &share{pool: p.pool, suffix: "/" + id}
	k.limits = append(k.limits, l)
}

// join adds what one draw says of its class to what others do.
func (c *compiler) join(k *class, d *drawSpec) {
	s := &k.stated
	if d.heaviest.tokens > s.heaviest.tokens {
		s.heaviest = d.heaviest
	}
	first := func(what string, here place, known *place, same bool) bool {
		switch {
		case here.line == 0:
		case known.line == 0:
			*known = here
			return true
		case !same:
			c.fail(here, "the "+what+" of the class "+quote(k.name)+" differs from that at "+known.String(), "state it once")
		}
		return false
	}
	if first("guarantee", d.guaranteeAt, &s.guaranteeAt, d.guarantee == s.guarantee) {
		s.guarantee = d.guarantee
	}
	if first("reserve", d.reserveAt, &s.reserveAt, d.reserve == s.reserve) {
		s.reserve = d.reserve
	}
	if first("headroom", d.headroomAt, &s.headroomAt, d.headroom == s.headroom) {
		s.headroom = d.headroom
	}
	if first("borrow", d.borrowAt, &s.borrowAt, d.borrow == s.borrow) {
		s.borrow = d.borrow
	}
}

// divide gives all draws of a pool their part of it.
func (c *compiler) divide(p *pooling) {
	s := p.spec
	switch {
	case len(p.classes) == 0:
		c.warn(s.at, "nobody draws from the pool "+quote(s.name), "write draw: {pool: "+s.name+"} on a descriptor, or remove the pool")
		return
	case len(p.classes) > maxClasses:
		c.fail(s.at, fmt.Sprintf("the pool %s has %d classes, more than %d", quote(s.name), len(p.classes), maxClasses), "give several draws one class")
		return
	case s.defaultClass != "" && p.byID["n:"+s.defaultClass] == nil:
		c.warn(s.at, "no draw is of the default_class "+quote(s.defaultClass), "remove it")
	}
	if !s.sound {
		return
	}
	sound := true
	for _, k := range p.classes {
		sound = c.parts(p, k) && sound
	}
	if !sound {
		return
	}
	if !p.undivided() {
		bucket, classes := c.compilePool(p)
		if bucket == nil {
			return
		}
		for i := range classes {
			for _, l := range p.classes[i].limits {
				l.Bucket, l.Class, l.share.class = bucket, &classes[i], i
			}
		}
	}
	c.follow(p)
}

// undivided tells that a pool has only one class, which states no part of it:
// a guarantee would only keep it from what nobody else wants.
func (p *pooling) undivided() bool {
	s := &p.classes[0].stated
	return len(p.classes) == 1 && s.guaranteeAt.line == 0 && s.reserveAt.line == 0 && s.headroomAt.line == 0 && s.borrowAt.line == 0
}

// parts fills in what a class has of its pool: what it states, else an equal part
// of 0.6 of the rate and 0.3 of the burst, so that 0.4 and 0.7 are there to borrow.
func (c *compiler) parts(p *pooling, k *class) (sound bool) {
	s, capacity, count := &k.stated, p.spec.limit.Bucket.Size(), int64(len(p.classes))
	weight := s.heaviest.tokens
	if weight > capacity {
		r := roomOf(p.spec.limit.Bucket)
		c.fail(s.heaviest.at, fmt.Sprintf("weight is %d, more than %s: it could never pass", weight, r.is), r.remedy)
		return false
	}
	t := buckets.ClassTerms{Guarantee: 3 * p.spec.rate.tokens, Period: time.Duration(5*count) * p.spec.rate.period, Borrow: s.borrow, Headroom: s.headroom}
	if s.guaranteeAt.line > 0 {
		t.Guarantee, t.Period = s.guarantee.tokens, s.guarantee.period
	}
	guaranteed := p.spec.ofSlots() || t.Guarantee > 0
	switch {
	case s.reserveAt.line > 0:
		t.Reserve = s.reserve
	case guaranteed:
		t.Reserve = max(1, weight, 3*capacity/(10*count))
	}
	k.terms = t
	return c.soundParts(p, k)
}

// soundParts reports what contradicts itself in the terms of one class.
func (c *compiler) soundParts(p *pooling, k *class) bool {
	s, t, capacity, weight := &k.stated, &k.terms, p.spec.limit.Bucket.Size(), k.stated.heaviest.tokens
	switch {
	case p.spec.ofSlots() && s.guaranteeAt.line > 0:
		c.fail(s.guaranteeAt, "a pool of slots refills nothing to guarantee", "state a reserve")
	case t.Reserve > capacity:
		c.fail(s.reserveAt, fmt.Sprintf("reserve is %d, more than the pool holds, %d", t.Reserve, capacity), "lower it")
	case t.Headroom > capacity:
		c.fail(s.headroomAt, fmt.Sprintf("headroom is %d, more than the pool holds, %d: nothing is ever borrowed", t.Headroom, capacity), "write borrow: false")
	case !p.spec.ofSlots() && t.Guarantee == 0 && t.Reserve > 0:
		c.fail(s.reserveAt, "a reserve without a guarantee is never filled", "state a guarantee, or remove it")
	case t.Reserve == 0 && !t.Borrow:
		c.fail(s.at, "the class "+quote(k.name)+" is guaranteed nothing and may not borrow: it could never pass", "state a guarantee, or borrow: true")
	case t.Reserve < weight && (t.Guarantee > 0 || t.Reserve > 0):
		c.fail(s.reserveAt, fmt.Sprintf("reserve is %d, less than the weight, %d: the guarantee could never be used", t.Reserve, weight),
			"raise it, or state neither")
	default:
		return true
	}
	return false
}
