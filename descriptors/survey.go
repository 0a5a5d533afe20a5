package descriptors

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// Survey is rules with the places where they stand, for who compares them with
// what Envoy sends.
type Survey struct {
	domains map[string]*surveyed
	bad     map[string]struct{}
}

type surveyed struct {
	*domain
	at    place
	rules []*Stated // in order of files
	of    map[*node]*Stated
}

// Stated is a rule that has limits.
type Stated struct {
	Domain  string
	Name    string        // as its limits are called
	Keys    []string      // of the entries that it consumes
	Way     []Step        // the same, with what is known of their values
	Limits  []*Limit      // at least one
	Waits   time.Duration // the longest max_wait of them
	Reports bool          // some limit needs to be told how a request ended
	Breaks  bool          // each limit is a breaker
	at      place
	order   int
}

// Step is an entry that a rule consumes.
type Step struct {
	Key     string   // a pattern if it has a *
	FirstOf []string // keys of which the first counts that is sent with a stated value; else nil
	Value   string   // of one that states a single value
	Stated  bool     // there is a Value
	Text    string   // of the way to here, as rules are called
}

// Examine loads rule files as [Load] does.
func Examine(paths []string, opts Options) (*Survey, Faults) {
	files, faults := readFiles(paths, opts.Dialect)
	s, found := surveyOf(files, opts)
	return s, append(faults, found...).tidy()
}

func surveyOf(files []*file, opts Options) (*Survey, Faults) {
	set := assemble(files, opts)
	s := &Survey{domains: map[string]*surveyed{}, bad: set.bad}
	for name, members := range set.members {
		d := &surveyed{at: members[0].domainAt, of: map[*node]*Stated{}}
		d.domain, _ = compile(name, members, opts, &changing{survey: d.note})
		for _, r := range d.rules {
			r.Breaks = true
			for _, l := range r.Limits {
				r.Waits = max(r.Waits, l.MaxWait)
				r.Reports = r.Reports || l.reports()
				_, breaks := l.Bucket.(buckets.Breaker)
				r.Breaks = r.Breaks && breaks
			}
		}
		s.domains[name] = d
	}
	return s, set.faults
}

// note adds a limit to the rule that states it. What it waits is known later, when
// pools are divided.
func (d *surveyed) note(s *site) {
	r := d.of[s.node]
	if r == nil {
		last := s.rules[len(s.rules)-1]
		r = &Stated{Domain: s.limit.Domain, at: last.at, order: len(d.rules)}
		var way path
		for _, step := range s.rules {
			way = way.to(step)
			r.Keys = append(r.Keys, step.key)
			one := Step{Key: step.key, FirstOf: step.firstOf, Text: way.text}
			if step.kind == oneValue {
				one.Value, one.Stated = step.text, true
			}
			r.Way = append(r.Way, one)
		}
		r.Name, d.of[s.node], d.rules = way.text, r, append(d.rules, r)
	}
	r.Limits = append(r.Limits, s.limit)
}

// reports tells that a limit needs to know how a request ended.
func (l *Limit) reports() bool {
	switch l.Bucket.(type) {
	case buckets.Slots, buckets.Breaker:
		return !l.Disabled
	}
	return l.CountSuccess && !l.Disabled
}

// Domains names the domains that have rules without errors, in order.
func (s *Survey) Domains() []string { return slices.Sorted(maps.Keys(s.domains)) }

// Failed tells that there are rules of a domain, and errors in them.
func (s *Survey) Failed(domain string) bool {
	_, bad := s.bad[domain]
	return bad
}

// Rules are those of a domain that have limits, in order of files.
func (s *Survey) Rules(domain string) []*Stated {
	if d := s.domains[domain]; d != nil {
		return d.rules
	}
	return nil
}

// IsPassive tells whether entries of a key take no part in matching.
func (s *Survey) IsPassive(domain, key string) bool {
	d := s.domains[domain]
	return d != nil && d.isPassive(key)
}

// Passive are the keys of a domain's entries that take no part in matching, in order,
// without weir's own.
func (s *Survey) Passive(domain string) (keys []string) {
	d := s.domains[domain]
	for key := range d.passive {
		if key != endKey && key != ReceiptKey {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// Refuses tells whether a domain refuses what no rule limits.
func (s *Survey) Refuses(domain string) bool { return s.domains[domain].denyUnmatched }

// DecidedBy are the keys of entries that decide what the rule's limits cost, or which
// pool they draw from, beside those of its own.
func (r *Stated) DecidedBy() (keys []string) {
	for _, l := range r.Limits {
		deciding := []string{l.Weight.By}
		if l.share != nil {
			deciding = append(deciding, l.share.pool.splitBy...)
		}
		for _, key := range deciding {
			if key != "" && !slices.Contains(r.Keys, key) && !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// Tell makes a fault where a domain is stated, see [Document.Tell].
func (s *Survey) Tell(domain string, v Severity, id, message, remedy string) (f Fault, told bool) {
	return s.domains[domain].at.tell(v, id, message, remedy)
}

// Tell makes a fault where the rule stands, see [Document.Tell].
func (r *Stated) Tell(s Severity, id, message, remedy string) (f Fault, told bool) {
	return r.at.tell(s, id, message, remedy)
}

// Place is where the rule stands, as other messages name it.
func (r *Stated) Place() string { return r.at.String() }

// Expected is an entry as it is known before there is a request.
type Expected struct {
	Key      string   // empty: any
	Values   []string // one of these; none: any value
	Optional bool     // may be left out
}

// Meeting is what a descriptor may meet.
type Meeting struct {
	Rules   []*Stated // each may be the one; none: the descriptor meets no rule, whatever its values
	Passive bool      // no entry takes part in matching
	Shorter []*Stated // where none is met: rules that would need fewer entries
	Longer  []*Stated // or more
	Passed  []*Stated // or that are not tried, because another rule has the value of an entry
}

// Meet tells which rules of a domain a descriptor of these entries may meet.
func (s *Survey) Meet(domain string, entries []Expected) (m Meeting) {
	d := s.domains[domain]
	if d == nil {
		return m
	}
	m.Passive = true
	for _, e := range entries {
		m.Passive = m.Passive && d.isPassive(e.Key)
	}
	w := wander{d: d, back: d.matchBest}
	ends := w.walk(entries)
	m.Rules = d.stated(ends)
	if d.matchBest {
		m.Rules = d.stated(w.passed)
	}
	if len(m.Rules) > 0 || m.Passive {
		return m
	}
	m.Shorter, m.Longer = d.stated(w.passed), d.below(ends)
	again := wander{d: d, back: true}
	m.Passed = d.stated(again.walk(entries))
	return m
}

// stated are the rules with limits at nodes.
func (d *surveyed) stated(at map[where]bool) (rules []*Stated) {
	for w := range at {
		if r := d.of[w.node]; r != nil {
			rules = append(rules, r)
		}
	}
	slices.SortFunc(rules, func(a, b *Stated) int { return a.order - b.order })
	return slices.Compact(rules)
}

// below are the rules whose way leads through nodes.
func (d *surveyed) below(at map[where]bool) (rules []*Stated) {
	under := map[where]bool{}
	var add func(n *node)
	add = func(n *node) {
		n.children(func(child *node) {
			if w := (where{node: child}); !under[w] {
				under[w] = true
				add(child)
			}
		})
	}
	for w := range at {
		if w.node != &d.root {
			add(w.node)
		}
	}
	return d.stated(under)
}

// children calls visit with each node that n leads to.
func (n *node) children(visit func(*node)) {
	for _, child := range n.exact {
		visit(child)
	}
	for _, t := range n.networks {
		for _, child := range t.nodes {
			visit(child)
		}
	}
	for _, list := range n.patterns {
		for _, p := range list {
			visit(p.node)
		}
	}
	for _, p := range n.globs {
		visit(p.node)
	}
	n.any.each(func(_ string, child *node) { visit(child) })
	if n.first != nil {
		for _, child := range n.first.exact {
			visit(child)
		}
	}
}

// where is a node that a walk may be at, and the one whose first_of led there: more
// entries of its keys may follow.
type where struct{ node, from *node }

// wander walks the tree along entries of which not all is known.
type wander struct {
	d      *surveyed
	back   bool           // other choices than the first are tried too
	passed map[where]bool // where it was before the last entry
}

// walk answers where all entries may lead.
func (w *wander) walk(entries []Expected) map[where]bool {
	w.passed = map[where]bool{}
	now := map[where]bool{{node: &w.d.root}: true}
	for _, e := range entries {
		if w.d.isPassive(e.Key) && e.Key != "" {
			continue
		}
		next := map[where]bool{}
		for at := range now {
			w.passed[at] = true
			if e.Optional {
				next[at] = true
			}
			w.step(at, e, next)
		}
		now = next
	}
	if w.back {
		maps.Copy(w.passed, now)
	}
	return now
}

// step adds to next where an entry leads.
func (w *wander) step(at where, e Expected, next map[where]bool) {
	if e.Key == "" {
		w.anywhere(at, next)
		return
	}
	for _, n := range []*node{at.from, at.node} {
		if n != nil && n.first.has(e.Key) {
			if n == at.from || len(e.Values) == 0 || slices.ContainsFunc(e.Values, func(value string) bool { return n.first.exact[value] == nil }) {
				next[at] = true
			}
			for value, child := range n.first.exact {
				if len(e.Values) == 0 || slices.Contains(e.Values, value) {
					next[where{child, n}] = true
				}
			}
			return
		}
	}
	if len(e.Values) == 0 {
		at.node.leadsTo(e.Key, func(child *node) { next[where{node: child}] = true })
	}
	for _, value := range e.Values {
		below := choices{node: at.node, entry: &Entry{e.Key, value}}
		for child, _ := below.next(); child != nil; child, _ = below.next() {
			if next[where{node: child}] = true; !w.back {
				break
			}
		}
	}
}

// anywhere adds to next where an entry of an unknown key leads, which may be passive.
func (w *wander) anywhere(at where, next map[where]bool) {
	at.node.children(func(child *node) { next[where{node: child}] = true })
	for _, n := range []*node{at.from, at.node} {
		if n == nil || n.first == nil {
			continue
		}
		next[at] = true
		for _, child := range n.first.exact {
			next[where{child, n}] = true
		}
	}
	if own := 2; len(w.d.passive) > own { // weir's own keys are nobody else's
		next[at] = true
	}
}

// leadsTo calls visit with each node that some value of a key leads to.
func (n *node) leadsTo(key string, visit func(*node)) {
	for e, child := range n.exact {
		if e.Key == key {
			visit(child)
		}
	}
	if t := n.networks[key]; t != nil {
		for _, child := range t.nodes {
			visit(child)
		}
	}
	for _, p := range n.patterns[key] {
		visit(p.node)
	}
	for _, p := range n.globs {
		if p.key.matches(key) {
			visit(p.node)
		}
	}
	if child := n.any.get(key); child != nil {
		visit(child)
	}
}

// SameKeys tells of a rule that has the keys of a descriptor in another order.
func (r *Stated) SameKeys(keys []string) bool {
	own, other := slices.Sorted(slices.Values(r.Keys)), slices.Sorted(slices.Values(keys))
	return slices.Equal(own, other) && strings.Join(r.Keys, "\x00") != strings.Join(keys, "\x00")
}
