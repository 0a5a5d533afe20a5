package e2e

import (
	"strings"
	"testing"
)

// Envoy passes a header's bytes on as they are, also such as protocol buffers
// forbid in text. A limiter that fails on them lets the request in wherever
// Envoy's failure mode admits.
func TestHostile_HeaderBytesThatAreNoTextAreLimitedLikeAnyOther(t *testing.T) {
	top := run(t, spec{envoys: 1, weirs: 1, redis: true, failOpen: true, rules: rulesOf(slow100, "rate: 2/hour, burst: 2")})
	got := tally{}
	for _, user := range []string{"\xff", "a\xfe\xffb", "\xed\xa0\x80", strings.Repeat("\xc0", 10_000)} {
		answers := top.send(t, 5, headers{"X-User": user})
		if answers[200] != 2 || answers[429] != 3 {
			t.Errorf("user %.8q: %v, want 2 of 5 passed", user, answers)
		}
		got.add(answers)
	}
	top.judged(t, got)
}
