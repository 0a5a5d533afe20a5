package service

import (
	"os"
	"strings"
	"testing"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
)

// The rules of docs/reference/rules.md: the token's group, else the user's group, else the
// user.
func TestM08_TheTokensGroupElseTheUsersGroupElseTheUser(t *testing.T) {
	page, err := os.ReadFile("../docs/reference/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rules, _ := strings.Cut(string(page), "domain: first-of\n")
	rules, _, _ = strings.Cut("domain: d\n"+rules, "```")
	for _, c := range []struct {
		descriptors []string
		want        int
		limit       string
	}{
		{[]string{"user=u"}, 10, "per-user"},
		{[]string{"user=u", "user_group=none,user=u"}, 10, "per-user"},
		{[]string{"user=u", "user_group=vip,user=u"}, 100, "vip-user"},
		{[]string{"user=u", "token_group=batch,user=u"}, 500, "batch-token"},
		{[]string{"user=u", "user_group=vip,user=u", "token_group=batch,user=u"}, 500, "batch-token"},
		{[]string{"token_group=batch,user=u", "user_group=vip,user=u", "user=u"}, 500, "batch-token"},
		{[]string{"user=u", "user_group=vip,user=u", "token_group=none,user=u"}, 100, "vip-user"},
	} {
		w := newWorld(t, rules)
		passed, answer := 0, w.ask(request(c.descriptors...))
		for ; answer.OverallCode == rls.RateLimitResponse_OK && passed < 1000; passed++ {
			answer = w.ask(request(c.descriptors...))
		}
		if limit := answer.DynamicMetadata.GetFields()["limit"].GetStringValue(); passed != c.want || limit != c.limit {
			t.Errorf("%q passed %d times until %q refused, want %d and %q", c.descriptors, passed, limit, c.want, c.limit)
		}
		over := 0
		for _, s := range answer.Statuses {
			if s.Code == rls.RateLimitResponse_OVER_LIMIT {
				over++
			} else if s.CurrentLimit != nil {
				t.Errorf("%q: a replaced limit shows itself: %v", c.descriptors, s)
			}
		}
		if over != 1 || len(answer.Statuses) != len(c.descriptors) {
			t.Errorf("%q: statuses %v, want one over the limit", c.descriptors, answer.Statuses)
		}
		// What was replaced was not charged either.
		if c.limit != "per-user" && w.ask(request("user=u")).Statuses[0].LimitRemaining != 9 {
			t.Errorf("%q charged the user's own limit", c.descriptors)
		}
	}
}
