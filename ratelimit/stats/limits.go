package stats

import (
	"hash/maphash"
	"strings"
)

const (
	// maxNames bounds the names of limits, and maxDomains the domains that have an
	// "other" and, apart from that, those that no rule knows: clients choose all three.
	maxNames   = 10_000
	maxDomains = 1_000

	// maxNameLength bounds one name with its domain, in bytes.
	maxNameLength = 1_000

	// other is what everything beyond the bounds is counted under.
	other = "other"
)

type limitKey struct{ domain, name string }

// Limit is what is counted of the limits with a name in a domain; the name is dotted, as
// "key_value.key2_value2", without the domain. A name that is new when there are 10,000, or
// one of more than 1,000 bytes, is counted under "other". It takes no lock for a name that
// it knows.
func (s *Stats) Limit(domain, name string) *Limit {
	if len(domain)+len(name) > maxNameLength {
		return s.beyond(domain)
	}
	key := limitKey{domain, name}
	// Shards keep the copies small that a new name costs.
	shard := &s.limits[uint8(31*maphash.String(s.seed, domain)+maphash.String(s.seed, name))]
	if found, ok := shard.get(key); ok {
		return found
	}
	if s.names.Load() >= maxNames {
		return s.beyond(domain)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if found, ok := shard.get(key); ok {
		return found
	}
	s.names.Add(1)
	found := s.named(domain, name)
	shard.add(limitKey{strings.Clone(domain), strings.Clone(name)}, found)
	return found
}

// beyond is what limits of a domain are counted under that have no name of their own.
func (s *Stats) beyond(domain string) *Limit {
	s.logFull.Do(func() {
		s.log.Warn("there are too many names of limits, or one is too long: such limits are counted together from now on",
			"counted_as", other, "first_domain", domain, "most_names", maxNames, "most_bytes", maxNameLength,
			"remedy", "detailed_metric, value_to_metric and limits that come with requests make a name of each value: use fewer of them")
	})
	if len(domain) > maxNameLength {
		domain = other
	}
	if found, ok := s.others.get(domain); ok {
		return found
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.others.len() >= maxDomains {
		domain = other
	}
	if found, ok := s.others.get(domain); ok {
		return found
	}
	found := s.named(domain, other)
	s.others.add(strings.Clone(domain), found)
	return found
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
	if len(domain) > maxNameLength {
		domain = other
	}
	c, ok := s.unknown.get(domain)
	if !ok {
		c = s.addUnknown(domain)
	}
	c.Add(1)
}

func (s *Stats) addUnknown(domain string) *Counter {
	if s.unknown.len() >= maxDomains {
		domain = other
		if c, ok := s.unknown.get(domain); ok {
			return c
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unknown.len() >= maxDomains {
		domain = other
	}
	if c, ok := s.unknown.get(domain); ok {
		return c
	}
	base := limitScope + clean(domain)
	c := &Counter{}
	s.unknown.add(strings.Clone(domain), c)
	s.counters = append(s.counters, counted{base, "." + notFound, c})
	return c
}
