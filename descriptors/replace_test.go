package descriptors

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// limitsMet are the limits that a request meets, in order, and the descriptors
// that are unmatched.
func limitsMet(r *Rules, req *Request) (names string, unmatched []int) {
	res := r.Resolve(req)
	var found []string
	for _, m := range res.Matches {
		found = append(found, fmt.Sprintf("%d:%s", m.Descriptor, m.Limit.Name))
	}
	return strings.Join(found, " "), res.Unmatched
}

const replaceRules = `
domain: llm
descriptors:
  - {key: user, limits: [{rate: 1/s, name: per-user}]}
  - {key: group, rate_limit: {unit: second, requests_per_unit: 1, name: per-group, replaces: [{name: per-user}]}}
  - {key: token, rate_limit: {unlimited: true, replaces: [{name: per-user}, {name: per-group}]}}
  - {key: shadow, shadow_mode: true, limits: [{rate: 1/s, replaces: [{name: per-user}]}]}
  - {key: disabled, limits: [{rate: 1/s, enabled: false, name: off, replaces: [{name: per-user}]}]}
  - {key: per-group, limits: [{rate: 1/s}]}
  - {key: same, limits: [{rate: 1/s, name: a}, {rate: 2/s, name: b, replaces: [{name: a}]}]}
  - {key: twin, value: x, rate_limit: {unit: second, requests_per_unit: 1, name: per-group}}
  - {key: left, limits: [{rate: 1/s, name: left, replaces: [{name: right}]}]}
  - {key: right, limits: [{rate: 1/s, name: right, replaces: [{name: left}]}]}
`

func TestReplaces_AnyMatchedLimitRemovesTheNamedOnesOfTheRequest(t *testing.T) {
	r := rulesOf(t, replaceRules)
	for _, c := range []struct {
		want        string
		descriptors []string
	}{
		{"0:per-user", []string{"user=u"}},
		{"1:per-group", []string{"user=u", "group=g"}},
		{"0:per-group", []string{"group=g", "user=u"}},
		{"2:token", []string{"user=u", "group=g", "token=t"}},       // an unlimited one too
		{"1:shadow", []string{"user=u", "shadow=s"}},                // one in shadow mode too
		{"0:per-user", []string{"user=u", "disabled=d"}},            // a disabled one is not there
		{"0:per-user", []string{"user=u", "group=g extra=x"}},       // one that is not matched does nothing
		{"0:per-group 1:token", []string{"per-group=x", "token=t"}}, // a default name is no name
		{"0:b", []string{"same=s"}},
		{"2:token", []string{"twin=x", "group=g", "token=t"}}, // all of that name
		{"", []string{"left=x", "right=x"}},
		{"1:per-group 2:per-group", []string{"user=u", "group=g", "group=h"}}, // not those of its own name
	} {
		got, unmatched := limitsMet(r, request(c.descriptors...))
		if got != c.want {
			t.Errorf("%q meet %q, want %q", c.descriptors, got, c.want)
		}
		if len(unmatched) > 0 && !strings.Contains(strings.Join(c.descriptors, ","), "extra") {
			t.Errorf("%q: %v are unmatched; what is replaced is matched", c.descriptors, unmatched)
		}
	}
	over := request("user=u", "group=g")
	over.Descriptors[0].Override = &Override{Requests: 1, Unit: Second}
	if got, _ := limitsMet(r, over); got != "0:override 1:per-group" {
		t.Errorf("an override, which has no name, meets %q", got)
	}
}

// Any rules, any request: what is left is what no matched limit names.
func TestReplaces_AgreesWithTheDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const keys = 5
		replaces, content := [keys][]string{}, "domain: llm\ndescriptors:\n"
		for i := range keys {
			var list []string
			for j := range keys {
				if i != j && rapid.IntRange(0, 3).Draw(t, "replaces") == 0 {
					replaces[i] = append(replaces[i], fmt.Sprintf("n%d", j))
					list = append(list, fmt.Sprintf("{name: n%d}", j))
				}
			}
			content += fmt.Sprintf("  - {key: k%d, limits: [{rate: 1/s, name: n%d, replaces: [%s]}]}\n", i, i, strings.Join(list, ", "))
		}
		a := assemble([]*file{parse(newText("test.yaml", []byte(content)))}, Options{})
		if a.faults.Failed() {
			t.Fatal(a.faults.Text())
		}
		var sent []int
		req := &Request{Domain: "llm"}
		for range rapid.IntRange(1, 6).Draw(t, "descriptors") {
			i := rapid.IntRange(0, keys-1).Draw(t, "key")
			sent = append(sent, i)
			req.Descriptors = append(req.Descriptors, Descriptor{Entries: []Entry{{fmt.Sprintf("k%d", i), "v"}}})
		}
		var want []string
		for at, i := range sent {
			name := fmt.Sprintf("n%d", i)
			if !slices.ContainsFunc(sent, func(j int) bool { return slices.Contains(replaces[j], name) }) {
				want = append(want, fmt.Sprintf("%d:%s", at, name))
			}
		}
		if got, _ := limitsMet(newRules(a.domains), req); got != strings.Join(want, " ") {
			t.Fatalf("%v meet %q, want %q; rules:\n%s", sent, got, want, content)
		}
	})
}
