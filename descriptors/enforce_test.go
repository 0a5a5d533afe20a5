package descriptors

import (
	"fmt"
	"math"
	"testing"

	"github.com/weir-rls/weir/buckets"
)

// enforced are the values of a that a limit with a percentage enforces.
func enforced(t *testing.T, percent, keys int) map[string]bool {
	t.Helper()
	r := rulesOf(t, fmt.Sprintf("domain: llm\ndescriptors: [{key: a, limits: [{rate: 1/s, enforce_percent: %d}]}]", percent))
	found := map[string]bool{}
	for i := range keys {
		value := fmt.Sprintf("user-%d", i)
		if r.Resolve(request("a=" + value)).Matches[0].Charge.Role == buckets.Enforce {
			found[value] = true
		}
	}
	return found
}

// The share is that of the keys within 5 standard deviations of a fair draw,
// also for values that differ in their last digits only; and whoever is enforced
// at one percentage stays so at a higher one.
func TestEnforcePercent_AShareOfKeysThatOnlyGrows(t *testing.T) {
	const keys = 20_000
	before := map[string]bool{}
	for _, percent := range []int{0, 1, 5, 20, 21, 50, 80, 99, 100} {
		now := enforced(t, percent, keys)
		want, share := float64(keys*percent)/100, float64(percent)/100
		if off := math.Abs(float64(len(now)) - want); off > 5*math.Sqrt(keys*share*(1-share)) {
			t.Errorf("%d %%: %d of %d keys are enforced", percent, len(now), keys)
		}
		for value := range before {
			if !now[value] {
				t.Fatalf("%s is enforced below %d %% and not at it", value, percent)
			}
		}
		before = now
	}
}

// All replicas agree, and so does the same replica after a restart: these are
// fixed for as long as bucket keys are what they are.
func TestEnforcePercent_IsTheSameInEveryProcess(t *testing.T) {
	got := ""
	for i := range 40 {
		if enforced(t, 50, 40)[fmt.Sprintf("user-%d", i)] {
			got += "1"
		} else {
			got += "0"
		}
	}
	if want := "0110110000111111111000001100110001011111"; got != want {
		t.Errorf("enforced are %s, want %s", got, want)
	}
}

func TestEnforcePercent_TwoLimitsOfOneKeyDrawApart(t *testing.T) {
	r := rulesOf(t, "domain: llm\ndescriptors: [{key: a, limits: [{rate: 1/s, name: x, enforce_percent: 50}, {rate: 1/s, name: y, enforce_percent: 50}]}]")
	same := 0
	for i := range 1000 {
		if m := r.Resolve(request(fmt.Sprintf("a=%d", i))).Matches; m[0].Charge.Role == m[1].Charge.Role {
			same++
		}
	}
	if same < 400 || same > 600 {
		t.Errorf("the two limits agree on %d of 1000 keys", same)
	}
}

// A switched-off limit is listed and keeps its name, and is nowhere else. Its
// descriptor is matched: a domain of `unmatched: deny` does not refuse it.
func TestEnabled_ADisabledLimitIsNotMetAndItsDescriptorIsMatched(t *testing.T) {
	for _, matching := range []string{"exact", "best"} {
		r := rulesOf(t, "domain: llm\nmatching: "+matching+`
unmatched: deny
descriptors:
  - {key: a, limits: [{rate: 1/s, name: off, enabled: false}]}
  - {key: b, limits: [{rate: 1/s, name: off-too, enabled: false}, {rate: 2/s, name: on, enabled: true}]}
  - {key: c, limits: [{rate: 1/s, name: general}], descriptors: [{key: d, limits: [{rate: 1/s, name: off-below, enabled: false}]}]}
`)
		if got, unmatched := limitsMet(r, request("a=x", "b=x", "c=x d=y")); got != "1:on" || len(unmatched) > 0 {
			t.Errorf("matching: %s: %q is met, %v are unmatched", matching, got, unmatched)
		}
		listed := map[string]bool{}
		for _, l := range r.Limits() {
			listed[l.Name] = l.Disabled
		}
		if want := map[string]bool{"off": true, "off-too": true, "on": false, "general": false, "off-below": true}; fmt.Sprint(listed) != fmt.Sprint(want) {
			t.Errorf("listed are %v, want %v", listed, want)
		}
	}
}

// A quota is one until shadow mode, its own or for its share of keys, makes it a
// report.
func TestQuotaMode_IsTheRoleOfAllLimitsOfTheDescriptorUnlessTheyAreInShadowMode(t *testing.T) {
	r := rulesOf(t, `
domain: llm
descriptors:
  - {key: a, quota_mode: true, limits: [{rate: 1/s, name: a1}, {rate: 2/s, name: a2}], descriptors: [{key: b, limits: [{rate: 1/s, name: b}]}]}
  - {key: c, quota_mode: true, rate_limit: {unit: second, requests_per_unit: 1}}
  - {key: d, quota_mode: true, shadow_mode: true, limits: [{rate: 1/s}]}
  - {key: e, quota_mode: true, limits: [{rate: 1/s, enforce_percent: 0, name: e1}, {rate: 1/s, shadow_mode: true, name: e2}, {rate: 1/s, name: e3}]}
  - {key: f, quota_mode: false, limits: [{rate: 1/s}]}
`)
	got := ""
	for _, m := range r.Resolve(request("a=x", "a=x b=y", "c=x", "d=x", "e=x", "f=x")).Matches {
		got += fmt.Sprintf("%s:%d ", m.Limit.Name, m.Charge.Role)
	}
	want := fmt.Sprintf("a1:%[3]d a2:%[3]d b:%[1]d c:%[3]d d:%[2]d e1:%[2]d e2:%[2]d e3:%[3]d f:%[1]d ", buckets.Enforce, buckets.Shadow, buckets.Quota)
	if got != want {
		t.Errorf("the roles are %s, want %s", got, want)
	}
}
