package descriptors

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// Outline is the rules of one domain as they are live, as a tree for people: with the
// places where they stand and with marks of what is set while weir runs.
type Outline struct {
	Domain    string
	Files     []string
	Matching  string // exact or best
	Unmatched string // allow or deny
	Passive   []string
	Disabled  bool // nothing of the domain is limited
	Hashed    bool // values that the rules state are hidden
	Rules     []OutlinedRule
	Total     int // rules that there are
	Found     int // of them, those that a search found
	Shown     int // of them, those that are here, with those that lead to them
}

// OutlinedRule is one descriptor of a file, or one that a preset stands for.
type OutlinedRule struct {
	Key, Value string // Value is empty for a rule of the key alone
	Kind       string // what values it meets, in words
	Sign       string // between the two: = or, of networks and expressions, in
	File       string
	Line       int    // 0 where the rules have none, as over ADS
	Preset     string // it is the beginning of what this preset stands for
	Changed    bool   // the preset, while weir runs
	Limits     []OutlinedLimit
	Rules      []OutlinedRule
	Below      int  // how many rules there are below it that were found, or lead to one, also those that are not in Rules
	hidden     bool // the value is not told
}

// OutlinedLimit is one limit of a rule, as it is live.
type OutlinedLimit struct {
	Name      string
	Algorithm string // as rule files name it, pool for a draw
	Admits    string // as 60 per minute, at once what it holds
	Stated    string // what the file states in place of Admits, empty if nothing is set
	Weight    string // empty: each hit costs 1
	Waits     time.Duration
	Pool      string
	Line      int
	Shadow    bool
	Quota     bool
	Success   bool // only requests that succeed count
	Disabled  bool
	Unlimited bool
	Enforced  int  // percent of its keys
	Changed   bool // for all, while weir runs
	Own       int  // buckets of their own change

	Metadata string // that answers repeat, as JSON; empty if there is none
	Detail   string // the field because of which metrics tell values apart, empty if none does
	Shared   string // patterns all of whose values have one bucket
}

// wholeOutline makes the tree of all rules of a domain, nil of one that there is not. It
// reads the files' content again, which for 100,000 rules takes some seconds.
func (s *Source) wholeOutline(domain string) *Outline {
	files, changes := s.stated(domain)
	if len(files) == 0 {
		return nil
	}
	o := &Outline{Domain: domain}
	out := outliner{limits: map[*rule][]outlinedSite{}, changed: map[string]bool{}}
	for _, c := range changes {
		out.changed[c.Limit] = true
	}
	g := newChanging(changes)
	g.survey = out.note
	d, _ := compile(domain, g.presets(files), s.options, g)
	out.domain = d
	o.Matching, o.Unmatched = map[bool]string{false: "exact", true: "best"}[d.matchBest], map[bool]string{false: "allow", true: "deny"}[d.denyUnmatched]
	o.Disabled, o.Hashed = d.disabled, d.hash != nil
	for key := range maps.Keys(d.passive) {
		if !isReserved(key) {
			o.Passive = append(o.Passive, key)
		}
	}
	slices.Sort(o.Passive)
	var roots []*rule
	for _, f := range files {
		o.Files = append(o.Files, printable(f.text.file, maxShown))
		roots = append(roots, f.rules...)
	}
	o.Rules = out.rules(append(roots, out.expanded...))
	return o
}

// stated are the files of a domain, read again, and the changes that are in force.
func (s *Source) stated(domain string) (files []*file, changes []Change) {
	s.mu.Lock()
	members := slices.Clone(s.members[domain])
	contents := make([]file, len(members))
	for i, f := range members {
		contents[i] = file{text: f.text, raw: f.raw, keys: f.keys}
	}
	bad := map[int]bool{}
	if c := s.changed[domain]; c != nil {
		for _, f := range c.faults {
			bad[f.Change] = true
		}
		for i, change := range c.changes {
			if !bad[i] {
				changes = append(changes, change)
			}
		}
	}
	s.mu.Unlock()
	for i := range contents {
		f := contents[i].again()
		f.keys = contents[i].keys
		files = append(files, f)
	}
	return files, changes
}

// outliner makes an outline.
type outliner struct {
	domain   *domain
	limits   map[*rule][]outlinedSite
	expanded []*rule         // that presets stand for
	changed  map[string]bool // names for which something is set
}

// outlinedSite is a limit, and what the file says of it.
type outlinedSite struct {
	*site
	admits   string
	disabled bool
}

func (o *outliner) note(s *site) {
	last, first := s.rules[len(s.rules)-1], s.rules[0]
	o.limits[last] = append(o.limits[last], outlinedSite{s, admitted(s.limit), s.limit.Disabled})
	if first.key == presetKey && !slices.Contains(o.expanded, first) && o.isPreset(s, first) {
		o.expanded = append(o.expanded, first)
	}
}

// isPreset tells whether a rule is of a preset's making: a file's own stands among its
// rules.
func (o *outliner) isPreset(s *site, r *rule) bool {
	return strings.HasPrefix(s.limit.Name, r.text+"/") && len(s.rules) > 1 && s.rules[1].at == r.at
}

func (o *outliner) rules(list []*rule) (all []OutlinedRule) {
	if len(list) > 0 {
		all = make([]OutlinedRule, 0, len(list))
	}
	for _, r := range list {
		all = append(all, o.rule(r))
	}
	return all
}

// hides tells whether the value of a rule is not to be told.
func (o *outliner) hides(r *rule) bool { return r.single() && o.domain.hash.covers(r) }

func (o *outliner) rule(r *rule) OutlinedRule {
	shown := OutlinedRule{
		Key: r.key, Value: r.text, File: printable(r.at.text.file, maxShown), Line: r.at.seen(), Rules: o.rules(r.children), Sign: "=",
		Kind: [...]string{anyValue: "any value", oneValue: "this value", globValue: "a pattern", networkValue: "a network", regexValue: "an expression"}[r.kind],
	}
	switch {
	case r.firstOf != nil:
		shown.Key, shown.Kind = "first of "+strings.Join(r.firstOf, ", "), "the first of these that has a rule"
	case o.hides(r):
		shown.Value, shown.hidden = "(hidden)", true
	case r.kind == networkValue:
		shown.Sign = " in "
	case r.kind == regexValue:
		shown.Sign = " =~ "
	}
	if slices.Contains(o.expanded, r) {
		shown.Preset, shown.Changed = r.text, o.changed[r.text]
	}
	for _, s := range o.limits[r] {
		shown.Limits = append(shown.Limits, o.limit(s))
	}
	return shown
}

func (o *outliner) limit(s outlinedSite) OutlinedLimit {
	l := s.limit
	shown := OutlinedLimit{
		Name: l.Name, Algorithm: s.spec.algorithm, Admits: admitted(l), Weight: o.weight(l.Weight), Waits: l.MaxWait, Line: s.spec.at.seen(),
		Shadow: l.Shadow, Quota: l.Quota, Success: l.CountSuccess, Disabled: l.Disabled, Unlimited: l.Unlimited, Enforced: l.EnforcePercent, Own: len(l.apart),
		Shared: l.SharedBy(), Detail: l.DetailedBy(),
	}
	if l.Metadata != nil {
		text, _ := json.Marshal(l.Metadata.Map()) // of what JSON has too
		shown.Metadata = printable(string(text), 5*maxShown)
	}
	shown.Changed = shown.Admits != s.admits || l.Disabled != s.disabled
	switch {
	case s.spec.draw != nil: // whose numbers are the pool's
		shown.Algorithm, shown.Pool, shown.Admits = "pool", s.spec.draw.pool, ""
		shown.Changed = o.changed[l.Name] || o.changed[shown.Pool]
	case l.Unlimited:
		shown.Algorithm = "unlimited"
	case shown.Admits != s.admits:
		shown.Stated = s.admits
	}
	return shown
}

// admitted is what a limit admits, in words.
func admitted(l *Limit) string {
	if l.Unlimited {
		return "everything"
	}
	switch b := l.Bucket.(type) {
	case buckets.Slots:
		return counted(int(b.Count), "slot")
	case buckets.Breaker:
		return ""
	case buckets.TokenBucket:
		if size := b.Size(); size != l.Requests {
			return fmt.Sprintf("%d per %s, %d at once", l.Requests, l.PeriodText(), size)
		}
	}
	if l.PeriodText() == "" {
		return ""
	}
	return fmt.Sprintf("%d per %s", l.Requests, l.PeriodText())
}

// mostWeights bounds the values that a weight is told of.
const mostWeights = 8

func (o *outliner) weight(w Weight) string {
	if w.By == "" {
		return map[bool]string{true: fmt.Sprint(w.Default)}[w.Default != 1]
	}
	var parts []string
	values := slices.SortedFunc(maps.Keys(w.Values), func(a, b string) int { return cmp.Or(cmp.Compare(w.Values[a], w.Values[b]), cmp.Compare(a, b)) })
	for _, value := range values[:min(len(values), mostWeights)] {
		told := value
		if o.domain.hash.hides(w.By) {
			told = "(hidden)"
		}
		parts = append(parts, fmt.Sprintf("%s %d", told, w.Values[value]))
	}
	if more := len(values) - mostWeights; more > 0 {
		parts = append(parts, fmt.Sprintf("%d more", more))
	}
	return "by " + w.By + ": " + strings.Join(append(parts, fmt.Sprintf("else %d", w.Default)), ", ")
}
