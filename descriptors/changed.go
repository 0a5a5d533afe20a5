package descriptors

import (
	"fmt"
	"slices"

	"github.com/weir-rls/weir/buckets"
)

// changed is s with what c sets.
func (s *limitSpec) changed(c *Change) (*limitSpec, []ChangeFault) {
	next, own := *s, *s.meaning
	next.meaning = &own
	if c.Enabled != nil {
		next.limit.Disabled = !*c.Enabled
	}
	if faults := s.misfits(c); len(faults) > 0 {
		return nil, faults
	}
	switch {
	case c.Unlimited:
		next.limit.Unlimited = true
	case c.Blocked:
		next.block()
	case c.Slots != nil:
		slots := next.limit.Bucket.(buckets.Slots)
		if faults := c.checkSlots(); len(faults) > 0 {
			return nil, faults
		}
		slots.Count = *c.Slots
		next.limit.Bucket = slots
	case c.Rate != "" || c.Burst != nil:
		if faults := c.restate(&next.terms); len(faults) > 0 {
			return nil, faults
		}
		next.terms.keep(s.limit.Bucket)
		if faults := c.flaws(next.make()); len(faults) > 0 {
			return nil, faults
		}
	default:
		return &next, nil
	}
	return &next, c.tooHeavy(&next)
}

// misfits tells what of c means nothing for a limit of s.
func (s *limitSpec) misfits(c *Change) []ChangeFault {
	for _, name := range c.stated() {
		message, remedy := "", "leave it out"
		switch meant := fits[name]; {
		case name == "enabled":
		case s.algorithm == breaker:
			message, remedy = "of a breaker only enabled can be set", "change the rule file"
		case s.algorithm == draw:
			message, remedy = "of what draws from a pool only enabled can be set", "change the pool "+quote(s.draw.pool)
		case slices.Contains([]string{"period", "total", "success", "groups"}, name):
			message = "only a preset has " + name
		case name == "unlimited" || name == "blocked":
		case s.limit.Unlimited:
			message, remedy = "the limit is unlimited", "change the rule file, or set enabled"
		case !slices.Contains(meant, s.algorithm):
			message = name + " means nothing with " + s.algorithm
		}
		if message != "" {
			return []ChangeFault{c.flawed(name, message, remedy)}
		}
	}
	return nil
}

// changed is a pool with what c sets, as far as it is sound without its classes.
func (s *poolSpec) changed(c *Change) (*poolSpec, []ChangeFault) {
	next := *s
	if len(c.For) > 0 {
		return nil, []ChangeFault{c.flawed("for", "a pool changes for all", "leave for out")}
	}
	alike := limitSpec{meaning: &meaning{algorithm: tokenBucket}}
	if s.ofSlots() {
		alike.algorithm = concurrency
	}
	if faults := alike.misfits(c); len(faults) > 0 {
		return nil, faults
	}
	if c.Enabled != nil {
		next.limit.Disabled = !*c.Enabled
	}
	switch {
	case c.Slots != nil:
		if faults := c.checkSlots(); len(faults) > 0 {
			return nil, faults
		}
		slots := s.limit.Bucket.(buckets.Slots)
		slots.Count = *c.Slots
		next.limit.Bucket = slots
	case c.Rate != "" || c.Burst != nil:
		if faults := c.restate(&next.stated); len(faults) > 0 {
			return nil, faults
		}
		next.stated.keep(s.limit.Bucket)
		var flaws []flaw
		next.terms, flaws = next.stated.tokenBucket(&next.limit)
		next.rate, next.sound = next.stated.rate, next.stated.rate.tokens > 0
		return &next, c.flaws(flaws)
	}
	return &next, nil
}

// block makes s refuse always, also where the file would only report it.
func (s *limitSpec) block() {
	l := &s.limit
	switch b := l.Bucket.(type) {
	case buckets.FixedWindow:
		b.Limit, b.Debt = 0, 0
		l.Bucket = b
	case buckets.SlidingWindow:
		b.Limit, b.Debt = 0, 0
		l.Bucket = b
	case buckets.Slots:
		b.Count = 0
		l.Bucket = b
	default:
		l.Bucket = buckets.TokenBucket{}
	}
	l.Unlimited, l.Disabled, l.Shadow, l.Quota, l.EnforcePercent = false, false, false, false, 100
	l.Requests, l.Weight, l.MaxWait, l.OnStoreError = 0, Weight{Default: 1}, 0, buckets.Deny
}

// checkSlots tells what is wrong with the number of slots.
func (c *Change) checkSlots() []ChangeFault {
	if *c.Slots >= 1 && *c.Slots <= maxTokens {
		return nil
	}
	return []ChangeFault{c.flawed("slots", fmt.Sprintf("slots must be between 1 and %d", int64(maxTokens)), "write enabled: false to lift the limit")}
}

// restate puts into t the rate and the burst that c sets.
func (c *Change) restate(t *terms) []ChangeFault {
	if c.Rate != "" {
		r, flaws := readRate("rate", c.Rate)
		if len(flaws) > 0 {
			return c.flaws(flaws)
		}
		t.rate = r
	}
	if c.Burst != nil {
		if *c.Burst < 1 || *c.Burst > buckets.MaxTicks {
			return []ChangeFault{c.flawed("burst", fmt.Sprintf("burst must be between 1 and %d", int64(buckets.MaxTicks)), "")}
		}
		t.burst = *c.Burst
	}
	return nil
}

// keep has what is used up of a bucket stay used when a change lowers it.
func (t *terms) keep(b buckets.Bucket) {
	if b, ok := b.(buckets.TokenBucket); ok {
		t.kept = b.Deepest() / b.Unit()
	}
}

// flaws are those of a limit that keep c from being made, at the field of c that
// is to blame.
func (c *Change) flaws(flaws []flaw) []ChangeFault {
	var faults []ChangeFault
	for _, f := range flaws {
		if f.algorithm {
			f.remedy = "state another period: a change keeps the algorithm, which the rule file states"
		}
		if f.severity == Error {
			faults = append(faults, c.flawed(c.blamed(f.field), f.message, f.remedy))
		}
	}
	return faults
}

// blamed is the field that c sets because of which another one does not fit.
func (c *Change) blamed(field string) string {
	stated := c.stated()
	switch {
	case slices.Contains(stated, field):
		return field
	case slices.Contains(stated, "burst"):
		return "burst"
	}
	return stated[0]
}

// tooHeavy tells that a weight of s, changed by c, could never pass.
func (c *Change) tooHeavy(s *limitSpec) []ChangeFault {
	if s.limit.Unlimited || s.limit.Bucket.Size() == 0 {
		return nil
	}
	r := roomOf(s.limit.Bucket)
	if s.heaviest <= r.most {
		return nil
	}
	message := fmt.Sprintf("a weight of the limit is %d, more than %s: it could never pass", s.heaviest, r.is)
	return []ChangeFault{c.flawed(c.blamed("weight"), message, "raise it")}
}
