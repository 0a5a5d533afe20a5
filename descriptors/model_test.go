package descriptors

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// modelRule is a rule as the language defines it, without maps or globs.
type modelRule struct {
	key, value string // no value: any
	limit      string // its name, or none
	children   []*modelRule
}

func (r *modelRule) yaml(indent string) string {
	s := fmt.Sprintf("%s- key: %q\n", indent, r.key)
	if r.value != "" {
		s += fmt.Sprintf("%s  value: %q\n", indent, r.value)
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

// modelMatch is the limit that entries meet, "" if none: among the rules of a
// level the exact one, else the first whose pattern fits, else the one of the
// key alone; then the same below it with what is left.
func modelMatch(rules []*modelRule, es []Entry) string {
	choose := func(fits func(*modelRule) bool) *modelRule {
		for _, r := range rules {
			if r.key == es[0].Key && fits(r) {
				return r
			}
		}
		return nil
	}
	value := es[0].Value
	chosen := choose(func(r *modelRule) bool { return r.value != "" && !strings.Contains(r.value, "*") && r.value == value })
	if chosen == nil {
		chosen = choose(func(r *modelRule) bool {
			pattern := "(?s)^" + strings.ReplaceAll(regexp.QuoteMeta(r.value), `\*`, ".*") + "$"
			return strings.Contains(r.value, "*") && regexp.MustCompile(pattern).MatchString(value)
		})
	}
	if chosen == nil {
		chosen = choose(func(r *modelRule) bool { return r.value == "" })
	}
	switch {
	case chosen == nil:
		return ""
	case len(es) == 1:
		return chosen.limit
	}
	return modelMatch(chosen.children, es[1:])
}

// anyRules draws the rules of a level, no two of which are the same.
func anyRules(t *rapid.T, depth int, names *int) []*modelRule {
	var rules []*modelRule
	seen := map[Entry]bool{}
	for range rapid.IntRange(0, 5).Draw(t, "rules") {
		r := &modelRule{
			key:   rapid.SampledFrom([]string{"a", "b", "a_b"}).Draw(t, "key"),
			value: rapid.SampledFrom([]string{"", "", "x", "y", "xy", "*", "x*", "*y", "x*y", "**x*"}).Draw(t, "value"),
		}
		if seen[Entry{r.key, r.value}] {
			continue
		}
		seen[Entry{r.key, r.value}] = true
		if rapid.Bool().Draw(t, "limited") {
			*names++
			r.limit = fmt.Sprintf("l%d", *names)
		}
		if depth > 1 {
			r.children = anyRules(t, depth-1, names)
		}
		rules = append(rules, r)
	}
	return rules
}

func TestMatch_AgreesWithTheDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := 0
		model := anyRules(t, 3, &count)
		content := "domain: llm\npassive: [p]\ndescriptors:\n"
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
				e := Entry{rapid.SampledFrom([]string{"a", "b", "a_b", "p"}).Draw(t, "key"), rapid.SampledFrom([]string{"", "x", "y", "xy", "xxy", "*", "x*"}).Draw(t, "value")}
				if sent = append(sent, e); e.Key != "p" {
					own = append(own, e)
				}
			}
			want := ""
			if len(own) > 0 {
				want = modelMatch(model, own)
			}
			res := rules.Resolve(&Request{Domain: "llm", Descriptors: []Descriptor{{Entries: sent}}})
			got := ""
			if len(res.Matches) == 1 {
				got = res.Matches[0].Limit.Name
			}
			if got != want || slices.Contains(res.Unmatched, 0) != (want == "" && len(own) > 0) {
				t.Fatalf("%v meets %q, want %q, unmatched %v; rules:\n%s", sent, got, want, res.Unmatched, content)
			}
		}
	})
}
