package ratelimit_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/weir-rls/weir/descriptors"
)

// refused are rule files of which the reference service says that they are wrong, with the
// place where weir sees it, and what weir says.
var refused = []struct{ theirs, yaml, place, ours string }{
	{"config file cannot have empty domain", "descriptors:\n- {key: a, rate_limit: {unit: day, requests_per_unit: 1}}\n", "1:1", "domain"},
	{"config file cannot have empty domain, of one that is stated as empty", "domain: ''\ndescriptors: []\n", "1:9", "domain"},
	{"duplicate domain 'good' in config file", "domain: good\ndescriptors: []\n", "1:9", `the domain "good" is also that of config.bad.yaml:1:9`},
	{"descriptor has empty key", "domain: bad\ndescriptors:\n- value: x\n", "3:3", "key"},
	{"duplicate descriptor composite key 'bad.a_x'", "domain: bad\ndescriptors:\n- {key: a, value: x}\n\n- {key: a, value: x}\n", "5:19", `is here a second time, first at config.bad.yaml:3:19`},
	{"invalid rate limit unit 'fortnight'", "domain: bad\ndescriptors:\n- {key: a, rate_limit: {unit: fortnight, requests_per_unit: 1}}\n", "3:31", "unit cannot be"},
	{"invalid rate limit unit ''", "domain: bad\ndescriptors:\n- {key: a, rate_limit: {requests_per_unit: 1}}\n", "3:24", "has no unit"},
	{"should not specify rate limit unit when unlimited", "domain: bad\ndescriptors:\n- key: a\n  rate_limit:\n    unlimited: true\n    unit: day\n", "6:11", "an unlimited rate_limit has a unit"},
	{"error loading config file: yaml", "domain: bad\ndescriptors:\n- {key: a\n  x", "", "error: "},
	{"error loading config file: cannot unmarshal", "domain: bad\ndescriptors:\n- {key: a, rate_limit: {unit: day, requests_per_unit: many}}\n", "3:55", "requests_per_unit"},
	{"error loading config file: of a number below 0", "domain: bad\ndescriptors:\n- {key: a, rate_limit: {unit: day, requests_per_unit: -1}}\n", "3:55", "requests_per_unit"},
	{"config error, unknown key 'ratelimit'", "domain: bad\ndescriptors:\n- key: a\n  ratelimit: {unit: day, requests_per_unit: 1}\n", "4:3", `unknown field "ratelimit" in a descriptor`},
	{"config error, unknown key 'requestsperunit'", "domain: bad\ndescriptors:\n- key: a\n  rate_limit:\n    unit: day\n    requestsperunit: 1\n", "6:5", `unknown field "requestsperunit" in rate_limit`},
	{"config error, key is not of type string: 0.25", "0.25: bad\ndescriptors: []\n", "1:1", `unknown field "0.25"`},
	{"config error, yaml file contains list of type other than map: x", "domain: bad\ndescriptors:\n- x\n- y\n", "3:3", "must be a mapping"},
	{"error checking config, of a number that is none of a whole", "domain: bad\ndescriptors:\n- {key: a, rate_limit: {unit: day, requests_per_unit: 1.5}}\n", "3:55", "requests_per_unit"},
	{"should not have an empty replaces entry", "domain: bad\ndescriptors:\n- {key: a, rate_limit: {name: mine, unit: day, requests_per_unit: 1, replaces: [{name: }]}}\n", "3:81", "an entry of replaces is empty"},
	{"replaces should not contain name of same descriptor", "domain: bad\ndescriptors:\n- {key: a, rate_limit: {name: mine, unit: day, requests_per_unit: 1, replaces: [{name: mine}]}}\n", "3:88", `replaces itself`},
	{"share_threshold can only be used with wildcard values (containing '*'), but found key 'a_x'", "domain: bad\ndescriptors:\n- key: a\n  value: x\n  share_threshold: true\n", "5:3", "share_threshold"},
	{"error parsing metadata", "domain: bad\ndescriptors:\n- {key: a, metadata: {n: .nan}, rate_limit: {unit: day, requests_per_unit: 1}}\n", "3:26", "metadata"},
}

// Where the reference service then loads nothing at all, the domains of other files are
// loaded here, unless that is not wanted.
func TestRefused_WhatTheReferenceServiceRefusesIsToldWithItsPlaceAndBlocksNoOther(t *testing.T) {
	const good = "domain: good\ndescriptors: [{key: k, rate_limit: {unit: minute, requests_per_unit: 2}}]\n"
	const other = "domain: other\ndescriptors: [{key: k, rate_limit: {unit: minute, requests_per_unit: 3}}]\n"
	for _, c := range refused {
		t.Run(c.theirs, func(t *testing.T) {
			files := map[string]string{"bad.yaml": c.yaml, "good.yaml": good, "other.yaml": other}
			source, report := loaded(t, files, descriptors.Options{})
			told := ""
			for _, f := range report.Faults {
				told += f.Error() + "\n"
			}
			if !strings.Contains(told, "config.bad.yaml:"+c.place) && !strings.Contains(told, "config.good.yaml:"+c.place) || !strings.Contains(told, c.ours) {
				t.Errorf("told is\n%swant one at %s with %q", told, c.place, c.ours)
			}
			if slices.Contains(source.Rules().Domains(), "bad") {
				t.Error("what is refused is loaded")
			}
			s := deciding(t, source)
			if got := answer(t, s, request("other", "k=v", 0)); got != "OK: OK 2 of 3 per MINUTE" {
				t.Errorf("a domain of another file answers %s", got)
			}
			strict, report := loaded(t, files, descriptors.Options{AllOrNothing: true})
			if strict.Rules() != nil && len(strict.Rules().Domains()) > 0 || !report.Faults.Failed() {
				t.Errorf("all or nothing: %v", strict.Rules().Domains())
			}
		})
	}
}

func TestMerged_FilesOfOneDomainAreOneIfThatIsWanted(t *testing.T) {
	files := map[string]string{
		"1.yaml": "domain: d\ndescriptors: [{key: a, value: x, rate_limit: {unit: minute, requests_per_unit: 2}}]\n",
		"2.yaml": "domain: d\ndescriptors: [{key: a, value: y, rate_limit: {unit: minute, requests_per_unit: 3}}]\n",
	}
	source, report := loaded(t, files, descriptors.Options{MergeDomains: true})
	if report.Faults.Failed() {
		t.Fatal(report.Faults.Text())
	}
	want := "OK: OK 1 of 2 per MINUTE | OK 2 of 3 per MINUTE"
	if got := answer(t, deciding(t, source), request("d", "a=x | a=y", 0)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if source, report = loaded(t, files, descriptors.Options{}); source.Rules() != nil && len(source.Rules().Domains()) > 0 || !report.Faults.Failed() {
		t.Errorf("two files of a domain are no fault")
	}
	files["2.yaml"] = strings.Replace(files["2.yaml"], "value: y", "value: x", 1)
	if _, report = loaded(t, files, descriptors.Options{MergeDomains: true}); !strings.Contains(report.Faults.Text(), "config.2.yaml:2:31: error: the descriptor") {
		t.Errorf("the same key twice: %s", report.Faults.Text())
	}
}
