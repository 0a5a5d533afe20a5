package generate

import (
	"slices"
	"strconv"
	"strings"

	"github.com/weir-rls/weir/descriptors"
)

// presetKey is the key of the entry with which descriptors of a preset begin.
const presetKey = "preset"

// entry is one entry of a descriptor that is to be sent.
type entry struct {
	from     *source // nil: a constant that weir asks for
	key      string
	value    string // of a constant
	fixed    bool   // it is one
	optional bool   // left out where a request has none
}

// descriptor is what is to be sent for rules of the same keys.
type descriptor struct {
	entries []entry
	rules   []*descriptors.Stated // that it is made for
	cost    *cost
	lacks   string // the last key that may be left out
	vain    []bool // which of its forms no rule meets
}

// domain is what is to be sent of a domain.
type domain struct {
	name     string
	sent     []*descriptor
	alone    []*descriptor // of passive entries that only tell something
	wait     *descriptors.Stated
	receipts *descriptors.Stated // the first rule that needs to know how a request ended
	breaks   bool                // each rule is a breaker
	mixed    *descriptors.Stated // a breaker beside other rules
}

// planner makes domains of rules and a mapping.
type planner struct {
	*mapping
	survey *descriptors.Survey
	used   map[string]bool // keys of the mapping
}

// plan is what is to be sent of all domains, those of breakers alone at the end.
func (p *planner) plan() (all []*domain) {
	for _, name := range p.survey.Domains() {
		all = append(all, p.domain(name))
	}
	slices.SortStableFunc(all, func(a, b *domain) int {
		switch {
		case a.breaks == b.breaks:
			return 0
		case b.breaks:
			return -1
		}
		return 1
	})
	p.strangers(all)
	p.unused()
	return all
}

func (p *planner) domain(name string) *domain {
	d := &domain{name: name, breaks: true}
	rules := p.survey.Rules(name)
	first := firstOfs(rules)
	known := map[string]*descriptor{}
	for _, r := range rules {
		d.breaks = d.breaks && r.Breaks
		if r.Breaks && d.mixed == nil {
			d.mixed = r
		}
		if r.Waits > 0 && (d.wait == nil || r.Waits > d.wait.Waits) {
			d.wait = r
		}
		if d.receipts == nil && needsReceipt(r) {
			d.receipts = r
		}
		for _, entries := range p.ways(r, first) {
			id := identity(entries)
			if known[id] == nil {
				known[id] = &descriptor{entries: entries}
				d.sent = append(d.sent, known[id])
			}
			known[id].rules = append(known[id].rules, r)
		}
	}
	if d.breaks || len(rules) == 0 {
		d.mixed = nil
	}
	d.breaks = d.breaks && len(rules) > 0
	d.sent = slices.DeleteFunc(joinPresets(d.sent), func(s *descriptor) bool { return !p.meets(d, s) })
	p.twice(d)
	p.decide(d)
	p.bound(d)
	p.charge(d)
	p.reach(d)
	return d
}

func needsReceipt(r *descriptors.Stated) bool {
	return r.Reports || slices.ContainsFunc(r.Limits, func(l *descriptors.Limit) bool {
		_, follows := l.Feedback()
		return follows
	})
}

// beside is a first_of and the keys of entries that follow it.
type beside struct {
	step *descriptors.Step
	then map[string]bool
}

// firstOfs are the rules with a first_of, by the way to the list that they stand in.
// What has the keys that follow it has its entries too, where it stands beside: one
// without would meet the rules of everybody although the request has a group.
func firstOfs(rules []*descriptors.Stated) map[string]*beside {
	found := map[string]*beside{}
	for _, r := range rules {
		before := ""
		for i := range r.Way {
			if s := &r.Way[i]; s.FirstOf != nil {
				if found[before] == nil {
					found[before] = &beside{s, map[string]bool{}}
				}
				if i+1 < len(r.Way) {
					found[before].then[r.Way[i+1].Key] = true
				}
			}
			before = r.Way[i].Text
		}
	}
	return found
}

// ways are the descriptors that a rule needs: several where a key has several constants
// or is a pattern, none where the mapping lacks something.
func (p *planner) ways(r *descriptors.Stated, first map[string]*beside) [][]entry {
	all, before := [][]entry{nil}, ""
	for i := range r.Way {
		s := &r.Way[i]
		if f := first[before]; f != nil && s.FirstOf == nil && f.then[s.Key] {
			all = product(all, p.firstOf(f.step))
		}
		next := p.entries(s)
		if own := p.firstOf(s); len(own) > 0 {
			next = [][]entry{own}
		}
		all = product(all, next...)
		before = s.Text
	}
	return all
}

// product is each way with each of what may follow.
func product[T any](ways [][]T, next ...[]T) (all [][]T) {
	for _, way := range ways {
		for _, one := range next {
			all = append(all, slices.Concat(way, one))
		}
	}
	return all
}

// firstOf are the entries of which the first decides, as far as the mapping has them.
func (p *planner) firstOf(s *descriptors.Step) (all []entry) {
	for _, key := range s.FirstOf {
		if from := p.keys[key]; from != nil {
			p.used[key] = true
			all = append(all, entry{from: from, key: key, optional: true})
		}
	}
	return all
}

// entries are what a step may be met by, each for a descriptor of its own.
func (p *planner) entries(s *descriptors.Step) (all [][]entry) {
	if s.FirstOf != nil {
		return nil
	}
	for _, key := range p.matching(s.Key) {
		from := p.keys[key]
		p.used[key] = true
		if from.kind != "value" {
			all = append(all, []entry{{from: from, key: key}})
			continue
		}
		for _, value := range from.values {
			if !s.Stated || s.Value == value {
				all = append(all, []entry{{from: from, key: key, value: value, fixed: true}})
			}
		}
	}
	if len(all) == 0 && s.Key == presetKey && s.Stated && p.keys[presetKey] == nil {
		all = append(all, []entry{{key: presetKey, value: s.Value, fixed: true}})
	}
	return all
}

// matching are the keys of the mapping that a rule's key meets, which may have a *.
func (p *planner) matching(key string) (all []string) {
	for _, known := range p.order {
		if known == key || strings.Contains(key, "*") && globbed(key, known) {
			all = append(all, known)
		}
	}
	return all
}

// globbed tells whether a pattern with *, any characters or none, meets a text.
func globbed(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	last := len(parts) - 1
	if !strings.HasPrefix(text, parts[0]) {
		return false
	}
	text = text[len(parts[0]):]
	for _, part := range parts[1:last] {
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return strings.HasSuffix(text, parts[last])
}

// identity is the same for entries that make the same descriptor.
func identity(entries []entry) string {
	var id strings.Builder
	for _, e := range entries {
		id.WriteString(strconv.Quote(e.key))
		if e.fixed {
			id.WriteString("=" + strconv.Quote(e.value))
		}
		id.WriteString("/")
	}
	return id.String()
}

// joinPresets makes one descriptor of those of a preset: it is looked at once for each
// request, and what a request lacks is left out of it.
func joinPresets(all []*descriptor) []*descriptor {
	for _, long := range all {
		if long.entries[0].key != presetKey {
			continue
		}
		for i, short := range all {
			if short == nil || len(short.entries) >= len(long.entries) || identity(short.entries) != identity(long.entries[:len(short.entries)]) {
				continue
			}
			for j := len(short.entries); j < len(long.entries); j++ {
				long.entries[j].optional = true
			}
			long.rules = append(short.rules, long.rules...)
			all = slices.Delete(slices.Clone(all), i, i+1)
			return joinPresets(all)
		}
	}
	return all
}

// decide adds the entries that decide what a request costs, or which pool it draws
// from, and those that only tell something.
func (p *planner) decide(d *domain) {
	told := map[string]bool{}
	for _, sent := range d.sent {
		for _, r := range sent.rules {
			for _, key := range r.DecidedBy() {
				if p.keys[key] == nil || !p.survey.IsPassive(d.name, key) || slices.ContainsFunc(sent.entries, func(e entry) bool { return e.key == key }) {
					continue
				}
				p.used[key], told[key] = true, true
				sent.entries = append(sent.entries, p.passive(key))
			}
		}
	}
	for _, key := range p.survey.Passive(d.name) {
		if p.keys[key] != nil && !told[key] {
			p.used[key] = true
			d.alone = append(d.alone, &descriptor{entries: []entry{p.passive(key)}})
		}
	}
}

// passive is an entry that is not matched.
func (p *planner) passive(key string) entry {
	e := entry{from: p.keys[key], key: key}
	if e.from.kind == "value" {
		e.value, e.fixed = e.from.values[0], true
	}
	return e
}
