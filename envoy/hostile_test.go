package envoy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-rls/weir/descriptors"
)

// checkText checks a configuration that is no file.
func checkText(t testing.TB, content string) descriptors.Faults {
	t.Helper()
	survey, faults := descriptors.Examine([]string{"testdata/sound/bootstrap/rules.yaml"}, descriptors.Options{})
	if faults.Failed() {
		t.Fatal(faults.Text())
	}
	c := newChecker(survey)
	doc, fault := descriptors.ParseDocument("envoy.yaml", []byte(content))
	if fault != nil {
		return descriptors.Faults{*fault}
	}
	c.read(doc)
	return c.finish()
}

const filterHead = `name: envoy.filters.http.ratelimit
typed_config:
  "@type": type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit
`

// A file that holds itself, or grows when it is read, ends neither the check nor the
// machine's patience.
func TestCheck_FilesThatHoldThemselvesAreRead(t *testing.T) {
	bomb := "a0: &a0 {x: y}\n"
	for i := range 40 {
		bomb += strings.ReplaceAll("aN: &aN [*aM, *aM, *aM, *aM]\n", "N", string(rune('A'+i)))
		bomb = strings.ReplaceAll(bomb, "*aM", "*a"+map[bool]string{true: "0", false: string(rune('A' + i - 1))}[i == 0])
	}
	for name, content := range map[string]string{
		"a list in itself":           filterHead + "  rate_limits: &a [*a]\n",
		"a mapping in itself":        "&a {static_resources: *a, name: *a, typed_config: *a}",
		"a merge in itself":          filterHead + "  filter_enabled: &a {<<: *a, default_value: *a}\n",
		"a field in itself":          filterHead + "  rate_limit_service: &a {grpc_service: {envoy_grpc: *a}, transport_api_version: *a}\n",
		"actions in themselves":      filterHead + "  rate_limits:\n  - &a {actions: [{generic_key: *a, header_value_match: {headers: [*a]}}]}\n",
		"a list for each word":       filterHead + "  domain: [a]\n  timeout: {}\n  failure_mode_deny: []\n  rate_limits: [[], {actions: {}}, {actions: [[]]}, 3]\n",
		"aliases of aliases":         bomb,
		"a thousand levels":          strings.Repeat("{a: ", 900) + "b" + strings.Repeat("}", 900),
		"control in what it repeats": filterHead + "  domain: \"\\e[31m\"\n",
	} {
		began := time.Now()
		text := checkText(t, content).Text()
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s took %v", name, took)
		}
		if strings.ContainsRune(text, '\x1b') {
			t.Errorf("%s: %q", name, text)
		}
	}
}

// One fault that says that a file is not there, and no other that follows from it.
func TestCheck_WhatCannotBeReadIsTheOnlyFinding(t *testing.T) {
	faults := check("testdata/sound/bootstrap/rules.yaml", filepath.Join(t.TempDir(), "absent.yaml"))
	if len(faults) != 1 || faults[0].ID != "unreadable" || faults[0].Severity != failure {
		t.Errorf("%s", faults.Text())
	}
}

// With a fault in the rules nothing more is said of what would meet them.
func TestCheck_OfRulesWithFaultsOnlyTheirFaultsAreTold(t *testing.T) {
	rules := filepath.Join(t.TempDir(), "rules.yaml")
	write(t, rules, "domain: shop\ndescriptors:\n  - {key: tenant, limits: [{rate: ten}]}\n")
	if faults := check(rules, "testdata/sound/bootstrap/envoy.yaml"); len(faults) != 1 || faults[0].ID != "" {
		t.Errorf("%s", faults.Text())
	}
}

// A comment says that a finding is meant.
func TestCheck_WhatACommentAllowsIsNotTold(t *testing.T) {
	text := read(t, "testdata/wrong/absent-header/envoy.yaml")
	file := filepath.Join(t.TempDir(), "envoy.yaml")
	write(t, file, strings.ReplaceAll(text, "# want: absent-value", "# weir:allow absent-value"))
	if faults := check("testdata/wrong/absent-header/rules", file); len(faults) > 0 {
		t.Errorf("%s", faults.Text())
	}
}

func FuzzCheck_AnythingIsRead(f *testing.F) {
	dirs, err := filepath.Glob("testdata/*/*/envoy.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range dirs {
		text, err := os.ReadFile(path)
		if err == nil {
			f.Add(string(text))
		}
	}
	f.Fuzz(func(t *testing.T, content string) { _ = checkText(t, content).Text() })
}
