package service

import (
	"fmt"
	"testing"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"pgregory.net/rapid"
)

// The reference's rule: over if any limit that is no quota is over, or if there
// are quotas and all of them are; a quota that is used up says so either way.
// What admits is charged if the request passes, and nothing if it does not.
func TestQuotaMode_OneQuotaThatAdmitsIsEnough(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		const full = 9
		rules, sent := "domain: d\ndescriptors:\n", []string{}
		var over []bool
		refused, quotas, open := false, 0, 0
		for i := range rapid.IntRange(1, 5).Draw(rt, "descriptors") {
			q, o := rapid.Bool().Draw(rt, "quota"), rapid.Bool().Draw(rt, "over")
			over, sent = append(over, o), append(sent, fmt.Sprintf("k%d=x", i))
			rate := fmt.Sprintf("%d/hour", full)
			if o {
				rate = "0/hour"
			}
			rules += fmt.Sprintf("  - {key: k%d, quota_mode: %v, limits: [{rate: %s}]}\n", i, q, rate)
			switch {
			case q && o:
				quotas++
			case q:
				quotas, open = quotas+1, open+1
			case o:
				refused = true
			}
		}
		refused = refused || quotas > 0 && open == 0
		w := newWorld(t, rules)
		answer := w.ask(request(sent...))
		if got := answer.OverallCode == rls.RateLimitResponse_OVER_LIMIT; got != refused {
			rt.Fatalf("over is %v, want %v; rules:\n%s", got, refused, rules)
		}
		left := uint32(full)
		if !refused {
			left--
		}
		for i, s := range answer.Statuses {
			if got := s.Code == rls.RateLimitResponse_OVER_LIMIT; got != over[i] || !over[i] && s.LimitRemaining != left {
				rt.Fatalf("descriptor %d: %v, want over %v and %d left; rules:\n%s", i, s, over[i], left, rules)
			}
		}
	})
}
