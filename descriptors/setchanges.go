package descriptors

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// changed is what changes make of one domain.
type changed struct {
	changes []Change
	members []*file // that it was compiled from
	domain  *domain
	faults  []ChangeFault // Change is an index in changes
}

// SetChanges makes a list of changes live at once, in place of the list before. A
// change that the rules cannot take is left out and answered; it is tried again
// whenever the files change. At most one change has the same Domain, Limit and
// For. The list must not be changed afterwards.
//
// Who is told of a [Report] is to be told of this too: the rules are others.
func (s *Source) SetChanges(changes []Change) []ChangeFault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes = slices.Clone(changes)
	before := s.changed
	var faults []ChangeFault
	s.changed, faults = s.change(s.changes)
	if !maps.Equal(before, s.changed) {
		s.publish()
	}
	s.forget()
	return faults
}

// TryChanges answers what [Source.SetChanges] would, and changes nothing. What it had to
// read again of the files is kept until then, or until the next reload.
func (s *Source) TryChanges(changes []Change) []ChangeFault {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, faults := s.change(changes)
	return faults
}

// change compiles the domains that changes are for, except those that are
// compiled with the same already.
func (s *Source) change(changes []Change) (map[string]*changed, []ChangeFault) {
	var faults []ChangeFault
	places := map[string][]int{} // in changes, by domain
	for i := range changes {
		places[changes[i].Domain] = append(places[changes[i].Domain], i)
	}
	now := map[string]*changed{}
	for name, indexes := range places {
		own := make([]Change, len(indexes))
		for i, place := range indexes {
			own[i] = changes[place]
		}
		made := s.changed[name]
		switch members := s.members[name]; {
		case s.domains[name] == nil:
			made = &changed{faults: unknownDomain(own)}
		case made == nil || !slices.Equal(made.members, members) || !reflect.DeepEqual(made.changes, own):
			made = compileChanged(name, members, s.options, own)
			now[name] = made
		default:
			now[name] = made
		}
		for _, f := range made.faults {
			f.Change = indexes[f.Change]
			faults = append(faults, f)
		}
	}
	slices.SortStableFunc(faults, func(a, b ChangeFault) int { return a.Change - b.Change })
	return now, faults
}

// compileChanged compiles a domain with changes. Those of presets whose limits do
// not go with the other rules are left out, the last first.
func compileChanged(name string, members []*file, opts Options, changes []Change) *changed {
	remember(members)
	without := map[int]ChangeFault{}
	for {
		g := newChanging(changes)
		for i, f := range without {
			g.fail(i, []ChangeFault{f})
			g.unmet[i] = false
		}
		d, faults := compile(name, g.presets(members), opts, g)
		bad := slices.IndexFunc(faults, func(f Fault) bool { return f.Severity == Error })
		if bad < 0 || len(g.expands) == 0 {
			return &changed{changes: changes, members: members, domain: d, faults: g.finish(name)}
		}
		last := g.expands[len(g.expands)-1]
		c := &changes[last]
		without[last] = c.flawed(c.stated()[0], faults[bad].Message, faults[bad].Remedy)
	}
}

// unknownDomain says that changes are for a domain without rules.
func unknownDomain(changes []Change) []ChangeFault {
	g := newChanging(changes)
	for i := range changes {
		if c := &changes[i]; !g.bad[i] {
			f := c.flawed("domain", fmt.Sprintf("there are no rules of a domain %s", quote(c.Domain)), "name the domain of a rule file")
			f.Unknown = true
			g.fail(i, []ChangeFault{f})
		}
	}
	return g.faults
}

// publish makes live what the files state, changed.
func (s *Source) publish() {
	if s.Rules() == nil && len(s.domains) == 0 {
		return
	}
	domains := maps.Clone(s.domains)
	for name, c := range s.changed {
		domains[name] = c.domain
	}
	rules := newRules(domains)
	rules.resize(s.sizes)
	s.rules.Store(rules)
}
