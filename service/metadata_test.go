package service

import (
	"encoding/json"
	"testing"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
)

const statedRules = `
domain: d
descriptors:
  - {key: user, limits: [{name: per-user, rate: 1/hour}, {name: other, rate: 100/hour}], metadata: {team: search, tags: {a: 1, deep: {x: true}}, list: [a, 2, null]}}
  - {key: path, rate_limit: {unit: minute, requests_per_unit: 100}, metadata: {team: web, tags: {a: 2, b: "two", deep: {y: -0.5}}, list: {no: list}}}
  - {key: trial, shadow_mode: true, rate_limit: {unit: minute, requests_per_unit: 0}, metadata: {trial: true}}
  - {key: plain, rate_limit: {unit: minute, requests_per_unit: 100}}
`

func statedIn(t *testing.T, answer *rls.RateLimitResponse) string {
	t.Helper()
	m := answer.GetDynamicMetadata()
	if m == nil {
		return "none"
	}
	text, err := json.Marshal(m.AsMap())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The metadata of rules reaches Envoy when their descriptors pass: also where another one
// refuses the request, and not that of the one which does.
func TestMetadata_OfRulesThatPassIsInTheAnswer(t *testing.T) {
	w := newWorld(t, statedRules)
	for _, c := range []struct {
		texts []string
		want  string
	}{
		{[]string{"plain=x"}, "none"},
		{[]string{"user=u"}, `{"metadata":{"list":["a",2,null],"tags":{"a":1,"deep":{"x":true}},"team":"search"}}`},
		{[]string{"user=v", "plain=x", "path=/"}, `{"metadata":{"list":["a",2,null],"tags":{"a":1,"b":"two","deep":{"x":true,"y":-0.5}},"team":"search"}}`},
		{[]string{"path=/", "user=w"}, `{"metadata":{"list":{"no":"list"},"tags":{"a":2,"b":"two","deep":{"x":true,"y":-0.5}},"team":"web"}}`},
		{[]string{"path=/", "path=/2"}, `{"metadata":{"list":{"no":"list"},"tags":{"a":2,"b":"two","deep":{"y":-0.5}},"team":"web"}}`},
		{[]string{"user=u", "trial=x"}, `{"limit":"per-user","metadata":{"trial":true},"reason":"limit"}`},
		{[]string{"user=u"}, `{"limit":"per-user","reason":"limit"}`},
	} {
		if got := statedIn(t, w.ask(request(c.texts...))); got != c.want {
			t.Errorf("%q:\n%s, want\n%s", c.texts, got, c.want)
		}
	}
	// What is joined for one answer is not there in the next.
	if got, want := statedIn(t, w.ask(request("path=/"))), `{"metadata":{"list":{"no":"list"},"tags":{"a":2,"b":"two","deep":{"y":-0.5}},"team":"web"}}`; got != want {
		t.Errorf("after others %s, want %s", got, want)
	}
}
