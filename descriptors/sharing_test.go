package descriptors

import (
	"slices"
	"testing"
)

const sharedRules = `
domain: llm
descriptors:
  - {key: path, value: "/files*", share_threshold: true, rate_limit: {unit: minute, requests_per_unit: 1}}
  - {key: path, value_regex: "/files*", share_threshold: true, rate_limit: {unit: minute, requests_per_unit: 1}}
  - {key: path, rate_limit: {unit: minute, requests_per_unit: 1}}
  - {key: "x-*", share_threshold: true, rate_limit: {unit: minute, requests_per_unit: 1}}
  - key: tenant
    value: "t*"
    share_threshold: true
    descriptors:
      - {key: user, rate_limit: {unit: minute, requests_per_unit: 1}}
      - {key: user, value: "a*", rate_limit: {unit: minute, requests_per_unit: 1}}`

// All values of a shared pattern are counted in one bucket, which no value that a client
// may send is the bucket of otherwise; entries beside it keep theirs apart.
func TestShareThreshold_OneBucketForAPattern(t *testing.T) {
	for name, r := range map[string]*Rules{"weir": rulesOf(t, sharedRules), "reference": referenceRules(t, sharedRules)} {
		seen := map[string]string{}
		for _, group := range [][]string{
			{"path=/files/a", "path=/files", "path=/files*"},
			{"path=/file"}, // of an expression that is written as the pattern is
			{"path=files/*"},
			{"x-a=1", "x-a=2", "x-a="},
			{"x-b=1"},
			{"tenant=t1 user=b", "tenant=t2 user=b", "tenant=t* user=b"},
			{"tenant=t1 user=c"},
			{"tenant=t1 user=a1", "tenant=t2 user=a1"},
			{"tenant=t1 user=a2"},
		} {
			for i, text := range group {
				m := one(t, r, Descriptor{Entries: entries(text)})
				first := seen[m.Charge.Key]
				if i == 0 && first != "" || i > 0 && first != group[0] {
					t.Errorf("%s: %s shares the key %q with %q", name, text, m.Charge.Key, first)
				}
				seen[m.Charge.Key] = group[0]
				if ReadKey(m.Charge.Key, nil) == nil {
					t.Errorf("%s: the key %q cannot be read", name, m.Charge.Key)
				}
			}
		}
	}
}

func TestStatName_PutsDetailedBeforeValueBeforePlain(t *testing.T) {
	const content = `
domain: llm
passive: [id]
descriptors:
  - key: plain
    rate_limit: {unit: minute, requests_per_unit: 1, name: named}
    descriptors: [{key: below, value: "v*", rate_limit: {unit: minute, requests_per_unit: 1}}]
  - key: value
    value_to_metric: true
    descriptors:
      - {key: user, rate_limit: {unit: minute, requests_per_unit: 1}}
      - {key: both, detailed_metric: true, value_to_metric: true, rate_limit: {unit: minute, requests_per_unit: 1}}
      - {key: one, value: only, rate_limit: {unit: minute, requests_per_unit: 1}}
  - {key: wild, value: "w*", value_to_metric: true, rate_limit: {unit: minute, requests_per_unit: 1}}
  - {key: shared, value: "s*", share_threshold: true, value_to_metric: true, rate_limit: {unit: minute, requests_per_unit: 1}}
  - key: deep
    value: "d*"
    share_threshold: true
    descriptors: [{key: all, detailed_metric: true, rate_limit: {unit: minute, requests_per_unit: 1}}]`
	wants := map[string]string{
		"value=v user=u": "value_v.user", "id=7 value=v user=u": "value_v.user", "value= user=u": "value.user", "value=v one=only": "value_v.one_only",
		"value=v both=b": "value_v.both_b", "value= both=": "value_.both_", "id=7 value=v both=b": "value_v.both_b",
		"wild=w1": "wild_w1", "shared=s1": "shared_s*", "deep=d1 all=x": "deep_d*.all_x", "deep=d1 all=": "deep_d*.all",
	}
	named := func(dialect string, r *Rules, text, want string) {
		if got := one(t, r, Descriptor{Entries: entries(text)}).Limit.StatName(entries(text)); got != want {
			t.Errorf("%s: %q is counted as %q, want %q", dialect, text, got, want)
		}
	}
	weir, reference := rulesOf(t, content), referenceRules(t, content)
	for text, want := range wants {
		named("weir", weir, text, want)
		named("reference", reference, text, want)
	}
	for field, want := range map[string]string{"detailed_metric": "g_vip.user_u", "value_to_metric": "g|h_vip.user"} {
		r := rulesOf(t, "domain: llm\ndescriptors: [{first_of: [g, h], value: vip, descriptors: [{key: user, "+field+": true, rate_limit: {unit: minute, requests_per_unit: 1}}]}]")
		named(field, r, "g=vip user=u", want)
		if l := r.Limits()[0]; l.Detailed() != (field == "detailed_metric") {
			t.Errorf("%s below a first_of makes details: %v", field, l.Detailed())
		}
	}
	for text, want := range map[string]string{"plain=p": "plain", "plain=p below=v1": "plain.below_v*"} {
		named("reference", reference, text, want)
	}
	named("weir", weir, "plain=p", "named")
	for text, want := range map[string]bool{"plain=p": false, "plain=p below=v1": false, "value=v one=only": true, "deep=d1 all=x": true} {
		for _, r := range []*Rules{weir, reference} {
			if got := one(t, r, Descriptor{Entries: entries(text)}).Limit.StatNameSent(); got != want {
				t.Errorf("the name of %q has values that were sent: %v, want %v", text, got, want)
			}
		}
	}
	if all := reference.Limits(); slices.ContainsFunc(all, func(l *Limit) bool { return l.StatName(nil) == l.Name && l.Name == "named" }) {
		t.Error("a limit of the Reference dialect is called by its name")
	}
}
