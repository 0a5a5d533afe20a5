package generate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/weir-rls/weir/descriptors"
)

// expected is what is known of a descriptor before there is a request.
func (s *descriptor) expected() (all []descriptors.Expected) {
	for _, e := range s.entries {
		one := descriptors.Expected{Key: e.key, Optional: e.optional && e.from.lacking()}
		switch {
		case e.fixed:
			one.Values = []string{e.value}
		case e.from != nil:
			one.Values = e.from.known()
		}
		all = append(all, one)
	}
	return all
}

// meets tells whether a descriptor meets a rule that it is made for: a constant may
// lead elsewhere.
func (p *planner) meets(d *domain, s *descriptor) bool {
	met := p.survey.Meet(d.name, s.expected()).Rules
	return slices.ContainsFunc(s.rules, func(r *descriptors.Stated) bool { return slices.Contains(met, r) })
}

// twice tells descriptors that are one where a request lacks what may be left out: it
// would be charged twice.
func (p *planner) twice(d *domain) {
	seen := map[string]*descriptor{}
	for _, s := range d.sent {
		var always []entry
		lacks := ""
		for _, e := range s.entries {
			if e.optional {
				lacks = e.key
			} else {
				always = append(always, e)
			}
		}
		id := identity(always)
		if before := seen[id]; before != nil {
			p.tell(s.rules[0], fmt.Sprintf("the rules %s and %s at %s need two descriptors, which are one for a request without %s: it would be charged twice",
				quote(s.rules[0].Name), quote(before.rules[0].Name), before.rules[0].Place(), quote(cmp.Or(lacks, before.lacks))), "write the same first_of beside both")
		}
		s.lacks, seen[id] = lacks, s
	}
}

// reach tells the rules of a domain that nothing reaches, and why.
func (p *planner) reach(d *domain) {
	met := map[*descriptors.Stated]bool{}
	for _, s := range d.sent {
		for _, r := range p.survey.Meet(d.name, s.expected()).Rules {
			met[r] = true
		}
	}
	for _, r := range p.survey.Rules(d.name) {
		for _, key := range r.DecidedBy() {
			p.decidedBy(d, r, key)
		}
		if met[r] {
			continue
		}
		message, remedy := p.why(d, r)
		p.tell(r, "no request can meet the rule "+quote(r.Name)+": "+message, remedy)
	}
	p.open(d)
}

func (p *planner) tell(r *descriptors.Stated, message, remedy string) {
	if f, told := r.Tell(descriptors.Error, "rule-unreachable", message, remedy); told {
		p.faults = append(p.faults, f)
	}
}

// why tells what of a rule the mapping lacks.
func (p *planner) why(d *domain, r *descriptors.Stated) (message, remedy string) {
	file := p.doc.Name()
	for _, s := range r.Way {
		keys := s.FirstOf
		if keys == nil {
			keys = []string{s.Key}
		}
		if s.Key == presetKey && p.keys[presetKey] == nil || slices.ContainsFunc(keys, func(key string) bool { return len(p.matching(key)) > 0 }) {
			continue
		}
		names := make([]string, len(keys))
		for i, key := range keys {
			names[i] = quote(key)
		}
		return fmt.Sprintf("%s has no key %s", file, strings.Join(names, " or ")), "say where it comes from, as in keys: {" + keys[0] + ": {header: x-" + strings.Trim(strings.ReplaceAll(strings.ToLower(keys[0]), "_", "-"), "*") + "}}"
	}
	for _, s := range r.Way {
		from := p.keys[s.Key]
		if from == nil || !s.Stated {
			continue
		}
		if known := from.known(); known != nil && !slices.Contains(known, s.Value) {
			return fmt.Sprintf("at %s the key %s has no other values than %s", p.doc.Place(from.at), quote(s.Key), strings.Join(known, ", ")), "add the rule's value there, or remove the rule"
		}
	}
	for _, s := range d.sent {
		for _, e := range s.entries {
			if e.optional && !e.from.lacking() && slices.Contains(s.rules, r) && !slices.Contains(r.Keys, e.key) {
				return fmt.Sprintf("it is for requests without the key %s, which at %s comes from %s and is always there", quote(e.key), p.doc.Place(e.from.at), e.from.kind),
					"take it from a header, claim, query or metadata, which is left out where it is absent"
			}
		}
	}
	return "others take what would meet it", "weir explain tells for a request which rule it meets"
}

// decidedBy tells where what decides a rule's cost is not sent.
func (p *planner) decidedBy(d *domain, r *descriptors.Stated, key string) {
	switch {
	case p.keys[key] == nil:
		p.tell(r, fmt.Sprintf("what the rule %s takes depends on %s, and %s has no such key", quote(r.Name), quote(key), p.doc.Name()),
			"say where it comes from, as in keys: {"+key+": {path: {VALUE: /PREFIX}}}")
	case !p.survey.IsPassive(d.name, key) && !slices.ContainsFunc(d.sent, func(s *descriptor) bool {
		return slices.ContainsFunc(s.entries, func(e entry) bool { return e.key == key })
	}):
		p.tell(r, fmt.Sprintf("what the rule %s takes depends on %s, which no descriptor may have", quote(r.Name), quote(key)), "write passive: ["+key+"] in the rules")
	}
}

// strangers tells values that a mapping states and no rule of the key has.
func (p *planner) strangers(domains []*domain) {
	for _, key := range p.order {
		for _, value := range p.keys[key].values {
			if p.stranger(domains, key, value) && value != p.keys[key].fallback {
				p.fail(p.keys[key].at, "correct it, or write a rule for it", "no rule has the value %s of the key %s", quote(value), quote(key))
			}
		}
	}
}

func (p *planner) stranger(domains []*domain, key, value string) (sent bool) {
	for _, d := range domains {
		for _, s := range d.sent {
			i := slices.IndexFunc(s.entries, func(e entry) bool { return e.key == key })
			if i < 0 || p.survey.IsPassive(d.name, key) {
				continue
			}
			if sent = true; s.entries[i].fixed && s.entries[i].value != value {
				continue
			}
			all := s.expected()
			if all[i].Values = []string{value}; len(p.survey.Meet(d.name, all).Rules) > 0 {
				return false
			}
		}
	}
	return sent
}

// open warns of what clients may write so that no rule meets it.
func (p *planner) open(d *domain) {
	if p.survey.Refuses(d.name) {
		return
	}
	for _, key := range p.order {
		from := p.keys[key]
		if client := slices.Contains([]string{"header", "query", "cookie"}, from.kind); !client || from.only || p.survey.IsPassive(d.name, key) {
			continue
		}
		sent, meets := false, false
		for _, s := range d.sent {
			all := s.expected()
			i := slices.IndexFunc(s.entries, func(e entry) bool { return e.key == key })
			if i < 0 {
				continue
			}
			all[i].Values = []string{"\x00any"}
			sent, meets = true, meets || s.entries[i].optional || len(p.survey.Meet(d.name, all).Rules) > 0
		}
		if !sent || meets {
			continue
		}
		remedy := "write a rule of the key alone, or unmatched: deny in the rules"
		if from.kind == "header" {
			remedy = "write only: [VALUE, ...] and a default that has a limit, or a rule of the key alone"
		}
		message := fmt.Sprintf("the rules know some values of the key %s, and clients pass unlimited who write another one", quote(key))
		if f, told := p.doc.Tell(from.at, descriptors.Warning, "mapping-open", message, remedy); told {
			p.faults = append(p.faults, f)
		}
	}
}

// unused tells keys and costs that no rule asks for.
func (p *planner) unused() {
	var known []string
	for _, name := range p.survey.Domains() {
		known = append(known, p.survey.Passive(name)...)
		for _, r := range p.survey.Rules(name) {
			for _, s := range r.Way {
				if s.FirstOf != nil {
					known = append(known, s.FirstOf...)
				} else {
					known = append(known, s.Key)
				}
			}
			for _, key := range r.DecidedBy() {
				p.used[key] = p.used[key] || p.keys[key] != nil
				known = append(known, key)
			}
		}
	}
	slices.Sort(known)
	known = slices.Compact(known)
	for _, key := range p.order {
		if !p.used[key] {
			if len(known) > mostNamed {
				known = append(known[:mostNamed:mostNamed], "...")
			}
			p.fail(p.keys[key].at, "correct it, or remove it; the rules' keys are "+strings.Join(known, ", "), "no rule uses the key %s", quote(key))
		}
	}
	for _, c := range p.costs {
		if !c.used {
			p.fail(c.at, "name a rule as weir check does, or what its name begins with, as in user or plan=tokens", "no rule is called %s or begins so", quote(c.rule))
		}
	}
}

// mostNamed bounds how many names a message lists.
const mostNamed = 20

// charge finds the cost of descriptors.
func (p *planner) charge(d *domain) {
	for _, c := range p.costs {
		for _, s := range d.sent {
			var in, out *descriptors.Stated
			for _, r := range s.rules {
				if slices.ContainsFunc(r.Way, func(s descriptors.Step) bool { return s.Text == c.rule }) {
					in = r
				} else {
					out = r
				}
				if in == r && c.atEnd && r.Reports {
					p.fail(c.at, "give them a descriptor of their own in the rules", "the rule %s at %s holds slots, counts successes or is a breaker: what is charged at the end only looks when the request comes, and takes none of these", quote(r.Name), r.Place())
				}
			}
			if in == nil {
				continue
			}
			c.used = true
			switch {
			case out != nil:
				p.fail(c.at, "name what the names of both begin with", "one descriptor is for the rules %s and %s at %s, and only one of them is meant", quote(in.Name), quote(out.Name), out.Place())
			case s.cost != nil:
				p.fail(c.at, "keep one", "the rule %s has the cost of %s already", quote(in.Name), quote(s.cost.rule))
			default:
				s.cost = c
			}
		}
	}
}
