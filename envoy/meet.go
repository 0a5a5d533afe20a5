package envoy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weir-rls/weir/descriptors"
)

// expected are the entries of a descriptor, and whether a request can have them all.
func (s *sent) expected() (all []descriptors.Expected, made bool) {
	for _, e := range s.entries {
		if e.never {
			return nil, false
		}
		if e.Optional && len(e.Values) == 1 && e.Values[0] == "" {
			continue
		}
		all = append(all, e.Expected)
	}
	return all, len(all) > 0
}

// meets notes which rules a descriptor may meet, on the route looked at.
func (c *checker) meets(f *filter, s *sent) descriptors.Meeting {
	expected, made := s.expected()
	if !made {
		return descriptors.Meeting{Passive: true}
	}
	s.made = true
	c.of(s.domain.text())
	m := c.meet(s.domain.text(), expected)
	s.matched = s.matched || len(m.Rules) > 0 || m.Passive
	if r := m.waits; r != nil && !s.atEnd() {
		f.waitFor(r)
	}
	return m.Meeting
}

// met is what a descriptor may meet, and of the rules those that matter most.
type met struct {
	descriptors.Meeting
	waits   *descriptors.Stated // the one that lets its requests wait longest, if any does
	reports *descriptors.Stated // the first that needs to know how requests end
}

// meet is what a descriptor may meet, and notes that it is sent. Many routes send the same, which is
// looked for once.
func (c *checker) meet(domain string, expected []descriptors.Expected) met {
	key := fmt.Sprintf("%q %#v", domain, expected)
	if m, known := c.meetings[key]; known {
		return m
	}
	m := met{Meeting: c.rules.Meet(domain, expected)}
	for _, r := range m.Rules {
		c.of(domain).met[r] = true
		if r.Waits > 0 && (m.waits == nil || r.Waits > m.waits.Waits) {
			m.waits = r
		}
		if r.Reports && m.reports == nil {
			m.reports = r
		}
	}
	c.meetings[key] = m
	return m
}

// waitFor notes a rule that lets requests of the filter wait.
func (f *filter) waitFor(r *descriptors.Stated) {
	if r.Waits > f.waits {
		f.waits, f.waiting = r.Waits, r
	}
}

// judge tells what is wrong with a rate limit, once all routes were looked at.
func (c *checker) judge(f *filter, s *sent) {
	c.form(f, s)
	if domain := s.domain.text(); !slices.Contains(c.rules.Domains(), domain) {
		c.undefined(s.domain)
		return
	}
	switch {
	case len(s.at.get("actions").items()) == 0:
	case !s.made && !f.chain.elsewhere:
		for _, e := range s.entries {
			if e.never {
				c.tell(e.at, "metadata-missing", "write metadata: {filter_metadata: ...} on the routes, or a default_value", "no route has this metadata, so the descriptor is never sent")
				return
			}
		}
	case s.made && !s.matched:
		expected, _ := s.expected()
		c.unmatched(s.at, s.domain.text(), expected)
	}
}

// undefined tells that a domain has no rules.
func (c *checker) undefined(domain value) {
	name := domain.text()
	if !domain.ok() || c.rules.Failed(name) || slices.Contains(c.rules.Domains(), name) {
		return
	}
	remedy := "write rules for it"
	if all := c.rules.Domains(); len(all) > 0 {
		remedy += ", or one of the domains that have some: " + strings.Join(all, ", ")
	}
	c.tell(domain, "domain-without-rules", remedy, "the domain %s has no rules: nothing that this filter sends is limited", quote(name))
}

// unmatched tells why a descriptor that no rule meets does not meet the one that it
// probably means.
func (c *checker) unmatched(at value, domain string, expected []descriptors.Expected) {
	m, text := c.meet(domain, expected), describe(expected)
	var keys []string
	for _, e := range expected {
		if !c.rules.IsPassive(domain, e.Key) {
			keys = append(keys, e.Key)
		}
	}
	for _, r := range c.rules.Rules(domain) {
		if r.SameKeys(keys) {
			c.tell(at, "descriptor-order", "put the actions in the order of the rule: "+strings.Join(r.Keys, ", "),
				"no rule meets %s: the rule %s at %s has the same keys in another order", text, quote(r.Name), r.Place())
			return
		}
	}
	switch {
	case len(m.Passed) > 0:
		r := m.Passed[0]
		c.tell(at, "no-backtracking", "repeat what is below "+quote(r.Name)+" there, or write matching: best in the rules' domain",
			"no rule meets %s: a rule with a value of its own takes it away from %s at %s, which is not tried then", text, quote(r.Name), r.Place())
	case len(m.Longer) > 0:
		r := m.Longer[0]
		c.tell(at, "descriptor-too-short", "send "+quote(strings.Join(r.Keys[min(len(keys), len(r.Keys)):], ", "))+" too, or state limits of the shorter one",
			"no rule meets %s: the rule %s at %s has more entries, and all must be there", text, quote(r.Name), r.Place())
	case len(m.Shorter) > 0:
		r := m.Shorter[len(m.Shorter)-1]
		c.tell(at, "descriptor-too-long", "send only "+quote(strings.Join(r.Keys, ", "))+", make the other entries passive in the rules, or write matching: best there",
			"no rule meets %s: the rule %s at %s has fewer entries, and must consume all", text, quote(r.Name), r.Place())
	default:
		c.tell(at, "descriptor-unmatched", "write a rule for it, or correct its keys and values"+c.meant(domain, keys), "no rule of the domain %s meets %s", quote(domain), text)
	}
}

// meant names what may be meant by a descriptor that no rule meets: a rule of the same
// keys, or a key that reads alike.
func (c *checker) meant(domain string, keys []string) string {
	for _, r := range c.rules.Rules(domain) {
		if slices.Equal(r.Keys, keys) {
			return ": the rule " + quote(r.Name) + " at " + r.Place() + " has the same keys"
		}
	}
	for _, r := range c.rules.Rules(domain) {
		for _, known := range r.Keys {
			for _, key := range keys {
				if known != key && alike(known, key) {
					return ": did you mean the key " + quote(known) + " of the rule at " + r.Place() + "?"
				}
			}
		}
	}
	return ""
}

// describe is a descriptor for a message.
func describe(expected []descriptors.Expected) string {
	var parts []string
	for _, e := range expected {
		text := e.Key
		switch {
		case e.Key == "":
			text = "*"
		case len(e.Values) > 0:
			text += "=" + strings.Join(e.Values, "|")
		}
		parts = append(parts, text)
	}
	return fmt.Sprintf("the descriptor (%s)", clipped(strings.Join(parts, ", ")))
}

// clipped is text from a file without its control characters, and not too long.
func clipped(text string) string {
	quoted := quote(text)
	return quoted[1 : len(quoted)-1]
}

// open tells where a request may come that has no descriptor at all, although some are
// made for its route.
func (c *checker) open(f *filter, here []*sent) {
	var conditions [][]string
	var first *entry
	closed := false // some descriptor is always there
	for _, s := range here {
		m := c.meets(f, s)
		if s.atEnd() || len(m.Rules) == 0 {
			continue
		}
		when, lacks := s.conditions()
		closed = closed || len(when) == 0
		if conditions = append(conditions, when); first == nil {
			first = lacks
		}
	}
	if closed || first == nil || covered(conditions) {
		return
	}
	c.tell(first.at, "absent-value", remedyFor(first),
		"a request %s has no descriptor that a rule meets: Envoy leaves it out, and the request passes unlimited", first.absent)
}

func remedyFor(e *entry) string {
	if e.at.get("metadata_key").ok() {
		return "write a default_value"
	}
	return "add a descriptor for it: header_value_match with expect_match: false, generic_key or remote_address"
}

// conditions are those that a request must meet to have the descriptor, and the first
// entry that it may lack.
func (s *sent) conditions() (when []string, lacks *entry) {
	optional := true
	for i := range s.entries {
		e := &s.entries[i]
		optional = optional && e.Optional
		if e.when == "" || e.Optional {
			continue
		}
		if when = append(when, e.when); lacks == nil {
			lacks = e
		}
	}
	if optional && len(s.entries) > 0 {
		lacks = &s.entries[0]
		for _, e := range s.entries {
			when = append(when, e.when)
		}
	}
	return when, lacks
}

// covered tells that each request has one of the descriptors, whatever it has of what
// they depend on.
func covered(conditions [][]string) bool {
	var names []string // of what may be so or not
	for _, all := range conditions {
		for _, one := range all {
			if name := strings.TrimPrefix(one, "!"); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	if len(names) > mostConditions {
		return false
	}
	for request := range 1 << len(names) {
		met := func(one string) bool {
			name, unless := strings.CutPrefix(one, "!")
			return (request>>slices.Index(names, name)&1 == 1) != unless
		}
		if !slices.ContainsFunc(conditions, func(all []string) bool {
			return !slices.ContainsFunc(all, func(one string) bool { return !met(one) })
		}) {
			return false
		}
	}
	return true
}

// mostConditions bounds those of which all combinations are tried.
const mostConditions = 10
