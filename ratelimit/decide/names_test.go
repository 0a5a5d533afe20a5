package decide

import (
	"testing"

	ratelimit "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
)

// Each tenant of a gateway that sends limits makes a name: a rule that is met first when
// there are too many must have its own all the same.
func TestShouldRateLimit_AFloodOfOverridesLeavesRulesTheirNames(t *testing.T) {
	w := newWorld(t, "domain: d\ndescriptors: [{key: late, rate_limit: {unit: hour, requests_per_unit: 1}}]", nil)
	ask := func(key, value string, limit *ratelimit.RateLimitDescriptor_RateLimitOverride) {
		t.Helper()
		_, err := wire{w.Service}.ShouldRateLimit(t.Context(), &rls.RateLimitRequest{
			Domain:      "d",
			Descriptors: []*ratelimit.RateLimitDescriptor{{Entries: []*ratelimit.RateLimitDescriptor_Entry{{Key: key, Value: value}}, Limit: limit}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10_500 {
		ask("tenant", decimal(i), &ratelimit.RateLimitDescriptor_RateLimitOverride{RequestsPerUnit: 5, Unit: typev3.RateLimitUnit_HOUR})
	}
	ask("late", "x", nil)
	if n := w.stats.RuleLimit("d", "late").TotalHits.Value(); n != 1 {
		t.Errorf("%d hits of the rule are counted under its name, want 1", n)
	}
	if n := w.stats.Limit("d", "other").TotalHits.Value(); n != 500 {
		t.Errorf("%d hits of overrides are counted under other, want the 500 beyond the bound", n)
	}
}
