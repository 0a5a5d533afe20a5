package e2e

import (
	"strings"
	"testing"
	"time"
)

// The pieces of docs/how-to/envoy.md work as one Envoy, and do what the page says.
func TestEnvoyPage_ItsFiltersWorkTogether(t *testing.T) {
	docs := readDocumented(t, "../docs/how-to/envoy.md")
	docs.check(t, "rules.yaml", "breakers.yaml")
	route := map[string]any{"match": map[string]any{"prefix": "/"}, "route": map[string]any{"cluster": "backend"}}
	top := &topology{}
	docs.run(t, top, bootstrap(t, route, docs.part(t, "cluster.yaml"),
		docs.part(t, "filter.yaml"), docs.part(t, "usage.yaml"), docs.part(t, "breaker.yaml")), "breakers.yaml")

	t.Run("waiting, and slots and successes by receipt", func(t *testing.T) {
		began := time.Now()
		calls := top.beginAll(t, 12, waiter) // 10 at once, one after 0.2 s, one after 0.4 s
		if got := settled(calls...); got[200] != 12 || time.Since(began) < 400*time.Millisecond {
			t.Errorf("%v after %v, want 12 passed after 0.4 s", got, time.Since(began))
		}
		top.reaches(t, redeemed, 12)
	})
	t.Run("tokens of a stream", func(t *testing.T) {
		tenant := headers{"X-Tenant": "t", "X-Usage": "110000"}
		if got := settledOne(top.begin(t, 0, tenant)); got.status != 200 || !strings.Contains(got.body, "[DONE]") {
			t.Fatalf("%d %q", got.status, got.body)
		}
		top.reaches(t, `weir_decisions_total{domain="llm",limit="tokens",outcome="settled"}`, 1)
		if got := settledOne(top.begin(t, 0, tenant)); got.status != 429 {
			t.Errorf("a tenant in debt got %d", got.status)
		}
	})
	t.Run("breaker", func(t *testing.T) {
		top.opens(t)
		top.refuses(t, 3)
	})
}
