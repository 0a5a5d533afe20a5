package decide

import (
	"fmt"
	"testing"

	"github.com/weir-rls/weir/descriptors"
)

// New rules that say another amount, name, mode or place keep a limit's count; another unit
// begins one of its own, which the first unit's goes on beside.
func TestReload_KeepsCountsUnlessTheUnitIsAnother(t *testing.T) {
	rule := func(unit string, n int, more string) string {
		return fmt.Sprintf("domain: d\ndescriptors:\n- {key: other}\n- {key: k, %s rate_limit: {unit: %s, requests_per_unit: %d}}\n", more, unit, n)
	}
	var rules *descriptors.Rules
	w := newWorld(t, rule("minute", 3, ""), func(o *Options) { o.Rules = func() *descriptors.Rules { return rules } })
	for i, step := range []struct{ yaml, asked, want string }{
		{rule("minute", 3, ""), "k=v 3", "OK: OK 0"},
		{rule("minute", 5, ""), "k=v", "OK: OK 1"},
		{rule("minute", 3, ""), "k=v", "OVER: OVER 0"},
		{rule("minute", 5, "detailed_metric: true,"), "k=v 0", "OK: OK 0"}, // 5, refused or not
		{rule("hour", 3, ""), "k=v", "OK: OK 2"},
		{rule("minute", 5, ""), "k=v", "OVER: OVER 0"},
		{rule("minute", 4, "shadow_mode: true,"), "k=v", "OK: OK 0"},
		{rule("minute", 9, "quota_mode: true,"), "k=v", "OK: OK 1"},
		{rule("minute", 9, `value: "v*",`), "k=v", "OK: OK 0"},
		{"domain: d\ndescriptors: []\n", "k=v", "OK: OK 0"},
		{rule("minute", 9, ""), "k=v", "OVER: OVER 0"},
		{rule("minute", 9, `value: "v*", share_threshold: true,`), "k=v", "OK: OK 8"},
		{rule("hour", 3, "quota_mode: true,"), "k=v 3", "OVER: OVER 0"},
		{rule("hour", 0, "quota_mode: true,"), "k=v 0", "OVER: OVER 0"},
	} {
		rules = loadRules(t, step.yaml)
		if got := w.ask(t, request(step.asked)); got != step.want {
			t.Errorf("step %d: %s, want %s", i, got, step.want)
		}
	}
}
