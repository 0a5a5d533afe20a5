package descriptors

import (
	"cmp"
	"slices"
	"strconv"
)

// domain is what is compiled of one domain, from one file or several.
type domain struct {
	name          string
	dialect       Dialect
	stat          *statName // of what comes with requests
	head          []byte    // of every bucket key, see keyHead
	tag           int
	byEntity      bool // a bucket's hash tag names whose it is, not the domain alone
	spread        bool // and is of all its entries, not the first
	root          node
	passive       map[string]struct{}
	hash          *keyHash // nil: values enter bucket keys as they are
	disabled      bool     // nothing is limited, and nothing refused
	denyUnmatched bool
	matchBest     bool
	replaces      bool     // some limit replaces another
	defaults      Settings // what an override has
	dates         dates    // and how its windows are cut
	limits        []*Limit // in order of files and rules
	pools         []*pool  // that somebody draws from, in order of files
	presets       []*presetSpec
}

// compiler builds one domain and collects what is wrong with its files
// together.
type compiler struct {
	domain  *domain
	dialect Dialect
	names   map[string]place    // of `limits`, unique in the domain
	shared  map[kind]*Settings  // of limits that are alike
	ids     map[string]struct{} // Limit.id, unique too where names are not

	replaced []replacing         // each entry of replaces, and whose it is
	poolings map[string]*pooling // by name
	pooled   []*pooling          // in order of files
	faults   Faults
	changing *changing

	reported [2]int // faults, by severity

	nodes pieces[node]
	made  pieces[Limit]
	texts texts
}

// compile builds a domain from its files, with what g changes of them. They may
// have faults of their own: those found here come beside them.
func compile(name string, files []*file, opts Options, g *changing) (*domain, Faults) {
	d := &domain{name: name, passive: map[string]struct{}{endKey: {}, ReceiptKey: {}}, defaults: files[0].defaults, dates: files[0].dates}
	d.root.uncommon = nothing
	if d.dialect = opts.Dialect; d.dialect == Reference {
		d.passive = map[string]struct{}{}
	}
	d.stat = &statName{whole: true, bare: true, passive: d.passive}
	c := compiler{domain: d, dialect: opts.Dialect, names: map[string]place{}, shared: map[kind]*Settings{}, ids: map[string]struct{}{}, poolings: map[string]*pooling{}, changing: g}
	d.spread = opts.Spread
	matching := c.settings(files)
	d.head, d.tag = keyHead(opts.KeyPrefix, name, d.byEntity)
	var rules []*rule
	for _, f := range files {
		rules = append(rules, f.rules...)
	}
	rules = append(rules, c.presets(files)...)
	c.pools(files)
	c.unmet(files, rules)
	c.level(&d.root, rules, path{hash: d.hash})
	g.limits()
	for _, p := range c.pooled {
		g.divide(&c, p)
		p.disable()
	}
	if d.matchBest {
		c.bounded(matching)
	}
	c.replacements()
	g.buckets(d)
	return d, c.faults
}

func (c *compiler) fail(p place, message, remedy string) { c.report(Error, p, message, remedy) }
func (c *compiler) warn(p place, message, remedy string) { c.report(Warning, p, message, remedy) }

func (c *compiler) report(s Severity, p place, message, remedy string) {
	switch c.reported[s]++; {
	case c.reported[s] <= maxFaults:
		c.faults = append(c.faults, p.fault(s, message, remedy))
	case c.reported[s] == maxFaults+1:
		c.faults = append(c.faults, place{text: p.text}.fault(s, tooMany(s), ""))
	}
}

// settings merges what files say of the domain as a whole: passive entries of
// one are passive in all, and what else two of them state must agree. It answers
// where matching is.
func (c *compiler) settings(files []*file) (matching place) {
	for _, f := range files {
		for _, key := range f.passive {
			c.domain.passive[key] = struct{}{}
		}
	}
	c.keys(files)
	unmatched := c.agreed("unmatched", files, func(f *file) choice { return f.unmatched })
	mode := c.agreed("matching", files, func(f *file) choice { return f.matching })
	tag := c.agreed("hash_tag", files, func(f *file) choice { return f.hashTag })
	enabled := c.agreed("enabled", files, func(f *file) choice { return f.enabled })
	c.domain.disabled = enabled.word == "false"
	c.changing.domain(c.domain)
	c.domain.spread = c.domain.spread && tag.word == ""
	c.domain.byEntity = c.domain.spread || tag.word == "entity"
	c.domain.denyUnmatched, c.domain.matchBest = unmatched.word == "deny", mode.word == "best"
	return mode.at
}

// agreed is what the first of files that states a choice says.
func (c *compiler) agreed(name string, files []*file, of func(*file) choice) (first choice) {
	for _, f := range files {
		switch stated := of(f); {
		case stated.word == "":
		case first.word == "":
			first = stated
		case first.word != stated.word:
			c.fail(stated.at, name+" differs from "+first.at.String()+", a file of the same domain", "state it once")
		}
	}
	return first
}

// path is the way to a rule: text as its limits are called, exact so that no two
// rules share it, whatever their keys and values hold.
type path struct {
	text, exact string
	rules       []*rule
	hash        *keyHash // of values that names must not tell
}

func (p path) to(r *rule) path {
	text, exact := r.key, strconv.Quote(r.key)
	if r.kind != anyValue {
		value, quoted := r.text, strconv.Quote(r.text)
		if r.single() && p.hash.covers(r) {
			value, quoted = p.hash.shown(r.text), string(p.hash.append(nil, r.text, hashKept))
		}
		text, exact = text+r.kind.sign()[:1]+value, exact+r.kind.sign()+quoted
	}
	if p.text != "" {
		text = p.text + "/" + text
	}
	return path{text, p.exact + "/" + exact, append(slices.Clip(p.rules), r), p.hash}
}

// level compiles the rules of one level under n, to which way leads.
func (c *compiler) level(n *node, rules []*rule, way path) {
	seen := map[string]place{}
	nodes := c.nodes.take(len(rules))
	for i, r := range rules {
		c.domain.hash.join(r)
		alone := path{hash: c.domain.hash}.to(r)
		if first, twice := seen[alone.exact]; twice {
			c.fail(r.at, "the descriptor "+quote(alone.text)+" is here a second time, first at "+first.String(), "join the two")
		} else {
			seen[alone.exact] = r.at
		}
		for _, key := range r.keys() {
			if c.dialect == Weir && isReserved(key) {
				c.fail(r.at, "the key "+quote(key)+" is weir's own", "choose another key")
			} else if _, passive := c.domain.passive[key]; passive {
				c.fail(r.at, quote(key)+" is passive, so no descriptor can meet it", "take it off passive, or remove this")
			}
		}
		child := &nodes[i]
		child.uncommon, child.states = nothing, len(r.limits) > 0
		n.add(r, child, c.dialect, &c.texts)
		to := way.to(r)
		c.limits(child, r, to)
		c.level(child, r.children, to)
	}
	c.firstOfs(rules)
	if !c.domain.matchBest {
		c.surprises(rules)
	}
}

// limits compiles the limits of one rule, to which way leads.
func (c *compiler) limits(n *node, r *rule, way path) {
	unnamed := map[string]place{}
	plain, waits := r.plain(), 0
	n.limits = c.made.take(len(r.limits))[:0] // which does not move: limits are pointed to
	for _, s := range r.limits {
		repeated := false
		if s.name == "" {
			if first, twice := unnamed[s.algorithm]; twice {
				c.fail(s.at, "a second unnamed limit of the same algorithm, the first is at "+first.String(), "give them names")
				repeated = true
			}
			unnamed[s.algorithm] = s.at
		}
		n.limits = append(n.limits, Limit{Settings: c.settingsOf(s), key: s.id()})
		l := &n.limits[len(n.limits)-1]
		several := plain > 1 || s.algorithm == breaker || s.algorithm == draw && plain > 0
		l.Name = cmp.Or(s.name, c.defaultName(way, s.algorithm, several))
		l.stat = c.statName(s, way, several)
		if s.draw != nil {
			c.draw(s, l, way)
		} else if !s.reference && !repeated {
			c.unique(l.Name, s.at)
		}
		if l.MaxWait > 0 {
			waits++
			if l.Shadow || l.Quota {
				c.warn(s.at, "nobody waits for "+quote(l.Name)+": in shadow_mode and quota_mode max_wait means nothing", "remove max_wait, or the mode")
			}
		}
		c.identify(l, s.algorithm, way)
		c.replace(l, s)
		c.changing.note(&site{l, s, n, way.rules})
		c.domain.limits = append(c.domain.limits, l)
	}
	if waits > 1 {
		c.fail(r.at, "more than one limit of this descriptor has a max_wait", "let requests wait for one of them")
	}
}

// kind is what limits have in common that share their settings.
type kind struct {
	*meaning
	named bool
}

// settingsOf are the settings of a limit of the domain. They are shared where they can
// be: what a draw has becomes known later, and what replaces others has names of its own.
func (c *compiler) settingsOf(s *limitSpec) *Settings {
	k := kind{s.meaning, s.name != ""}
	shared := s.draw == nil && len(s.replaces) == 0
	if known := c.shared[k]; known != nil && shared {
		return known
	}
	own := s.limit
	own.Domain, own.named = c.domain.name, k.named
	if shared {
		c.shared[k] = &own
	}
	return &own
}

// plain counts the limits of a rule that are neither a draw nor a breaker.
func (r *rule) plain() int {
	n := 0
	for _, s := range r.limits {
		if s.algorithm != draw && s.algorithm != breaker {
			n++
		}
	}
	return n
}

// identify gives l its id. It says the algorithm, because what one algorithm took
// another cannot give back.
func (c *compiler) identify(l *Limit, algorithm string, way path) {
	rest := ""
	if algorithm != tokenBucket {
		rest = "\x00" + algorithm
	}
	l.id = c.texts.join(l.Domain, "\x00", l.Name, rest)
	if _, taken := c.ids[l.id]; taken {
		l.id = c.texts.join(l.id, "\x00", way.exact)
	}
	c.ids[l.id] = struct{}{}
	l.Name = l.id[len(l.Domain)+1:][:len(l.Name)] // the same text, held once
}

// unique reports a name that another limit, pool or class of the domain has.
func (c *compiler) unique(name string, here place) {
	if name == OverrideName {
		c.fail(here, "the name "+quote(name)+" is that of the limits which come with requests", "choose another name")
	}
	if first, twice := c.names[name]; twice {
		c.fail(here, "the name "+quote(name)+" is taken by the limit at "+first.String(), "choose another name")
		return
	}
	c.names[name] = here
}

// defaultName is the name of a limit that states none: its path, with its
// algorithm where the descriptor has several limits. A path that had to be cut
// or escaped, or reads like another one, is told apart by a hash.
func (c *compiler) defaultName(way path, algorithm string, several bool) string {
	text := way.text
	if several {
		text += ":" + algorithm
	}
	_, taken := c.names[text]
	if name := printable(text, maxName); name == text && len(name) <= maxName && !taken {
		return name
	}
	return printable(text, maxName/4) + "#" + string(appendHash(nil, way.exact+algorithm)[:12])
}
