package descriptors

import "strconv"

// search looks for the deepest rule with limits on the way of a descriptor's
// entries, under `matching: best`: where a choice leads to no limit it goes back
// to the next one, and entries beyond the rule are left over. Of rules equally
// deep the first in the order of [choices] wins, at the first entry where
// they differ.
//
// Which rule that is depends on the entries it consumes alone, so that one
// bucket's key never belongs to two rules.
type search struct {
	d       *domain
	entries []Entry
	way     []step // to the node that is looked at
	found   *node
	taken   []step // to found
	length  int    // entries that are not passive
	visits  int
}

// best is what find is under `matching: best`.
func (d *domain) best(entries []Entry) (n *node, taken []step, active bool) {
	s := search{d: d, entries: entries}
	for i := range entries {
		if !d.isPassive(entries[i].Key) {
			s.length++
		}
	}
	s.from(&d.root, 0)
	return s.found, s.taken, s.length > 0
}

// from looks below n, to which s.way leads, with the entries from i on. What
// cannot lead deeper than found is not looked at.
func (s *search) from(n *node, i int) {
	s.visits++
	if n.states && len(s.way) > len(s.taken) {
		s.found, s.taken = n, append(s.taken[:0], s.way...)
	}
	for i < len(s.entries) && s.d.isPassive(s.entries[i].Key) {
		i++
	}
	if i == len(s.entries) {
		return
	}
	if n.first.has(s.entries[i].Key) {
		s.first(n, i)
		return
	}
	below := choices{node: n, entry: &s.entries[i]}
	for child, taken := below.next(); child != nil; child, taken = below.next() {
		if min(len(s.way)+1+int(child.height), s.length) > len(s.taken) {
			s.way = append(s.way, taken)
			s.from(child, i+1)
			s.way = s.way[:len(s.way)-1]
		}
	}
}

// first looks below n where the entries from i on are those of a first_of: what
// does not count is as if it were not there, and no choice to go back to.
func (s *search) first(n *node, i int) {
	child, taken, last := n.first.choose(s.d, s.entries, i)
	if child == nil {
		s.from(n, last+1)
		return
	}
	s.way = append(s.way, taken)
	s.from(child, last+1)
	s.way = s.way[:len(s.way)-1]
}

// maxVisits bounds the nodes that one descriptor can make a search visit. The
// tree bounds them, not the descriptor: each node has one way to it. But
// patterns side by side, each with the same below it, multiply level by level.
const maxVisits = 10_000

// measure fills in the heights below n, and answers how many nodes a search from
// n visits at most: of each key one exact value, and everything else.
func (n *node) measure() (visits int) {
	byKey := map[string]int{}
	below := func(child *node) int {
		v := child.measure()
		if child.states || child.height > 0 {
			n.height = max(n.height, child.height+1)
		}
		return v
	}
	if n.first != nil {
		most := 0
		for _, child := range n.first.exact {
			most = max(most, below(child))
		}
		for _, key := range n.first.keys {
			byKey[key] = most
		}
	}
	for e, child := range n.exact {
		byKey[e.Key] = max(byKey[e.Key], below(child))
	}
	n.any.each(func(key string, child *node) { byKey[key] += below(child) })
	for key, list := range n.patterns {
		for _, p := range list {
			byKey[key] += below(p.node)
		}
	}
	for key, t := range n.networks {
		byKey[key] += t.measure(below)
	}
	for _, v := range byKey {
		visits = max(visits, v)
	}
	for _, p := range n.globs {
		visits += below(p.node)
	}
	return min(1+visits, maxVisits+1)
}

// measure answers how many nodes the networks that hold one address lead to at
// most.
func (t *networks) measure(below func(*node) int) (most int) {
	own := map[*node]int{}
	for _, n := range t.nodes {
		own[n] = below(n)
	}
	for p := range t.nodes {
		sum := 0
		for _, bits := range t.lengths {
			sum += own[t.holding(p, bits)]
		}
		most = max(most, sum)
	}
	return most
}

// bounded reports a tree that a search could take too long in.
func (c *compiler) bounded(at place) {
	if c.domain.root.measure() > maxVisits {
		c.fail(at, "matching: best would try more than "+strconv.Itoa(maxVisits)+" rules for one descriptor",
			"use fewer patterns that meet the same values, or matching: exact")
	}
}
