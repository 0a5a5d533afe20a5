package stats

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

const (
	// maxSentNames bounds the names of limits that have values of clients in them,
	// maxRuleNames those of rules alone, and maxDomains the domains that have an "other"
	// and, apart from that, those that no rule knows.
	maxSentNames = 10_000
	maxRuleNames = 100_000
	maxDomains   = 1_000

	// maxNameLength bounds one name with its domain, in bytes.
	maxNameLength = 1_000

	// other is what everything beyond the bounds is counted under.
	other = "other"
)

type limitKey struct{ domain, name string }

// Limit is what is counted of the limits with a name in a domain; the name is dotted, as
// "key_value.key2_value2", without the domain. It may have values in it that a client sent:
// a name that is new when there are 10,000 such, or one of more than 1,000 bytes, is counted
// under "other". It takes no lock for a name that it knows.
func (s *Stats) Limit(domain, name string) *Limit {
	return s.limit(domain, name, &s.sentNames, maxSentNames)
}

// RuleLimit is [Stats.Limit] for a name that is made of rules alone: clients that fill the
// names leave room for it.
func (s *Stats) RuleLimit(domain, name string) *Limit {
	return s.limit(domain, name, &s.ruleNames, maxRuleNames)
}

func (s *Stats) limit(domain, name string, names *atomic.Int64, most int64) *Limit {
	if len(domain)+len(name) > maxNameLength {
		return s.beyond(domain)
	}
	key := limitKey{domain, name}
	// Shards keep the copies small that a new name costs.
	shard := &s.limits[uint8(31*maphash.String(s.seed, domain)+maphash.String(s.seed, name))]
	if found, ok := shard.get(key); ok {
		return found
	}
	if names.Load() >= most {
		return s.beyond(domain)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if found, ok := shard.get(key); ok {
		return found
	}
	names.Add(1)
	found := s.named(domain, name)
	shard.add(limitKey{strings.Clone(domain), strings.Clone(name)}, found)
	return found
}

// beyond is what limits of a domain are counted under that have no name of their own.
func (s *Stats) beyond(domain string) *Limit {
	s.logFull.Do(func() {
		s.log.Warn("there are too many names of limits, or one is too long: such limits are counted together from now on",
			"counted_as", other, "first_domain", domain, "most_names", maxSentNames, "most_bytes", maxNameLength,
			"remedy", "detailed_metric, value_to_metric and limits that come with requests make a name of each value: use fewer of them")
	})
	return obtain(s, &s.others, domain, maxDomains, func(domain string) *Limit { return s.named(domain, other) })
}

// named returns the limit with a name as it is shown, under the lock: several names can be
// one there.
func (s *Stats) named(domain, name string) *Limit {
	base := limitScope + clean(domain+"."+name)
	if found := s.byBase[base]; found != nil {
		return found
	}
	l, counters := newLimit(base)
	s.byBase[base] = l
	s.counters = append(s.counters, counters...)
	return l
}

// DomainNotFound counts a request for a domain that no rules are of. Domains beyond the
// first 1,000 are counted as one.
func (s *Stats) DomainNotFound(domain string) {
	obtain(s, &s.unknown, domain, maxDomains, func(domain string) *Counter {
		c := &Counter{}
		s.counters = append(s.counters, counted{limitScope + clean(domain), "." + notFound, c})
		return c
	}).Add(1)
}
