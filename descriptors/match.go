package descriptors

import "github.com/weir-rls/weir/buckets"

// Resolve finds the limits that a request's descriptors meet, and what each is
// to be charged.
func (r *Rules) Resolve(req *Request) Resolution {
	d, known := r.domains[req.Domain]
	if !known {
		return Resolution{}
	}
	if d.disabled {
		return Resolution{KnownDomain: true, Response: d.defaults.Response, Redaction: Redaction{d.hash}}
	}
	res := Resolution{KnownDomain: true, DenyUnmatched: d.denyUnmatched, Response: d.defaults.Response, Redaction: Redaction{d.hash}, Matches: make([]Match, 0, len(req.Descriptors))}
	for i := range req.Descriptors {
		d.resolve(req, i, &res)
	}
	if d.isPassive(requestIDKey) && len(req.Descriptors) > 0 {
		res.RequestID, _ = req.value(0, requestIDKey)
	}
	if d.replaces {
		res.Matches = replace(res.Matches)
	}
	return res
}

// resolve adds what descriptor i meets to res.
func (d *domain) resolve(req *Request, i int, res *Resolution) {
	desc := &req.Descriptors[i]
	var space [8]step
	if desc.Override != nil {
		if l, ok := d.override(desc.Override); ok {
			d.meet(req, i, l, d.whole(desc.Entries, space[:0]), res)
			return
		}
		res.BadOverrides++
	}
	n, way, active := d.find(desc.Entries, space[:0])
	if n == nil || !n.states {
		if active || len(desc.Entries) == 0 {
			res.Unmatched = append(res.Unmatched, i)
		}
		return
	}
	for k := range n.limits {
		d.meet(req, i, &n.limits[k], way, res)
	}
}

// meet adds to res one limit that descriptor i, which came its way, meets, and
// what it is charged there.
func (d *domain) meet(req *Request, i int, l *Limit, way []step, res *Resolution) {
	if l.apart == nil && l.frees(i, res) {
		return
	}
	hits, mode := d.hits(req, i)
	if !l.takes(mode) {
		return
	}
	key, classKey := "", ""
	if l.share == nil {
		key = d.bucketKey(way, l.key)
		if l.apart != nil {
			if l = l.of(key); l.frees(i, res) {
				return
			}
		}
	} else {
		key = d.poolKey(l.share.pool, req, i)
		classKey = key + l.share.suffix
	}
	c := l.ChargeOn(key, classKey)
	c.Mode, c.Cost = mode, cost(d.weight(l.Weight, req, i), hits)
	if _, ok := l.Bucket.(buckets.Breaker); ok {
		c.Cost = 1
	}
	switch {
	case l.Shadow || !l.enforces(c.Key):
		c.Role = buckets.Shadow
	case l.Quota:
		c.Role = buckets.Quota
	}
	res.Matches = append(res.Matches, Match{Descriptor: i, Limit: l, Charge: c})
}

// frees tells that a limit that descriptor i meets takes nothing of anybody.
func (l *Limit) frees(i int, res *Resolution) bool {
	if l.Unlimited && !l.Disabled {
		res.Matches = append(res.Matches, Match{Descriptor: i, Limit: l})
	}
	return l.Unlimited || l.Disabled
}

func (d *domain) isPassive(key string) bool {
	_, passive := d.passive[key]
	return passive
}

// whole appends all entries that are not passive.
func (d *domain) whole(entries []Entry, way []step) []step {
	for i := range entries {
		if !d.isPassive(entries[i].Key) {
			way = append(way, step{entries[i].Key, entries[i].Value, plainStep, false, nil})
		}
	}
	return way
}

// find is the rule that a descriptor's entries meet, nil if none, and appends the
// way to it to way, or as far as there was one. active tells that there is an entry
// to match at all.
func (d *domain) find(entries []Entry, way []step) (n *node, taken []step, active bool) {
	if d.matchBest {
		return d.best(entries)
	}
	return d.walk(entries, way)
}

// walk is what find is under `matching: exact`: it walks the tree along the entries
// that are not passive. At each level the first of [choices] is chosen and
// stays chosen, and all entries must be met: a descriptor that is longer or
// shorter than the rule meets none.
func (d *domain) walk(entries []Entry, way []step) (n *node, taken []step, active bool) {
	n = &d.root
	for i := 0; i < len(entries); i++ {
		e := &entries[i]
		if d.isPassive(e.Key) {
			continue
		}
		active = true
		if n.first.has(e.Key) {
			child, taken, last := n.first.choose(d, entries, i)
			if i = last; child != nil {
				n, way = child, append(way, taken)
			}
			continue
		}
		below := choices{node: n, entry: e}
		child, taken := below.next()
		if child == nil {
			return nil, way, true
		}
		n, way = child, append(way, taken)
	}
	return n, way, active
}
