package descriptors

import "slices"

// replacement is an entry of replaces: the name of other limits.
type replacement struct {
	name string
	at   place
}

// replacing is a replacement and the limit that has it.
type replacing struct {
	replacement
	by *Limit
}

// replaces reads the names of the limits that s stands in for.
func (w *walker) replaces(fields map[string]field, s *limitSpec) {
	f, ok := fields["replaces"]
	if !ok {
		return
	}
	if f.null() {
		w.warn(f.value, "remove it, or name a limit, as in replaces: [{name: per-user}]", "replaces is empty")
		return
	}
	items, _ := w.items(f)
	for _, n := range items {
		fields, ok := w.fields(n, replacesFields)
		if !ok {
			continue
		}
		name, stated := fields["name"]
		if !stated || name.null() {
			w.fail(n, "name a limit, as in replaces: [{name: per-user}]", "an entry of replaces is empty")
			continue
		}
		switch text, ok := w.str(name); {
		case !ok:
		case text == "":
			w.fail(name.value, "name a limit, as in replaces: [{name: per-user}]", "an entry of replaces is empty")
		case text == s.name:
			w.fail(name.value, "remove it", "the limit %s replaces itself", quote(text))
		default:
			s.replaces = append(s.replaces, replacement{text, at(w.text, name.value)})
		}
	}
}

// replace takes over what a limit replaces.
func (c *compiler) replace(l *Limit, s *limitSpec) {
	for _, r := range s.replaces {
		l.replaces = append(l.replaces, r.name)
		c.replaced = append(c.replaced, replacing{r, l})
	}
}

// replacements warns of what replaces cannot mean: a name that no limit has, and
// two limits of which each removes the other.
func (c *compiler) replacements() {
	named := map[string][]*Limit{}
	for _, l := range c.domain.limits {
		named[l.Stated()] = append(named[l.Stated()], l)
	}
	for _, r := range c.replaced {
		c.domain.replaces = true
		if len(named[r.name]) == 0 {
			c.warn(r.at, "no limit of the domain has the name "+quote(r.name), "state it as the name of the limit that is meant")
		}
		mutual := func(l *Limit) bool { return slices.Contains(l.replaces, r.by.Stated()) }
		if r.by.Stated() != "" && slices.ContainsFunc(named[r.name], mutual) {
			c.warn(r.at, quote(r.by.Stated())+" and "+quote(r.name)+" replace each other: a request that meets both has neither", "remove one of the two")
		}
	}
}

// replace removes the limits that another one of the request replaces. What is
// removed replaces others all the same, as in the reference service, and a limit
// never removes itself: its own name is refused in its replaces.
func replace(matches []Match) []Match {
	var names map[string]struct{}
	for i := range matches {
		for _, name := range matches[i].Limit.replaces {
			if names == nil {
				names = map[string]struct{}{}
			}
			names[name] = struct{}{}
		}
	}
	if names == nil {
		return matches
	}
	return slices.DeleteFunc(matches, func(m Match) bool {
		_, replaced := names[m.Limit.Stated()]
		// The reference service says of an unlimited one that it is, whatever replaces it.
		return replaced && !(m.Limit.Reference && m.Limit.Unlimited)
	})
}
