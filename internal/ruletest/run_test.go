package ruletest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-rls/weir/descriptors"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The rules of the examples keep what their tests say of them.
func TestTheRulesOfTheExamplesKeepTheirPromises(t *testing.T) {
	files, err := filepath.Glob("../../examples/*/*_test.yaml")
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		r := Run(file, descriptors.Options{})
		if r.Failed() || len(r.Cases) == 0 {
			t.Errorf("%s: %s %+v", file, r.Text, r.Cases)
		}
	}
}

// Every fault of a test file is told with its place, as those of rule files are.
func TestBadTestFiles_AreRefusedWithPlaces(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var got strings.Builder
	for _, file := range files {
		r := Run(file, descriptors.Options{})
		if len(r.Faults) == 0 || len(r.Cases) > 0 || r.Requests > 0 || !r.Failed() {
			t.Errorf("%s: %+v", file, r)
		}
		fmt.Fprintf(&got, "== %s\n%s", filepath.Base(file), r.Text)
	}
	const golden = "testdata/bad.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the faults are told otherwise; if that is meant: go test ./internal/ruletest -update\n%s", got.String())
	}
}

const someRules = `
domain: d
descriptors:
  - {key: user, limits: [{name: per-user, rate: 1/s, burst: 3}, {name: daily, rate: 5/day}]}
  - {key: ok, limits: [{name: good, rate: 2/day, count: success}]}
  - {key: slot, limits: [{name: slots, algorithm: concurrency, slots: 1, max_wait: 5s, max_waiters: 9}]}
  - {key: slow, limits: [{name: slow, rate: 1/s, burst: 1, max_wait: 3s, max_waiters: 9}]}
  - {key: seldom, limits: [{name: seldom, rate: 1/min, burst: 1, max_wait: 3s, max_waiters: 9}]}
  - {key: two, descriptors: [{key: two, limits: [{name: twice, rate: 1/s}]}]}
  - {key: free, rate_limit: {unlimited: true}}
  - {key: file, value: "a*", share_threshold: true, detailed_metric: true, rate_limit: {name: shared, unit: hour, requests_per_unit: 2}, metadata: {team: web}}
`

// failures runs the steps of one case, and tells its failures.
func failures(t *testing.T, rules, steps string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"rules.yaml": rules, "a_test.yaml": "rules: rules.yaml\ncases:\n  - name: c\n    steps:\n" + steps} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := Run(filepath.Join(dir, "a_test.yaml"), descriptors.Options{})
	if len(r.Faults) > 0 {
		t.Fatal(r.Text)
	}
	var all []string
	for _, f := range r.Cases[0].Failures {
		_, place, _ := strings.Cut(f.Place, "a_test.yaml:")
		told := f.Message
		if f.Expected != "" {
			told += ": " + f.Expected + " <> " + f.Got
		}
		all = append(all, place+" "+told+" @"+f.Clock)
	}
	return strings.Join(all, "; ")
}

// What is expected and so passes, and what is not fails at its place with what was got.
func TestExpectations(t *testing.T) {
	for steps, want := range map[string]string{
		`
- {request: {descriptors: [{user: a}]}, times: 3, expect: {verdict: allow, limit: daily, remaining: 2}}
- {request: {descriptors: [{user: a}]}, expect: {verdict: deny, limit: per-user, remaining: 0, retry_after: 1s, admitted: 0}}
- {at: 24h, request: {descriptors: [{user: a}]}, expect: {remaining: 2, retry_after: 0s, wait: 0s}}`: "",
		`
- {request: {descriptors: [{user: a}]}, times: 4, expect: {verdict: allow}}`: "5:75 verdict of request 4 of 4: allow <> deny by per-user @0s",
		`
- {request: {descriptors: [{user: a}]}, times: 4, expect: {admitted: 4, limit: daily, remaining: 1, retry_after: 3s}}`: "5:76 admitted: 4 of 4 <> 3 @0s; 5:120 retry_after: 3s <> 1s @0s; 5:86 limit: daily <> per-user @0s; 5:104 remaining: 1 <> 2 of daily @0s",
		`
- {request: {descriptors: [{free: a}]}, expect: {limit: per-user}}
- {request: {descriptors: [{free: a}]}, expect: {remaining: 1}}
- {request: {descriptors: [{none: a}]}, expect: {limit: per-user}}`: "5:63 limit: per-user <> free @0s; 6:67 remaining: 1 <> no bucket @0s; 7:63 limit: per-user <> nothing @0s",
		`
- {request: {descriptors: [{ok: a}]}, times: 2, expect: {verdict: allow}}
- {request: {descriptors: [{ok: a}]}, expect: {verdict: deny, limit: good}}
- {end: {status: 500, count: 1}}
- {request: {descriptors: [{ok: a}]}, expect: {verdict: allow}}
- {end: {status: 200}}
- {request: {descriptors: [{ok: a}]}, expect: {verdict: deny}}
- {end: {}}`: "11:9 there are fewer requests whose end changes anything: 1 <> 0 @0s",
		`
- {request: {descriptors: [{slot: a}]}, times: 2, expect: {admitted: 2, verdict: wait, limit: slots, wait: 0s}}
- {end: {}}
- {request: {descriptors: [{slot: a}]}, expect: {verdict: allow}}`: "",
		`
- {request: {descriptors: [{slow: a}]}, times: 3, expect: {verdict: wait, admitted: 3, wait: 1s, limit: slow}}
- {at: 1s}`: "6:14 the clock is past this time, moved by a step before or by who was held: 2s or later <> 1s @2s",
		`
- {request: {descriptors: [{seldom: a}]}, times: 2, expect: {admitted: 1, verdict: deny, retry_after: 60s}}`: "",
		`
- {request: {descriptors: [{file: a1}]}, expect: {verdict: allow, limit: shared, remaining: 1}}
- {request: {descriptors: [{file: a2}]}, expect: {verdict: allow, remaining: 0}}
- {request: {descriptors: [{file: a3}]}, expect: {verdict: deny, limit: shared}}`: "",
		`
- {request: {descriptors: [[{two: a}, {two: b}]], hits: 2}, expect: {verdict: deny, limit: twice}}
- {request: {descriptors: [[{two: a}, {two: b}]]}, expect: {verdict: allow}}
- {request: {domain: other, descriptors: [{user: a}]}}`: `7:9 there are no rules for the domain "other" @0s`,
	} {
		if got := failures(t, someRules, strings.TrimPrefix(strings.ReplaceAll(steps, "\n-", "\n      -"), "\n")); got != want {
			t.Errorf("%s\nfails with %s\nwant       %s", steps, got, want)
		}
	}
}
