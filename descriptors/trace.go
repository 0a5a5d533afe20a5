package descriptors

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"
)

// trace tells, entry by entry, the way that a search has taken. It chooses nothing
// itself: where the way leads was decided by who walked it.
type trace struct {
	domain  *domain
	entries []Entry
	way     []step
	partly  bool // the rule consumes no more entries than the way has, and others are left over

	told  []ExplainedEntry
	rules []string // on the way, as key=value
	last  *node    // where the way ends
	at    int      // the entry at which no rule was met; len(entries) if there is none
}

// run follows the way along the entries.
func (t *trace) run() {
	t.last, t.at = &t.domain.root, len(t.entries)
	taken := 0
	for i := 0; i < len(t.entries); i++ {
		e := &t.entries[i]
		switch {
		case t.domain.isPassive(e.Key):
			t.told = append(t.told, t.domain.entry(e, Passive))
		case taken == len(t.way) && (t.at < len(t.entries) || t.partly):
			t.told = append(t.told, t.domain.entry(e, LeftOver))
		case t.last.first.has(e.Key):
			child, _, end := t.last.first.choose(t.domain, t.entries, i)
			if t.choice(i, end, child); child != nil {
				t.last = child
				taken++
			}
			i = end
		case taken < len(t.way):
			told := t.domain.entry(e, Unmet)
			told.Compared, told.Rule = t.domain.compare(t.last, e, t.way[taken].to)
			for _, c := range told.Compared {
				if c.Won {
					told.By = c.By
				}
			}
			t.told, t.rules = append(t.told, told), append(t.rules, told.Rule)
			t.last = t.way[taken].to
			taken++
		default:
			told := t.domain.entry(e, Unmet)
			told.Compared, _ = t.domain.compare(t.last, e, nil)
			t.told, t.at = append(t.told, told), i
		}
	}
}

// choice tells of entries i to end, of which a first_of has chosen one or none.
func (t *trace) choice(i, end int, child *node) {
	f, counts := t.last.first, -1
	for k := i; k <= end && child != nil; k++ {
		rank := slices.Index(f.keys, t.entries[k].Key)
		if rank >= 0 && f.exact[t.entries[k].Value] == child && (counts < 0 || rank < slices.Index(f.keys, t.entries[counts].Key)) {
			counts = k
		}
	}
	for ; i <= end; i++ {
		e := &t.entries[i]
		told := t.domain.entry(e, ByFirstOf)
		switch {
		case t.domain.isPassive(e.Key):
			told.By = Passive
		case i == counts:
			told.Rule = f.name + "=" + t.domain.told(f.name, e.Value)
			t.rules = append(t.rules, told.Rule)
		}
		t.told = append(t.told, told)
	}
}

// maxCompared bounds the patterns and networks that are told of one entry.
const maxCompared = 20

// compare tells what an entry is compared with below n, in the order of [choices],
// and how the rule that won is called.
func (d *domain) compare(n *node, e *Entry, won *node) (all []Comparison, rule string) {
	add := func(by EntryFate, text string, met bool, to *node) {
		c := Comparison{By: by, Rule: text, Met: met, Won: met && to == won && won != nil}
		if c.Won {
			rule = text
		}
		if len(all) < maxCompared || c.Won {
			all = append(all, c)
		}
	}
	several := func(by EntryFate, count int) {
		if count > 0 {
			all = append(all, Comparison{By: by, Rules: count})
		}
	}
	if to := n.exact[*e]; to != nil {
		add(ByExact, e.Key+"="+d.told(e.Key, e.Value), true, to)
	} else {
		several(ByExact, n.stated(e.Key))
	}
	c := choices{node: n, entry: e}
	c.findNetworks()
	held := false
	for to := c.nextNetwork(); to != nil; to = c.nextNetwork() {
		held = true
		add(ByNetwork, e.Key+"="+d.networkOf(n.networks[e.Key], to, e), true, to)
	}
	if t := n.networks[e.Key]; t != nil && !held {
		several(ByNetwork, len(t.nodes))
	}
	for _, p := range n.patternsOf(e.Key) {
		add(ByPattern, p.text(), c.meets(&p.pattern), p.node)
	}
	if to := n.any.get(e.Key); to != nil {
		add(ByKey, e.Key, true, to)
	}
	return all, rule
}

// stated counts the rules that state a value of a key.
func (n *node) stated(key string) (count int) {
	for e := range n.exact {
		if e.Key == key {
			count++
		}
	}
	return count
}

// networkOf is the text of the network that leads to a node. That of a single address
// is the value that was sent.
func (d *domain) networkOf(t *networks, to *node, e *Entry) string {
	for p, n := range t.nodes {
		if n == to && p.IsSingleIP() {
			return d.told(e.Key, e.Value)
		} else if n == to {
			return networkText(p)
		}
	}
	return ""
}

// called is a pattern, with its key as a rule writes it.
type called struct {
	pattern
	by string
}

// patternsOf are the patterns that meet a key, in the order in which they are tried.
func (n *node) patternsOf(key string) (all []called) {
	for _, p := range n.patterns[key] {
		all = append(all, called{p, key})
	}
	for _, p := range n.globs {
		if p.joined != nil || p.key.matches(key) {
			all = append(all, called{p, p.key.String()})
		}
	}
	slices.SortFunc(all, func(a, b called) int { return cmp.Compare(a.order, b.order) })
	return all
}

// text is how the rule of a pattern is called.
func (p *called) text() string {
	if p.values.kind == anyValue {
		return p.by
	}
	return p.by + p.values.kind.sign() + p.values.text
}

// onward are the keys for which rules lead on from n, patterns as they are written.
func (n *node) onward() iter.Seq[string] {
	keys := map[string]bool{}
	for e := range n.exact {
		keys[e.Key] = true
	}
	n.any.each(func(key string, _ *node) { keys[key] = true })
	for key := range n.patterns {
		keys[key] = true
	}
	for key := range n.networks {
		keys[key] = true
	}
	for _, p := range n.globs {
		keys[p.key.String()] = true
	}
	if n.first != nil {
		for _, key := range n.first.keys {
			keys[key] = true
		}
	}
	return slices.Values(slices.Sorted(maps.Keys(keys)))
}

// String is a glob as a rule may write it.
func (g glob) String() string {
	if g.starless {
		return g.prefix
	}
	parts := append(append([]string{g.prefix}, g.between...), g.suffix)
	return strings.Join(parts, "*")
}
