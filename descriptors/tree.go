package descriptors

import (
	"net/netip"
	"strings"
)

// node is a place in the tree of descriptors. There is one for each rule, so it has 80
// bytes, and what few rules have is apart.
type node struct {
	limits []Limit
	exact  map[Entry]*node
	any    byKey // whatever the value
	*uncommon
	height int32 // steps to the deepest rule with limits; only under `matching: best`
	states bool  // the rule has limits, if also none that is enabled
}

// uncommon is what leads on from few nodes.
type uncommon struct {
	networks map[string]*networks // by key
	patterns map[string][]pattern // by key, where it has no *
	globs    []pattern            // of several keys
	first    *firstOf             // before all others; nil if there is none
	count    int                  // of patterns and globs
}

// nothing leads on, and is nobody's to change.
var nothing = &uncommon{}

// special is what is uncommon of n, for somebody who adds to it.
func (n *node) special() *uncommon {
	if n.uncommon == nothing {
		n.uncommon = &uncommon{}
	}
	return n.uncommon
}

// byKey leads from keys to nodes. Below most rules there is one key, and a map for it
// would take 300 bytes.
type byKey struct {
	key  string
	node *node // nil: there is none
	more map[string]*node
}

func (k *byKey) add(key string, n *node) {
	switch {
	case k.node == nil || k.key == key:
		k.key, k.node = key, n
	case k.more == nil:
		k.more = map[string]*node{key: n}
	default:
		k.more[key] = n
	}
}

func (k *byKey) get(key string) *node {
	if k.node != nil && k.key == key {
		return k.node
	}
	return k.more[key]
}

// each calls visit with every key and its node.
func (k *byKey) each(visit func(key string, n *node)) {
	if k.node == nil {
		return
	}
	visit(k.key, k.node)
	for key, n := range k.more {
		visit(key, n)
	}
}

// pattern is a rule that is tried in the order of the file.
type pattern struct {
	order  int
	key    glob
	values values
	joined *glob // of key_value, which alone counts in the Reference dialect
	node   *node
	shared string // instead of a value in a bucket's key
	sign   byte
}

// step is one entry that a rule consumed, as it stands in a bucket's key: sign
// is = for a value that the rule states or leaves open, and ~ for one that met
// a pattern or a network. A value may be hashed, see [keyHash].
type step struct {
	key, value string
	sign       byte
	hashed     bool
	to         *node // of the rule; nil where none consumed the entry, see [domain.whole]
}

const (
	plainStep   = '='
	patternStep = '~'

	sharedStep      = '*' // the pattern itself, under share_threshold
	sharedRegexStep = '%'
	sharedKeyStep   = '+' // of a key with a *
)

// add makes child the node that r's entry leads to.
func (n *node) add(r *rule, child *node, in Dialect, t *texts) {
	switch {
	case r.firstOf != nil:
		n.addFirstOf(r, child)
	case r.kind == globValue || r.kind == regexValue || strings.Contains(r.key, "*"):
		n.addPattern(r, child, in)
	case r.kind == networkValue:
		if n.special().networks == nil {
			n.networks = map[string]*networks{}
		}
		if n.networks[r.key] == nil {
			n.networks[r.key] = &networks{nodes: map[netip.Prefix]*node{}}
		}
		network, _ := parseNetwork(r.text) // which the file's reader has written
		n.networks[r.key].add(network, child)
	case r.kind == oneValue:
		if n.exact == nil {
			n.exact = map[Entry]*node{}
		}
		n.exact[Entry{r.key, t.join(r.text)}] = child
	default:
		n.any.add(r.key, child)
	}
}

func (n *node) addPattern(r *rule, child *node, in Dialect) {
	p := pattern{key: newGlob(r.key), values: r.values, node: child, order: n.special().count, sign: patternStep}
	n.count++
	if in == Reference && r.kind != regexValue {
		joined := newGlob(r.statText())
		p.joined, p.sign = &joined, plainStep // an override of these entries has this bucket, too
	}
	if r.shared {
		p.shared, p.sign = r.sharedStep()
	}
	if !p.key.starless || p.joined != nil {
		n.globs = append(n.globs, p)
		return
	}
	if n.patterns == nil {
		n.patterns = map[string][]pattern{}
	}
	n.patterns[r.key] = append(n.patterns[r.key], p)
}

// choices are where an entry leads from a node, in the order in which rules win:
// the exact value, networks by the longest prefix, patterns in the order of the
// file, the key alone.
type choices struct {
	node  *node
	entry *Entry
	stage uint8

	networks    *networks // those of the key that are left, if the value is an address
	network     netip.Prefix
	lengths     []int
	own, shared []pattern // left, of the key itself and of keys with a *
	joined      string    // key_value, once it was needed
}

// next is the next choice, nil if there is none.
func (c *choices) next() (*node, step) {
	n, e := c.node, c.entry
	if c.stage == 0 {
		c.stage = 1
		if child := n.exact[*e]; child != nil {
			return child, step{e.Key, e.Value, plainStep, false, child}
		}
	}
	if c.stage == 1 {
		c.stage, c.own, c.shared = 2, n.patterns[e.Key], n.globs
		c.findNetworks()
	}
	if child := c.nextNetwork(); child != nil {
		return child, step{e.Key, networkText(c.network), patternStep, false, child}
	}
	if p := c.nextPattern(); p != nil {
		taken := step{e.Key, e.Value, p.sign, false, p.node}
		if p.shared != "" {
			taken.value = p.shared
		}
		return p.node, taken
	}
	if c.stage == 2 {
		c.stage = 3
		child := n.any.get(e.Key)
		return child, step{e.Key, e.Value, plainStep, false, child}
	}
	return nil, step{}
}

// findNetworks has an address written in one way, so that it has one bucket:
// 10.0.0.1 and ::ffff:10.0.0.1 are one caller.
func (c *choices) findNetworks() {
	t := c.node.networks[c.entry.Key]
	if t == nil {
		return
	}
	if p, ok := parseNetwork(c.entry.Value); ok {
		c.networks, c.network, c.lengths = t, p, t.lengths
	}
}

func (c *choices) nextNetwork() *node {
	for len(c.lengths) > 0 {
		bits := c.lengths[0]
		c.lengths = c.lengths[1:]
		if n := c.networks.holding(c.network, bits); n != nil {
			return n
		}
	}
	return nil
}

// meets tells whether the entry meets a pattern of its key or of any.
func (c *choices) meets(p *pattern) bool {
	switch {
	case p.joined == nil:
		return p.key.matches(c.entry.Key) && p.values.meet(c.entry.Value)
	case c.joined == "":
		c.joined = c.entry.Key + "_" + c.entry.Value
	}
	return p.joined.matches(c.joined)
}

// nextPattern takes the patterns of the key itself and those of keys with a * as
// one list.
func (c *choices) nextPattern() *pattern {
	for len(c.own)+len(c.shared) > 0 {
		var p *pattern
		if len(c.shared) == 0 || len(c.own) > 0 && c.own[0].order < c.shared[0].order {
			p, c.own = &c.own[0], c.own[1:]
		} else {
			p, c.shared = &c.shared[0], c.shared[1:]
		}
		if c.meets(p) {
			return p
		}
	}
	return nil
}
