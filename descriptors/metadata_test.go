package descriptors

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestMetadata_IsWhatTheRuleStatesAndStaysSo(t *testing.T) {
	const rules = `
domain: llm
descriptors:
  - key: a
    detailed_metric: true
    metadata: &m
      key: is no field here
      metadata: {nested: {value: [1, -2.5, 0x10, 1_000, true, off, "off", null, ~, text, {}, [], {in: [[2]]}]}, 2020-01-01: 3}
      7: seven
    rate_limit: {unit: second, requests_per_unit: 1}
  - key: b
    value_to_metric: true
    metadata: {<<: *m, key: own}
    rate_limit: {unlimited: true}
  - {key: c, limits: [{rate: 1/s, name: c1}, {rate: 1/min, name: c2}], metadata: {team: search}}
  - {key: d, rate_limit: {unit: second, requests_per_unit: 1}}`
	const nested = `"metadata":{"nested":{"value":[1,-2.5,16,1000,true,false,"off",null,null,"text",{},[],{"in":[[2]]}]},"2020-01-01":3},"7":"seven"`
	for dialect, r := range map[string]*Rules{"weir": rulesOf(t, rules), "reference": referenceRules(t, rules)} {
		for text, want := range map[string]string{
			"a=x": `{"key":"is no field here",` + nested + `}`, "b=x": `{"key":"own",` + nested + `}`, "c=x": `{"team":"search"}`,
		} {
			for _, m := range r.Resolve(request(text)).Matches {
				got, expected := m.Limit.Metadata.Map(), map[string]any{}
				if err := json.Unmarshal([]byte(want), &expected); err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(got, expected) {
					t.Errorf("%s: %s has %v, want %v", dialect, text, got, expected)
				}
				spoil(got)
				if again := m.Limit.Metadata.Map(); !reflect.DeepEqual(again, expected) {
					t.Errorf("%s: %s was changed to %v", dialect, text, again)
				}
			}
		}
		if m := one(t, r, Descriptor{Entries: entries("d=x")}).Limit.Metadata; m != nil || m.Map() != nil {
			t.Errorf("%s: a rule that states none has %v", dialect, m)
		}
	}
}

// spoil changes all that can be reached.
func spoil(v any) {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			spoil(v[name])
			v[name] = "spoilt"
		}
	case []any:
		for i := range v {
			spoil(v[i])
			v[i] = "spoilt"
		}
	}
}

// Metadata travels with every response, and aliases can make much of little.
func TestMetadata_IsBounded(t *testing.T) {
	bomb := "&a0 {x: 1}"
	for i := range 20 {
		bomb = fmt.Sprintf("&a%d {l: %s, r: *a%d}", i+1, bomb, i)
	}
	for _, metadata := range []string{"{k: " + strings.Repeat("x", maxMetadata) + "}", bomb, "{k: [" + strings.Repeat("1,", maxMetadata/metadataValue) + "]}"} {
		f := parse(newText("x.yaml", []byte("domain: d\ndescriptors: [{key: a, metadata: "+metadata+", rate_limit: {unit: day, requests_per_unit: 1}}]")))
		if !strings.Contains(f.faults.Text(), "metadata has more than 65536 bytes") {
			t.Errorf("%.40s is taken: %s", metadata, f.faults.Text())
		}
	}
}
