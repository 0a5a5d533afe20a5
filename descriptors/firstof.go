package descriptors

import (
	"slices"
	"strings"
)

// maxFirstOf bounds the keys of a first_of.
const maxFirstOf = 8

// firstOf are the rules of one list that are met by the first of several entries
// that has a value for which there is a rule. Entries of its keys stand next to
// each other in a descriptor, in any order, and each may be absent. Which of them
// decided is no part of a bucket's key: a group is the same group, whoever named
// it.
type firstOf struct {
	keys  []string
	name  string // as key of a step
	exact map[string]*node
}

// firstOfName is the key of rules with a first_of: what their limits and buckets
// are called by.
func firstOfName(keys []string) string { return strings.Join(keys, "|") }

// choose reads the entries from i on that f is about. It answers the last of
// them, and the node where the one that counts leads; nil if none does, which is
// as if they were not there.
func (f *firstOf) choose(d *domain, entries []Entry, i int) (n *node, taken step, last int) {
	best := len(f.keys)
	for ; i < len(entries); i++ {
		e := &entries[i]
		rank := slices.Index(f.keys, e.Key)
		if rank < 0 && !d.isPassive(e.Key) {
			break
		}
		if rank < 0 {
			continue
		}
		last = i
		if child := f.exact[e.Value]; child != nil && rank < best {
			n, taken, best = child, step{f.name, e.Value, plainStep, false, child}, rank
		}
	}
	return n, taken, last
}

// has tells whether an entry of a key is one of f's, which may be nil.
func (f *firstOf) has(key string) bool { return f != nil && slices.Contains(f.keys, key) }

// firstOf reads the keys of a rule that has several, and its value.
func (w *walker) firstOf(f field, fields map[string]field, r *rule) bool {
	items, ok := w.items(f)
	if ok && (len(items) == 0 || len(items) > maxFirstOf) {
		w.fail(f.value, "", "first_of has 1 to %d keys, not %d", maxFirstOf, len(items))
		ok = false
	}
	for _, n := range items {
		key, sound := w.str(field{f.key, n})
		if sound && (key == "" || strings.Contains(key, "*") || slices.Contains(r.firstOf, key)) {
			w.fail(n, "name keys of entries, each once", "%s cannot stand in a first_of", quote(key))
			sound = false
		}
		r.firstOf, ok = append(r.firstOf, key), ok && sound
	}
	r.key, r.at = firstOfName(r.firstOf), at(w.text, f.value)
	if k, both := fields["key"]; both {
		w.fail(k.key, "keep one of the two", "the descriptor has both key and first_of")
		return false
	}
	if !ok || !w.values(fields, r) {
		return false
	}
	if r.kind == oneValue || r.kind == anyValue && r.barren(fields) {
		return true
	}
	w.fail(f.value, "state one value, without *", "a first_of that has limits or descriptors needs a value")
	return false
}

// barren tells that a rule has nothing but a first_of: it lets entries of its keys
// stand where a list has no value for them.
func (r *rule) barren(fields map[string]field) bool { return len(r.firstOf) > 0 && len(fields) == 1 }

// keys are the keys of the entries that r is met by.
func (r *rule) keys() []string {
	if r.firstOf != nil {
		return r.firstOf
	}
	return []string{r.key}
}

// addFirstOf makes child the node that r leads to.
func (n *node) addFirstOf(r *rule, child *node) {
	if n.special().first == nil {
		n.first = &firstOf{keys: r.firstOf, name: r.key, exact: map[string]*node{}}
	}
	if r.kind == oneValue {
		n.first.exact[r.text] = child
	}
}

// firstOfs reports the rules of one list that a first_of keeps from being met: it
// takes all entries of its keys.
func (c *compiler) firstOfs(rules []*rule) {
	at := slices.IndexFunc(rules, func(r *rule) bool { return r.firstOf != nil })
	if at < 0 {
		return
	}
	first := rules[at]
	for _, r := range rules {
		switch {
		case r.firstOf != nil && !slices.Equal(r.firstOf, first.firstOf):
			c.fail(r.at, "another first_of than at "+first.at.String(), "a list of descriptors has one")
		case r.firstOf == nil && slices.Contains(first.firstOf, r.key):
			c.fail(r.at, "the first_of at "+first.at.String()+" takes the entries of "+quote(r.key), "put this elsewhere in the tree")
		}
	}
}
