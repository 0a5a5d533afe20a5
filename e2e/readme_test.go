package e2e

import "testing"

// What a reader copies from the README must work together: its rule file and
// its Envoy filter, route and cluster.
func TestReadme_RuleFileAndEnvoyFilterWorkTogether(t *testing.T) {
	docs := readDocumented(t, "../README.md")
	docs.check(t, "rules.yaml")
	top := &topology{}
	docs.run(t, top, bootstrap(t, docs.part(t, "route.yaml"), docs.part(t, "cluster.yaml"), docs.part(t, "filter.yaml")))
	c := client(t, 1)
	got := tally{}
	for range 40 { // 20 tokens of the user's minute, 33 requests of weight 3 in the pool
		got[get(c, top.fronts[0]+"/api/c", headers{"X-User": "u"}).status]++
	}
	if got[200] < 20 || got[200] > 25 || got[200]+got[429] != 40 {
		t.Errorf("%v, want the user's burst of 20 and what refilled meanwhile", got)
	}
}
