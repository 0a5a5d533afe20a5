package descriptors

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// anyTree draws rules of every kind.
func anyTree(t *rapid.T) string {
	names, tree := 0, ""
	if rapid.Bool().Draw(t, "first_of") {
		root := drawChooser(t, 3, &names)
		root.limit = ""
		return root.yaml("  ")
	}
	for _, r := range anyRules(t, 3, &names) {
		tree += r.yaml("  ")
	}
	return tree
}

// Whatever a request brings, the rule that it meets is one of those that were said to
// be possible; and where all is known, the only one.
func TestSurvey_WhatIsMetWasPossibleAndWhatIsKnownIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree := anyTree(t)
		if tree == "" {
			return
		}
		content := "domain: llm\npassive: [p]\ndescriptors:\n" + tree
		best := rapid.Bool().Draw(t, "best")
		if best {
			content = "matching: best\n" + content
		}
		s, faults := surveyOf([]*file{parse(newText("x.yaml", []byte(content)))}, Options{})
		if faults.Failed() {
			return // patterns beside a first_of
		}
		rules := newRules(map[string]*domain{"llm": s.domains["llm"].domain})
		for range 20 {
			var expected []Expected
			var sent []Entry
			known := true
			for range rapid.IntRange(1, 4).Draw(t, "entries") {
				e := Entry{rapid.SampledFrom([]string{"a", "b", "c", "d", "a_b", "p"}).Draw(t, "key"), rapid.SampledFrom(append([]string{"x", "y", "z"}, modelValues...)).Draw(t, "value")}
				x := Expected{Key: e.Key}
				switch rapid.IntRange(0, 3).Draw(t, "known") {
				case 0:
					x.Values = []string{e.Value}
				case 1:
					x.Values, known = []string{"x", e.Value, "none"}, false
				case 2:
					x.Key, known = "", false
				default:
					known = false
				}
				if x.Optional = rapid.Bool().Draw(t, "optional"); x.Optional {
					known = false
				}
				if expected = append(expected, x); !x.Optional || rapid.Bool().Draw(t, "sent") {
					sent = append(sent, e)
				}
			}
			m := s.Meet("llm", expected)
			var possible []string
			for _, r := range m.Rules {
				possible = append(possible, r.Limits[0].Name)
			}
			met := ""
			for _, match := range rules.Resolve(&Request{Domain: "llm", Descriptors: []Descriptor{{Entries: sent}}}).Matches {
				met = match.Limit.Name
			}
			if met != "" && !slices.Contains(possible, met) {
				t.Fatalf("%v meets %q, and of %+v possible are %q; rules:\n%s", sent, met, expected, possible, content)
			}
			if known && !best && !strings.Contains(content, "first_of") && strings.Join(possible, " ") != met {
				t.Fatalf("%v meets %q, said were %q; rules:\n%s", sent, met, possible, content)
			}
		}
	})
}

// Each rule is named with its place and what it needs, also those of presets, and
// pools lend it their wait.
func TestSurvey_RulesHavePlacesKeysAndNeeds(t *testing.T) {
	const content = `domain: llm
pools: [{name: units, rate: 10/s, burst: 10, max_wait: 3s}]
descriptors:
  - key: tenant
    value: a
    descriptors: [{key: user, limits: [{rate: 1/s, name: one}, {rate: 1/s, name: two, max_wait: 5s}]}]
  - {key: api, value: x, draw: {pool: units}}
  - {key: ok, limits: [{rate: 1/min, algorithm: sliding_window, count: success}]}
  - {key: off, limits: [{algorithm: concurrency, slots: 1, enabled: false}]}
  - {key: down, breaker: {}}
  - {key: not, limits: [{rate: 1/min, algorithm: sliding_window, count: success, enabled: false}]}
`
	s, faults := surveyOf([]*file{parse(newText("x.yaml", []byte(content)))}, Options{})
	if faults.Failed() {
		t.Fatal(faults.Text())
	}
	var got []string
	for _, r := range s.Rules("llm") {
		line := r.Name + " " + strings.Join(r.Keys, ",") + " " + r.Place() + " " + r.Waits.String()
		if r.Reports {
			line += " reports"
		}
		got = append(got, line)
	}
	want := []string{
		"tenant=a/user tenant,user x.yaml:6:25 5s",
		"api=x api x.yaml:7:23 3s",
		"ok ok x.yaml:8:11 0s reports",
		"off off x.yaml:9:11 0s",
		"down down x.yaml:10:11 0s reports",
		"not not x.yaml:11:11 0s",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestDocument_ACommentSaysThatAFaultIsMeant(t *testing.T) {
	const content = `a: 1 # weir:allow one, two
b: 2
# weir:allow one
c: 3
d: 4 # weir:allow one-and-more
`
	d, fault := ParseDocument("x.yaml", []byte(content))
	if fault != nil {
		t.Fatal(fault)
	}
	var told []string
	for i := 1; i < len(d.Roots[0].Content); i += 2 {
		for _, id := range []string{"one", "two"} {
			if f, ok := d.Tell(d.Roots[0].Content[i], Note, id, "m", "r"); ok {
				told = append(told, f.Error())
			}
		}
	}
	want := []string{
		"x.yaml:2:4: note: m: r [one]", "x.yaml:2:4: note: m: r [two]", // the comment of the line above is that line's
		"x.yaml:4:4: note: m: r [two]",
		"x.yaml:5:4: note: m: r [one]", "x.yaml:5:4: note: m: r [two]",
	}
	if !slices.Equal(told, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
}

// A later entry of a first_of may decide in place of an earlier one.
func TestSurvey_OfAFirstOfEachEntryMayDecide(t *testing.T) {
	const content = `domain: llm
descriptors:
  - {first_of: [b, a], value: x, limits: [{rate: 1/s, name: one}]}
  - {first_of: [b, a], value: z, limits: [{rate: 1/s, name: two}]}
`
	s, _ := surveyOf([]*file{parse(newText("x.yaml", []byte(content)))}, Options{})
	for _, c := range []struct {
		entries []Expected
		want    int
	}{
		{[]Expected{{Key: "a", Values: []string{"x"}}}, 1},
		{[]Expected{{Key: "a", Values: []string{"x"}}, {Key: "b"}}, 2},
		{[]Expected{{Key: "a", Values: []string{"y"}}}, 0},
		{[]Expected{{Key: "a"}, {Key: "c"}}, 0},
	} {
		if got := s.Meet("llm", c.entries).Rules; len(got) != c.want {
			t.Errorf("%+v may meet %d rules, want %d", c.entries, len(got), c.want)
		}
	}
}
