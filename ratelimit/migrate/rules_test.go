package migrate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-rls/weir/descriptors"
)

// written is what one file becomes, with what is told.
func written(t *testing.T, o Options, content string) (Result, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.basic.conf")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	result, faults := Rules([]string{path}, o)
	return result, strings.ReplaceAll(faults.Text(), path, "FILE")
}

const before = `# Limits of the shop.
domain: shop # as Envoy sends it
descriptors:
  # who buys
  - key: user # from the token
    value: 5
    shadow_mode: yes
    rate_limit: # per contract 17
      unit: Minute
      # raised in May
      requests_per_unit: 0x10
  - {key: plan, value: gold*, share_threshold: true, metadata: {tier: 1, note: [a, {b: c}]}, rate_limit: &weekly {unit: week, requests_per_unit: 1_000, name: quota}} # nobody knows why
  - key: plan
    value: silver
    detailed_metric: true
    value_to_metric: true
    quota_mode: true
    rate_limit: {<<: *weekly, unit: month}
  - key: plan
    rate_limit: *weekly
    descriptors: [{key: path, rate_limit: {unlimited: true, name: free, replaces: [{name: quota}]}}, {key: day, rate_limit: {unit: day, requests_per_unit: 7}}]
  - {key: year, rate_limit: {unit: YEAR, requests_per_unit: 3}}
  - {key: huge, rate_limit: {unit: hour, requests_per_unit: 4294967291}}
  - {key: none}
`

const after = `# Limits of the shop.
domain: shop # as Envoy sends it
descriptors:
# who buys
# per contract 17
# raised in May
# was a fixed window of a minute
- key: user # from the token
  value: "5"
  shadow_mode: true
  limits: [{rate: 16/min}]
# weeks from Monday, were from Thursday
- {key: plan, value: gold*, share_threshold: true, metadata: {tier: 1, note: [a, {b: c}]}, limits: [{name: quota, rate: 1000/week}]} # nobody knows why
# was named "quota", which is taken
# months of the calendar, were of 30 days
- key: plan
  value: silver
  detailed_metric: true
  value_to_metric: true
  quota_mode: true
  limits: [{name: quota-2, rate: 1000/month}]
# was named "quota", which is taken
# weeks from Monday, were from Thursday
- key: plan
  limits: [{name: quota-3, rate: 1000/week}]
  descriptors:
  - {key: path, rate_limit: {unlimited: true, name: free, replaces: [{name: quota}, {name: quota-2}, {name: quota-3}]}}
  - {key: day, limits: [{rate: 7/day}]}
# years of the calendar, were of 365 days
- {key: year, limits: [{rate: 3/year}]}
# was a fixed window of an hour
- {key: huge, limits: [{rate: 4294967291/hour}]}
- {key: none}
`

func TestRules_KeepAllThatTheFileSaysWithItsComments(t *testing.T) {
	result, told := written(t, Options{}, before)
	if len(result.Files) != 1 || result.Files[0].Name != "shop.yaml" || strings.Contains(told, ": note: ") || string(result.Files[0].Content) != after {
		t.Errorf("%s\n%+v", told, result)
		for _, f := range result.Files {
			t.Errorf("%s", f.Content)
		}
	}
	if got, want := result.Summary(), "8 limits of 1 file in 1 domain, for weir serve:\n  2: token buckets "; !strings.HasPrefix(got, want) {
		t.Errorf("summary:\n%s", got)
	}
	for range 5 {
		if again, _ := written(t, Options{}, before); string(again.Files[0].Content) != after {
			t.Fatalf("written again it is\n%s", again.Files[0].Content)
		}
	}
}

// What is written stands for itself: a rule can be changed without another one.
func TestRules_AliasesAndMergeKeysAreWrittenOut(t *testing.T) {
	result, told := written(t, Options{}, `domain: d
descriptors:
- &a {key: a, value: x, descriptors: &below [{key: b, rate_limit: {unit: day, requests_per_unit: 1}}]}
- {<<: *a, value: y}
- {<<: [{value: z}, *a], descriptors: *below}
`)
	const want = `domain: d
descriptors:
- key: a
  value: x
  descriptors:
  - {key: b, limits: [{rate: 1/day}]}
- value: "y"
  key: a
  descriptors:
  - {key: b, limits: [{rate: 1/day}]}
- descriptors:
  - {key: b, limits: [{rate: 1/day}]}
  value: z
  key: a
`
	if len(result.Files) != 1 || told != "" || string(result.Files[0].Content) != want {
		t.Errorf("%s\n%v", told, result.Files)
		for _, f := range result.Files {
			t.Errorf("%s", f.Content)
		}
	}
}

func TestRules_KeepTheirWindowsWhereThatIsWanted(t *testing.T) {
	result, _ := written(t, Options{KeepWindows: true}, before)
	for _, want := range []string{"rate: 16/min, algorithm: fixed_window", "rate: 1000/7day,", "rate: 1000/30day,", "rate: 7/day,", "rate: 3/365day,"} {
		if !strings.Contains(string(result.Files[0].Content), want) {
			t.Errorf("%q is not in\n%s", want, result.Files[0].Content)
		}
	}
	if len(result.Changes) != 1 || result.Changes[0] != (Change{2, changes[renamed]}) {
		t.Errorf("%+v", result.Changes)
	}
}

// SHADOW_MODE and QUOTA_MODE of the whole service become those of each limit.
func TestRules_TakeTheModesOfTheWholeService(t *testing.T) {
	result, _ := written(t, Options{Shadow: true, Quota: true}, "domain: d\ndescriptors: [{key: a, rate_limit: {unit: second, requests_per_unit: 1}}, {key: b, rate_limit: {unlimited: true}}]\n")
	want := "- {key: a, limits: [{rate: 1/s}], shadow_mode: true, quota_mode: true}\n- {key: b, rate_limit: {unlimited: true}}\n"
	if got := string(result.Files[0].Content); !strings.HasSuffix(got, want) {
		t.Errorf("%s", got)
	}
}

func TestRules_FilesOfOneDomainBecomeOneFile(t *testing.T) {
	a, b := "domain: d/x\ndescriptors: [{key: a, rate_limit: {unit: second, requests_per_unit: 1, name: n}}]\n", "descriptors: [{key: b, rate_limit: {unit: second, requests_per_unit: 2, name: n}}]\ndomain: d/x\n"
	rules, _ := rewritten(t, Options{MergeDomains: true}, a, b, "domain: D_X\n", "domain: ..\n")
	for key, requests := range map[string]int64{"a": 1, "b": 2} {
		got := rules.Resolve(&descriptors.Request{Domain: "d/x", Descriptors: []descriptors.Descriptor{{Entries: []descriptors.Entry{{Key: key, Value: "v"}}}}}).Matches
		if len(got) != 1 || got[0].Limit.Requests != requests {
			t.Errorf("%s meets %+v", key, got)
		}
	}
	taken := map[string]int{}
	for domain, want := range map[string]string{"d/x": "d_x.yaml", "..": "_..yaml", strings.Repeat("é", 200): strings.Repeat("_", 100) + ".yaml"} {
		if got := fileName(domain, taken); got != want {
			t.Errorf("the file of %q is %q", domain, got)
		}
	}
	if got := fileName("D_X", taken); got != "D_X-2.yaml" {
		t.Errorf("the second is %q", got)
	}
}

func TestRules_FaultsHaveTheirPlaceAndNothingIsWritten(t *testing.T) {
	for content, want := range map[string]string{
		"domain: d\ndescriptors:\n  - {key: a, rate_limit: {unit: fortnight, requests_per_unit: 1}}\n": "FILE:3:33: error: unit cannot be",
		"domain: d\ndescriptors:\n  - {key: a, colour: red}\n":                                         "FILE:3:14: error: unknown field",
		"domain: d\ndescriptors:\n  - {key: a, value: b}\n  - {key: a, value: b}\n":                    "FILE:4:21: error: ",
		"domain: [\n": "FILE:2:1: error: not YAML",
		"":            "FILE:1:1: error: the file is empty",
		"domain: d\ndescriptors:\n  - {key: weir.end, rate_limit: {unit: second, requests_per_unit: 1}}\n": "",
	} {
		result, told := written(t, Options{}, content)
		if want != "" && (!strings.Contains(told, want) || len(result.Files) > 0) {
			t.Errorf("%q: %q, want %q", content, told, want)
		}
	}
}

// A rule that meets less than it did is told of with its place, and beside it.
func TestRules_WhatTheyNoLongerMeetIsToldWithItsPlace(t *testing.T) {
	for rules, want := range map[string]string{
		"{key: a, value: b_c}, {key: a_b}":              `FILE:3:23: note: key and value were joined by "_", so that entries of "a_b" met this rule too`,
		"{key: a}, {key: a_b}":                          `FILE:3:71: note: key and value were joined by "_", so that entries of "a" met this rule too`,
		"{key: a, value: '*'}, {key: a_b, value: c}":    `so that entries of "a_b" met this rule too`,
		"{key: a}, {key: a_b, descriptors: [{key: c}]}": `so that entries of "a" met`,
		"{key: 'h*t'}":                                  `FILE:3:13: note: the pattern "h*t" was held against key and value`,
		"{key: 'h*', value: x}":                         `the pattern "h*_x" was held`,
		"{key: 'h_*'}":                                  `the pattern "h_*" was held`,
		"{key: 'h*'}, {key: remote_address}":            "",
		"{key: path, value: '/a_b*'}, {key: remote_address, value: 10_0}, {key: remote}": `entries of "remote" met`,
		"{key: path, value: '/a_b*'}, {key: remote_address, value: 10_0}":                "",
	} {
		content := "domain: d\ndescriptors:\n     [" + rules + "]\n"
		result, told := written(t, Options{}, strings.ReplaceAll(content, "}", ", rate_limit: {unit: hour, requests_per_unit: 1}}"))
		notes := strings.Count(told, ": note: ")
		if want == "" && notes > 0 || want != "" && !strings.Contains(told, want) || len(result.Files) != 1 || strings.Count(string(result.Files[0].Content), "# note: ") != notes {
			t.Errorf("%s: %s", rules, told)
		}
	}
}
