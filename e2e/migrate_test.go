package e2e

import (
	"testing"
)

// The filter that docs/how-to/migrate.md puts beside the old service counts what weir would
// have refused, and lets everything pass.
func TestMigratePage_AFilterBesideRefusesNothing(t *testing.T) {
	page := readDocumented(t, "../docs/how-to/migrate.md")
	page.files["rules.yaml"] = page.files["old.yaml"]
	route := map[string]any{"match": map[string]any{"prefix": "/"}, "route": map[string]any{
		"cluster":     "backend",
		"rate_limits": []any{map[string]any{"actions": []any{map[string]any{"generic_key": map[string]any{"descriptor_key": "user", "descriptor_value": "u"}}}}},
	}}
	top := &topology{}
	cluster := readDocumented(t, "../README.md").part(t, "cluster.yaml")
	page.run(t, top, bootstrap(t, route, cluster, page.part(t, "beside.yaml")))
	for i := range 33 {
		if got := settledOne(top.begin(t, 0, headers{})); got.status != 200 {
			t.Fatalf("request %d: %d", i, got.status)
		}
	}
	top.reaches(t, `weir_decisions_total{domain="shop",limit="user",outcome="denied"}`, 3)
}
