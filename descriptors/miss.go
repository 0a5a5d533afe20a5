package descriptors

import (
	"cmp"
	"iter"
	"slices"
	"strings"
)

// maxLooked bounds the nodes that are looked at to find the nearest rule.
const maxLooked = 10_000

// whyNone tells why no rule limits a descriptor that came as far as t, at n if all
// its entries were met, and what would.
func (d *domain) whyNone(w *ExplainedWay, n *node, t *trace) {
	here := cmp.Or(w.Rule, "the top of the rules")
	dead := t.at < len(t.entries)
	switch {
	case dead:
		d.whyUnmet(w, t, here)
	case t.last.leads():
		w.Why = "its entries end at " + here + ", which has no limits of its own"
		w.Remedy = "send what is missing too, or state a limit there"
	default:
		w.Why, w.Remedy = "the rule "+here+" has no limits", "state some there"
	}
	if !dead {
		below := nearestBelow{domain: d, left: maxLooked}
		if below.from(t.last, nil, nil); below.found != nil {
			w.Missing, w.Nearest = below.keys, strings.Join(append(slices.Clone(t.rules), below.found...), "/")
		}
	}
	if d.matchBest {
		return
	}
	o := elsewhere{domain: d, entries: t.entries, left: maxLooked}
	if o.from(&d.root, 0); o.found != nil {
		at := 0
		for at < len(t.rules) && at < len(o.found) && t.rules[at] == o.found[at] {
			at++
		}
		w.Nearest, w.Missing = strings.Join(o.found, "/"), nil
		if at < len(t.rules) && at < len(o.found) {
			w.Why += "; " + t.rules[at] + " was chosen before " + o.found[at] + ", which would lead to a limit, and what is chosen stays chosen"
		}
		w.Remedy = "repeat the limit below " + strings.Join(t.rules[:min(at+1, len(t.rules))], "/") + ", or write matching: best"
	}
}

// whyUnmet tells why an entry meets no rule.
func (d *domain) whyUnmet(w *ExplainedWay, t *trace, here string) {
	e, n := &t.entries[t.at], t.last
	if !n.leads() {
		w.Why = "the rule " + here + " ends before " + quote(e.Key) + ": it is for descriptors of exactly its own entries"
		w.Remedy = "add a rule for " + quote(e.Key) + " below it, put " + quote(e.Key) + " on passive, or write matching: best"
		if n.states {
			w.Nearest = w.Rule
		}
		return
	}
	keys := slices.Collect(n.onward())
	if len(n.patternsOf(e.Key)) == 0 && !slices.Contains(keys, e.Key) {
		w.Why = "no rule has the key " + quote(e.Key) + " at " + here + ": the keys there are " + enumerate(keys)
		w.Missing = []string{keys[0]}
		if len(keys) > 1 {
			w.Missing = nil
		}
		w.Remedy = "send one of these keys, add a rule for " + quote(e.Key) + ", or put it on passive"
		if near := nearest(e.Key, slices.Values(keys)); near != "" {
			w.Remedy = "did you mean " + quote(near) + "?"
		}
		return
	}
	w.Why = "no rule for " + quote(e.Key) + " at " + here + " meets this value"
	w.Remedy = "add a rule for the value, or for the key alone"
	if values := d.values(n, e.Key); len(values) > 0 {
		w.Why += ": those with a value state " + enumerate(values)
		if near := nearest(e.Value, slices.Values(values)); near != "" {
			w.Remedy = "did you mean " + quote(near) + "?"
		}
	}
}

// leads tells whether rules lead on from n.
func (n *node) leads() bool {
	for range n.onward() {
		return true
	}
	return false
}

// values are those that rules state for a key below n, none where they are hidden or
// too many to be read.
func (d *domain) values(n *node, key string) (values []string) {
	if d.hash.hides(key) {
		return nil
	}
	for e := range n.exact {
		if e.Key == key {
			values = append(values, e.Value)
		}
		if len(values) > maxLooked {
			return nil
		}
	}
	slices.Sort(values)
	return values
}

// nearest is the one of names that differs from name in few letters, if there is one.
func nearest(name string, names iter.Seq[string]) (best string) {
	least := max(1, len(name)/3) + 1
	for known := range names {
		if n := distance(strings.ToLower(name), strings.ToLower(known), least); n < least {
			best, least = known, n
		}
	}
	return best
}

// enumerate lists names, the first few of many.
func enumerate(names []string) string {
	const most = 8
	var quoted []string
	for _, name := range names[:min(len(names), most)] {
		quoted = append(quoted, quote(name))
	}
	if len(names) > most {
		return strings.Join(quoted, ", ") + " and others"
	}
	return strings.Join(quoted, ", ")
}

// nearestBelow looks for the rule with limits that takes the fewest entries more.
type nearestBelow struct {
	domain      *domain
	left        int
	found, keys []string // the rules on the way to it, and their keys
}

func (s *nearestBelow) from(n *node, rules, keys []string) {
	if s.left--; s.left < 0 || s.found != nil && len(rules) > len(s.found) {
		return
	}
	if n.states && len(rules) > 0 {
		if s.found == nil || len(rules) < len(s.found) || slices.Compare(rules, s.found) < 0 {
			s.found, s.keys = slices.Clone(rules), slices.Clone(keys)
		}
		return
	}
	s.domain.each(n, func(key, rule string, child *node) {
		s.from(child, append(slices.Clip(rules), rule), append(slices.Clip(keys), key))
	})
}

// each calls visit for what leads on from n: the key, how the rule is called, and
// where it leads.
func (d *domain) each(n *node, visit func(key, rule string, child *node)) {
	n.any.each(func(key string, child *node) { visit(key, key, child) })
	for e, child := range n.exact {
		visit(e.Key, d.ruleOf(e.Key, e.Value), child)
	}
	for key, t := range n.networks {
		for p, child := range t.nodes {
			text := networkText(p)
			if p.IsSingleIP() {
				text = d.unsent(key, text)
			}
			visit(key, key+"="+text, child)
		}
	}
	for key := range n.patterns {
		for _, p := range n.patternsOf(key) {
			visit(p.by, p.text(), p.node)
		}
	}
	for _, p := range n.globs {
		c := called{p, p.key.String()}
		visit(c.by, c.text(), p.node)
	}
	if n.first != nil {
		for value, child := range n.first.exact {
			visit(n.first.name, d.ruleOf(n.first.name, value), child)
		}
	}
}

// ruleOf is how a rule that states a value is called, by who may not have sent it.
func (d *domain) ruleOf(key, value string) string { return key + "=" + d.unsent(key, value) }

// unsent is a value that a rule states: hidden, even its hash, where the domain hides
// it, for nobody has to learn by asking which values have rules.
func (d *domain) unsent(key, value string) string {
	if d.hash.hides(key) {
		return "(hidden)"
	}
	return value
}

// elsewhere looks for a rule with limits for all entries on the ways that matching,
// which does not go back, did not take.
type elsewhere struct {
	domain  *domain
	entries []Entry
	left    int
	taken   []turn
	found   []string // the rules on the way to it
}

// turn is one choice on a way: at a node the rule of an entry that leads to the next,
// or of several of a first_of, which has a name.
type turn struct {
	at    *node
	entry *Entry
	to    *node
	name  string
}

// names are what the rules on the way are called.
func (s *elsewhere) names() (rules []string) {
	for _, t := range s.taken {
		rule := t.name
		if rule == "" {
			_, rule = s.domain.compare(t.at, t.entry, t.to)
		}
		rules = append(rules, rule)
	}
	return rules
}

func (s *elsewhere) from(n *node, i int) {
	if s.left--; s.left < 0 || s.found != nil {
		return
	}
	for i < len(s.entries) && s.domain.isPassive(s.entries[i].Key) {
		i++
	}
	if i == len(s.entries) {
		if n.states {
			s.found = s.names()
		}
		return
	}
	e := &s.entries[i]
	if n.first.has(e.Key) {
		child, taken, last := n.first.choose(s.domain, s.entries, i)
		if child == nil {
			s.from(n, last+1)
			return
		}
		s.to(last+1, turn{n, e, child, taken.key + "=" + s.domain.told(taken.key, taken.value)})
		return
	}
	below := choices{node: n, entry: e}
	for child, _ := below.next(); child != nil; child, _ = below.next() {
		s.to(i+1, turn{n, e, child, ""})
	}
}

func (s *elsewhere) to(i int, t turn) {
	s.taken = append(s.taken, t)
	s.from(t.to, i)
	s.taken = s.taken[:len(s.taken)-1]
}
