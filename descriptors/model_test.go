package descriptors

import (
	"fmt"
	"math/rand/v2"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// modelRule is a rule as the language defines it, without maps, globs or bits.
type modelRule struct {
	key         string
	form, value string // form is the field that states value; no form: any value
	limit       string // its name, or none
	children    []*modelRule
}

func (r *modelRule) yaml(indent string) string {
	s := fmt.Sprintf("%s- key: %q\n", indent, r.key)
	if r.form != "" {
		s += fmt.Sprintf("%s  %s: %q\n", indent, r.form, r.value)
	}
	if r.limit != "" {
		s += fmt.Sprintf("%s  limits: [{rate: 1/s, name: %s}]\n", indent, r.limit)
	}
	if len(r.children) > 0 {
		s += indent + "  descriptors:\n"
		for _, c := range r.children {
			s += c.yaml(indent + "    ")
		}
	}
	return s
}

func modelGlob(pattern, s string) bool {
	return regexp.MustCompile("(?s)^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$").MatchString(s)
}

// modelHolds is the definition of value_cidr by another parser: net and not
// net/netip. It answers the prefix's length, -1 for a value that is not in it.
func modelHolds(cidr, value string) int {
	_, network, err := net.ParseCIDR(cidr)
	if err != nil {
		panic(err)
	}
	address, narrowest := net.ParseIP(value), 128
	if a, n, err := net.ParseCIDR(value); err == nil {
		address = a
		narrowest, _ = n.Mask.Size()
	}
	length, bits := network.Mask.Size()
	if address == nil || (address.To4() != nil) != (bits == 32) || length > narrowest || !network.Contains(address) {
		return -1
	}
	return length
}

// rank is where a rule stands among those of its level that an entry meets, the
// least first; met tells whether it meets the entry at all.
func (r *modelRule) rank(e Entry, index int) (rank int, met bool) {
	pattern := strings.Contains(r.key, "*") || strings.Contains(r.value, "*") || r.form == "value_regex"
	met = modelGlob(r.key, e.Key)
	switch r.form {
	case "value":
		met = met && modelGlob(r.value, e.Value)
	case "value_regex":
		met = met && regexp.MustCompile("(?s)^("+r.value+")$").MatchString(e.Value)
	case "value_cidr":
		length := modelHolds(r.value, e.Value)
		return 1000 - length, met && length >= 0
	}
	switch {
	case pattern:
		return 2000 + index, met
	case r.form == "value":
		return 0, met
	}
	return 3000, met
}

// inOrder are the rules that an entry meets, in the order in which they win.
func inOrder(rules []*modelRule, e Entry) []*modelRule {
	ranks := map[*modelRule]int{}
	var met []*modelRule
	for i, r := range rules {
		if rank, ok := r.rank(e, i); ok {
			ranks[r] = rank
			met = append(met, r)
		}
	}
	slices.SortFunc(met, func(a, b *modelRule) int { return ranks[a] - ranks[b] })
	return met
}

// modelMatch is the limit that entries meet, "" if none.
func modelMatch(rules []*modelRule, es []Entry) string {
	met := inOrder(rules, es[0])
	switch {
	case len(met) == 0:
		return ""
	case len(es) == 1:
		return met[0].limit
	}
	return modelMatch(met[0].children, es[1:])
}

// modelBest is the same under `matching: best`, with the number of entries that
// the rule consumes: all ways are tried, in order, and the first of the deepest
// wins.
func modelBest(rules []*modelRule, es []Entry) (limit string, depth int) {
	if len(es) == 0 {
		return "", 0
	}
	for _, r := range inOrder(rules, es[0]) {
		if r.limit != "" && depth < 1 {
			limit, depth = r.limit, 1
		}
		if below, d := modelBest(r.children, es[1:]); below != "" && d+1 > depth {
			limit, depth = below, d+1
		}
	}
	return limit, depth
}

var modelForms = map[string][]string{
	"value":       {"x", "y", "xy", "*", "x*", "*y", "x*y", "**x*", "10.0.0.1"},
	"value_cidr":  {"0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/31", "10.0.0.1/32", "::/0", "2001:db8::/32", "2001:db8::1/128"},
	"value_regex": {"x|xy", "[^x]*", "x.*", ".", "(?i)X+"},
}

var modelValues = []string{
	"", "x", "y", "xy", "xxy", "*", "x*", "x\n", "x\xff", "X", "10.0.0.1", "10.0.0.2", "::ffff:10.0.0.1", "2001:db8::1", "2001:DB8:0::2", "9.9.9.9",
	"10.0.0.0/8", "10.9.0.0/16", "0.0.0.0/0", "2001:db8::/48",
}

// anyRules draws the rules of a level, no two of which are the same.
func anyRules(t *rapid.T, depth int, names *int) []*modelRule {
	var rules []*modelRule
	seen := map[[3]string]bool{}
	for range rapid.IntRange(0, 6).Draw(t, "rules") {
		r := modelRule{
			key:  rapid.SampledFrom([]string{"a", "a", "b", "a_b", "a*", "*"}).Draw(t, "key"),
			form: rapid.SampledFrom([]string{"", "value", "value", "value_cidr", "value_regex"}).Draw(t, "form"),
		}
		if r.form == "value_cidr" && strings.Contains(r.key, "*") {
			r.form = ""
		}
		if r.form != "" {
			r.value = rapid.SampledFrom(modelForms[r.form]).Draw(t, "value")
		}
		if rule := [3]string{r.key, r.form, r.value}; seen[rule] {
			continue
		}
		seen[[3]string{r.key, r.form, r.value}] = true
		rule := r
		if rapid.Bool().Draw(t, "limited") {
			*names++
			rule.limit = fmt.Sprintf("l%d", *names)
		}
		if depth > 1 {
			rule.children = anyRules(t, depth-1, names)
		}
		rules = append(rules, &rule)
	}
	return rules
}

func TestMatch_AgreesWithTheDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := 0
		model := anyRules(t, 3, &count)
		best := rapid.Bool().Draw(t, "best")
		content := "domain: llm\npassive: [p]\ndescriptors:\n"
		if best {
			content = "matching: best\n" + content
		}
		for _, r := range model {
			content += r.yaml("  ")
		}
		a := assemble([]*file{parse(newText("test.yaml", []byte(content)))}, Options{})
		if a.faults.Failed() {
			t.Fatalf("%s\n%s", content, a.faults.Text())
		}
		rules := newRules(a.domains)
		for range 20 {
			var sent, own []Entry
			for range rapid.IntRange(1, 4).Draw(t, "entries") {
				e := Entry{rapid.SampledFrom([]string{"a", "a", "b", "a_b", "p"}).Draw(t, "key"), rapid.SampledFrom(modelValues).Draw(t, "value")}
				if sent = append(sent, e); e.Key != "p" {
					own = append(own, e)
				}
			}
			want, depth := "", len(own)
			switch {
			case best:
				want, depth = modelBest(model, own)
			case len(own) > 0:
				want = modelMatch(model, own)
			}
			res := rules.Resolve(&Request{Domain: "llm", Descriptors: []Descriptor{{Entries: sent}}})
			got, key := "", ""
			if len(res.Matches) == 1 {
				got, key = res.Matches[0].Limit.Name, res.Matches[0].Charge.Key
			}
			if got != want || slices.Contains(res.Unmatched, 0) != (want == "" && len(own) > 0) {
				t.Fatalf("%v meets %q, want %q, unmatched %v; rules:\n%s", sent, got, want, res.Unmatched, content)
			}
			if got == "" {
				continue
			}
			// The bucket is that of what the rule consumed, and of nothing else.
			again := rules.Resolve(&Request{Domain: "llm", Descriptors: []Descriptor{{Entries: own[:depth]}}}).Matches
			if len(again) != 1 || again[0].Charge.Key != key || again[0].Limit.Name != got {
				t.Fatalf("%v has the bucket %q, %v has %+v; rules:\n%s", sent, key, own[:depth], again, content)
			}
		}
	})
}

// The hazard of going back: 30 entries on a tree in which everything meets
// everything. What one search visits is bounded by what the file was measured
// for, and that by a number.
func TestBest_WorkIsBoundedByTheRulesNotByTheRequest(t *testing.T) {
	levels := func(n, wide int) string {
		var b strings.Builder
		var level func(indent string, left int)
		level = func(indent string, left int) {
			for i := range wide {
				fmt.Fprintf(&b, "%s- key: k\n%s  value: '%s'\n", indent, indent, strings.Repeat("*", i+1))
				if left > 1 {
					fmt.Fprintf(&b, "%s  descriptors:\n", indent)
					level(indent+"  ", left-1)
				} else {
					fmt.Fprintf(&b, "%s  descriptors: [{key: never, rate_limit: {unit: second, requests_per_unit: 1}}]\n", indent)
				}
			}
		}
		b.WriteString("domain: llm\nmatching: best\ndescriptors:\n")
		level("  ", n)
		return b.String()
	}
	hostile := make([]Entry, 30)
	for i := range hostile {
		hostile[i] = Entry{"k", "v"}
	}
	for _, c := range []struct {
		levels, wide int
		loads        bool
	}{{11, 2, true}, {7, 3, true}, {12, 2, false}, {8, 3, false}, {30, 1, true}} {
		a := assemble([]*file{parse(newText("test.yaml", []byte(levels(c.levels, c.wide))))}, Options{})
		d := a.domains["llm"]
		if (d != nil) != c.loads {
			t.Errorf("%d levels of %d: %s", c.levels, c.wide, a.faults.Text())
		}
		if d == nil {
			continue
		}
		s := search{d: d, entries: hostile, length: len(hostile)}
		s.from(&d.root, 0)
		if bound := d.root.measure(); s.visits > bound || bound > maxVisits || s.visits < bound/4 {
			t.Errorf("%d levels of %d: a search visits %d nodes, measured were %d", c.levels, c.wide, s.visits, bound)
		}
	}
}

func TestBest_NoSearchVisitsMoreThanMeasured(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := 0
		content := "domain: llm\nmatching: best\ndescriptors:\n"
		for _, r := range anyRules(t, 4, &count) {
			content += r.yaml("  ")
		}
		d := assemble([]*file{parse(newText("test.yaml", []byte(content)))}, Options{}).domains["llm"]
		if d == nil {
			t.Fatal(content)
		}
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		bound := d.root.measure()
		for range 50 {
			es := make([]Entry, 30)
			for i := range es {
				es[i] = Entry{[]string{"a", "b", "a_b"}[random.IntN(3)], modelValues[random.IntN(len(modelValues))]}
			}
			s := search{d: d, entries: es, length: len(es)}
			if s.from(&d.root, 0); s.visits > bound {
				t.Fatalf("%v visits %d nodes, measured were %d; rules:\n%s", es, s.visits, bound, content)
			}
		}
	})
}

// Each way that one entry can go is in the measure, so that no kind of rule can
// be piled up past the bound; and once a rule has consumed all there is, the
// others are not looked at.
func TestBest_EveryKindOfRuleIsMeasuredAndNothingIsVisitedInVain(t *testing.T) {
	const level = `
    - {key: k, value: 10.0.0.1%[1]s}
    - {key: k, value_cidr: 10.0.0.0/8%[1]s}
    - {key: k, value_cidr: 10.0.0.0/16%[1]s}
    - {key: k, value: "1*"%[1]s}
    - {key: k, value_regex: "1.*"%[1]s}
    - {key: "k*", value: 10.0.0.1%[1]s}
    - {key: "*"%[1]s}
    - {key: k%[1]s}
    - {key: k, value: other%[1]s}
`
	for below, want := range map[string]int{"": 9, ", rate_limit: {unlimited: true}": 2} {
		d := assemble([]*file{parse(newText("test.yaml", fmt.Appendf(nil, "domain: llm\nmatching: best\ndescriptors:"+level, below)))}, Options{}).domains["llm"]
		s := search{d: d, entries: []Entry{{"k", "10.0.0.1"}}, length: 1}
		if s.from(&d.root, 0); s.visits != want || d.root.measure() != 9 {
			t.Errorf("%q below: %d nodes visited, want %d; measured are %d, want 9", below, s.visits, want, d.root.measure())
		}
	}
}
