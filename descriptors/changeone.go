package descriptors

import (
	"maps"
	"slices"
	"strings"
)

// buckets makes the changes that are for one bucket. The tree is whole, and
// limits are as they are for all others.
func (g *changing) buckets(d *domain) {
	for i := range g.changes {
		c := &g.changes[i]
		if len(c.For) == 0 || g.bad[i] {
			continue
		}
		g.bucket(d, i)
	}
}

// bucket makes a change for one bucket of each limit of the name that has one of
// these values.
func (g *changing) bucket(d *domain, i int) {
	c := &g.changes[i]
	var nowhere []ChangeFault
	made := map[string]*site{}
	for _, s := range g.sites[c.Limit] {
		if s.spec.algorithm == draw {
			nowhere = []ChangeFault{c.flawed("for", "what draws from a pool changes for all", "leave for out")}
			break
		}
		key, faults := s.bucket(d, c)
		if len(faults) > 0 {
			nowhere = append(nowhere, faults...)
			continue
		}
		made[key] = s
	}
	if len(made) == 0 {
		g.fail(i, nowhere[:min(1, len(nowhere))])
		return
	}
	own := map[string]*Limit{}
	for key, s := range made {
		spec, faults := s.spec.changed(c)
		if s.limit.apart[key] != nil {
			faults = []ChangeFault{c.flawed("for", "another change in the list is for the same bucket", "join the two")}
		}
		if len(faults) > 0 {
			g.fail(i, faults)
			return
		}
		l := &Limit{Settings: &spec.limit, Name: s.limit.Name, id: s.limit.id, key: s.limit.key}
		l.Domain, l.named, l.replaces = s.limit.Domain, s.limit.named, s.limit.replaces
		own[key] = l
	}
	for key, s := range made {
		if s.limit.apart == nil {
			s.limit.part()
			s.limit.apart = map[string]*Limit{}
		}
		s.limit.apart[key] = own[key]
	}
}

// bucket is the key of the one bucket of a limit that a change names the values
// of.
func (s *site) bucket(d *domain, c *Change) (key string, faults []ChangeFault) {
	used := map[string]struct{}{}
	var entries []Entry
	for _, r := range s.rules {
		if !r.open() {
			entries = append(entries, Entry{r.keys()[0], r.text})
			continue
		}
		key, named := c.key(r, used)
		if !named {
			return "", []ChangeFault{c.flawed("for", "the values do not name one bucket: "+quote(r.key)+" is missing", "name a value for "+s.opens())}
		}
		used[key] = struct{}{}
		entries = append(entries, Entry{key, c.For[key]})
	}
	for _, key := range slices.Sorted(maps.Keys(c.For)) {
		if _, known := used[key]; !known {
			return "", []ChangeFault{c.flawed("for."+printable(key, maxShown), "the limit leaves no value of it open", "name a value for "+s.opens())}
		}
	}
	n, way, _ := d.find(entries, nil)
	if n != s.node {
		return "", []ChangeFault{c.flawed("for", "the limit has no bucket of these values: they meet another rule, or none", "name values that its rule meets")}
	}
	return d.bucketKey(way, s.limit.key), nil
}

// open tells that a rule has a bucket for each of several values.
func (r *rule) open() bool { return r.kind != oneValue || strings.Contains(r.key, "*") }

// key is the entry for r among those that c names, of which some are used.
func (c *Change) key(r *rule, used map[string]struct{}) (key string, named bool) {
	for _, key := range slices.Sorted(maps.Keys(c.For)) {
		if _, taken := used[key]; !taken && (key == r.key || strings.Contains(r.key, "*") && newGlob(r.key).matches(key)) {
			return key, true
		}
	}
	return "", false
}

// opens names the keys that a limit leaves open.
func (s *site) opens() string {
	var keys []string
	for _, r := range s.rules {
		if r.open() {
			keys = append(keys, quote(r.key))
		}
	}
	if len(keys) == 0 {
		return "none: leave for out"
	}
	return strings.Join(keys, " and ")
}
