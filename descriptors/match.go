package descriptors

import (
	"strings"

	"github.com/weir-rls/weir/buckets"
)

// Resolve finds the limits that a request's descriptors meet, and what each is
// to be charged.
func (r *Rules) Resolve(req *Request) Resolution {
	d, known := r.domains[req.Domain]
	if !known {
		return Resolution{}
	}
	res := Resolution{KnownDomain: true, DenyUnmatched: d.denyUnmatched, Matches: make([]Match, 0, len(req.Descriptors))}
	for i := range req.Descriptors {
		d.resolve(req, i, &res)
	}
	return res
}

// resolve adds what descriptor i meets to res.
func (d *domain) resolve(req *Request, i int, res *Resolution) {
	desc := &req.Descriptors[i]
	if desc.Override != nil {
		if l, ok := d.override(desc.Override); ok {
			res.Matches = append(res.Matches, d.match(req, i, l))
			return
		}
		res.BadOverrides++
	}
	n, active := d.find(desc.Entries)
	if n == nil || len(n.limits) == 0 {
		if active || len(desc.Entries) == 0 {
			res.Unmatched = append(res.Unmatched, i)
		}
		return
	}
	for _, l := range n.limits {
		res.Matches = append(res.Matches, d.match(req, i, l))
	}
}

// match is what descriptor i is charged at one limit.
func (d *domain) match(req *Request, i int, l *Limit) Match {
	if l.Unlimited {
		return Match{Descriptor: i, Limit: l}
	}
	desc := &req.Descriptors[i]
	hits, mode := desc.hits(req.Hits)
	c := buckets.Charge{
		Key: d.bucketKey(desc.Entries, l.key), Limit: l.id, Bucket: l.Bucket,
		Cost: cost(d.weight(l.Weight, req, i), hits), Mode: mode, OnStoreError: l.OnStoreError,
	}
	if l.Shadow {
		c.Role = buckets.Shadow
	}
	return Match{Descriptor: i, Limit: l, Charge: c}
}

func (d *domain) isPassive(key string) bool {
	_, passive := d.passive[key]
	return passive
}

// find walks the tree along the entries that are not passive: at each level the
// exact value, else the first pattern in file order, else the key alone. What
// was chosen stays chosen, and all entries must be met: a descriptor that is
// longer or shorter than the rule meets none. active tells that there is an
// entry to match at all.
func (d *domain) find(entries []Entry) (n *node, active bool) {
	n = &d.root
	for i := range entries {
		e := &entries[i]
		if d.isPassive(e.Key) {
			continue
		}
		active = true
		if n = n.child(e); n == nil {
			return nil, true
		}
	}
	return n, active
}

func (n *node) child(e *Entry) *node {
	if c := n.exact[*e]; c != nil {
		return c
	}
	for _, p := range n.patterns[e.Key] {
		if p.glob.matches(e.Value) {
			return p.node
		}
	}
	return n.any[e.Key]
}

// glob is a pattern's value, cut at its stars, each of which stands for any
// characters or none.
type glob struct {
	prefix, suffix string
	between        []string
}

func newGlob(pattern string) glob {
	parts := strings.Split(pattern, "*")
	g := glob{prefix: parts[0], suffix: parts[len(parts)-1]}
	for _, part := range parts[1 : len(parts)-1] {
		if part != "" {
			g.between = append(g.between, part)
		}
	}
	return g
}

// matches takes each part where it first occurs; a later place would only leave
// less for the parts that follow.
func (g glob) matches(s string) bool {
	if len(s) < len(g.prefix)+len(g.suffix) || !strings.HasPrefix(s, g.prefix) || !strings.HasSuffix(s, g.suffix) {
		return false
	}
	s = s[len(g.prefix) : len(s)-len(g.suffix)]
	for _, part := range g.between {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return true
}
