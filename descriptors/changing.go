package descriptors

import (
	"fmt"
	"slices"
)

// changing makes changes of one domain while it is compiled. What it changes is
// nobody's yet.
type changing struct {
	changes []Change
	faults  []ChangeFault
	bad     []bool             // by change: it has faults
	unmet   []bool             // by change: nothing of its name was found yet
	named   map[string][]int   // the changes, by the name that they are for
	sites   map[string][]*site // the limits of all rules, by name
	expands []int              // changes of presets that were made
	survey  func(*site)        // told of all limits, nil if nobody asks
}

// site is a limit and where it stands.
type site struct {
	limit *Limit
	spec  *limitSpec // as changed for all
	node  *node
	rules []*rule // the way to it
}

// newChanging checks what does not depend on the rules.
func newChanging(changes []Change) *changing {
	g := &changing{changes: changes, bad: make([]bool, len(changes)), named: map[string][]int{}, sites: map[string][]*site{}}
	seen := map[string]struct{}{}
	for i := range changes {
		c := &changes[i]
		g.fail(i, c.check())
		what := c.what()
		if _, twice := seen[what]; twice {
			g.fail(i, []ChangeFault{c.flawed("limit", "another change in the list is for the same", "join the two")})
		}
		seen[what] = struct{}{}
		g.unmet = append(g.unmet, c.Limit != "" && !g.bad[i])
		g.named[c.Limit] = append(g.named[c.Limit], i)
	}
	return g
}

// fail notes why change i cannot be made.
func (g *changing) fail(i int, faults []ChangeFault) {
	for _, f := range faults {
		f.Change, g.bad[i] = i, true
		g.faults = append(g.faults, f)
	}
}

// meant are the changes that are for what has a name, which is found with this.
func (g *changing) meant(name string) (changes []int) {
	for _, i := range g.named[name] {
		if g.unmet[i] {
			g.unmet[i] = false
			changes = append(changes, i)
		}
	}
	return changes
}

// note has a limit found by its name, and told to who surveys the rules.
func (g *changing) note(s *site) {
	if g.survey != nil {
		g.survey(s)
	}
	if len(g.changes) > 0 {
		g.sites[s.limit.Name] = append(g.sites[s.limit.Name], s)
	}
}

// presets are files with their presets changed.
func (g *changing) presets(files []*file) []*file {
	changed := slices.Clone(files)
	for k, f := range files {
		next := *f
		next.presets = slices.Clone(f.presets)
		for j, p := range f.presets {
			for _, i := range g.meant(p.name) {
				made, faults := p.changed(&g.changes[i])
				if g.fail(i, faults); len(faults) == 0 {
					next.presets[j], g.expands = made, append(g.expands, i)
				}
			}
		}
		changed[k] = &next
	}
	return changed
}

// domain sets what is set of the domain as a whole.
func (g *changing) domain(d *domain) {
	for i := range g.changes {
		if c := &g.changes[i]; c.Limit == "" && !g.bad[i] {
			d.disabled = !*c.Enabled
		}
	}
}

// limits changes limits for all.
func (g *changing) limits() {
	for name, sites := range g.sites {
		for _, i := range g.meant(name) {
			if len(g.changes[i].For) == 0 {
				g.limit(i, sites)
			} // else when the tree is whole, see buckets
		}
	}
}

func (g *changing) limit(i int, sites []*site) {
	specs := make([]*limitSpec, len(sites))
	for k, s := range sites {
		var faults []ChangeFault
		if specs[k], faults = s.spec.changed(&g.changes[i]); len(faults) > 0 {
			g.fail(i, faults)
			return
		}
	}
	for k, s := range sites {
		s.spec = specs[k]
		s.limit.become(&specs[k].limit)
	}
}

// become takes over of a limit what changes change.
func (l *Limit) become(next *Settings) {
	if l.share == nil {
		l.part()
	}
	l.Disabled = next.Disabled
	if l.share == nil {
		l.Requests, l.Period, l.Bucket = next.Requests, next.Period, next.Bucket
	}
}

// part gives l settings of its own.
func (l *Limit) part() {
	own := *l.Settings
	l.Settings = &own
}

// divide gives all draws of a pool their part of it, changed if a change fits.
func (g *changing) divide(c *compiler, p *pooling) {
	for _, i := range g.meant(p.spec.name) {
		changed, faults := p.spec.changed(&g.changes[i])
		if g.fail(i, faults); len(faults) > 0 {
			continue
		}
		stated, found, reported, pools := p.spec, len(c.faults), c.reported, c.domain.pools
		p.become(changed)
		c.divide(p)
		for _, f := range c.faults[found:] {
			if f.Severity == Error {
				g.fail(i, []ChangeFault{g.changes[i].flawed(g.changes[i].blamed("rate"), f.Message, f.Remedy)})
			}
		}
		if c.faults, c.reported = c.faults[:found], reported; !g.bad[i] {
			return
		}
		c.domain.pools = pools
		p.become(stated)
	}
	c.divide(p)
}

// become makes p the pool of a spec, undivided.
func (p *pooling) become(s *poolSpec) {
	p.spec = s
	for _, k := range p.classes {
		for _, l := range k.limits {
			l.Requests, l.Period, l.Bucket, l.Class = s.limit.Requests, s.limit.Period, s.limit.Bucket, nil
		}
	}
}

// disable lifts what draws from a pool that is lifted.
func (p *pooling) disable() {
	if !p.spec.limit.Disabled {
		return
	}
	for _, k := range p.classes {
		for _, l := range k.limits {
			l.Disabled = true
		}
	}
}

// finish tells which changes were for nothing that there is.
func (g *changing) finish(name string) []ChangeFault {
	for i := range g.changes {
		if c := &g.changes[i]; g.unmet[i] {
			f := c.flawed("limit", fmt.Sprintf("the domain %s has no limit, pool or preset %s", quote(name), quote(c.Limit)), "GET /api/v1/limits lists them")
			f.Unknown = true
			g.fail(i, []ChangeFault{f})
		}
	}
	slices.SortStableFunc(g.faults, func(a, b ChangeFault) int { return a.Change - b.Change })
	return g.faults
}
