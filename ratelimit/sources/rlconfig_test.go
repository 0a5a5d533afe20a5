package sources

import (
	"errors"
	"strings"
	"testing"

	"github.com/weir-rls/weir/descriptors"
)

// rules are what files, by name, make in the drop-in; a fault ends the test.
func rules(t *testing.T, files map[string]string) *descriptors.Rules {
	t.Helper()
	var given []descriptors.Given
	for name, content := range files {
		given = append(given, descriptors.Given{Name: name, Content: []byte(content)})
	}
	s := descriptors.NewSource("", descriptors.Options{Dialect: descriptors.Reference})
	if r := s.Replace(given, true); r.Faults.Failed() {
		t.Fatal(r.Faults.Text())
	}
	return s.Rules()
}

func TestWriteRules_ALineForEachLimitInOrder(t *testing.T) {
	all := rules(t, map[string]string{
		"z.yaml": "domain: b\ndescriptors: [{key: k, rate_limit: {unit: week, requests_per_unit: 0}}]\n",
		"a.yaml": `domain: shop
descriptors:
- key: path
  value: /items/*
  share_threshold: true
  quota_mode: true
  rate_limit: {unit: MINUTE, requests_per_unit: 3}
  descriptors:
  - {key: user, detailed_metric: true, shadow_mode: true, rate_limit: {unit: day, requests_per_unit: 4294967295, name: n}}
- {key: path, value_to_metric: true, rate_limit: {unlimited: true, replaces: [{name: n}]}}
- {key: host}
- {key: "a\nb\e[1m", limits: [{rate: 100/min}]}
`})
	want := `b.k: unit=WEEK requests_per_unit=0, shadow_mode: false, quota_mode: false
shop.path_/items/*: unit=MINUTE requests_per_unit=3, shadow_mode: false, quota_mode: true
shop.path_/items/*.user: unit=DAY requests_per_unit=4294967295, shadow_mode: true, quota_mode: false
shop.path: unit=UNKNOWN requests_per_unit=0, shadow_mode: false, quota_mode: false
shop.a` + "\uFFFDb\uFFFD[1m: unit=UNKNOWN requests_per_unit=100, shadow_mode: false, quota_mode: false\n"
	for range 2 {
		var b strings.Builder
		if err := WriteRules(&b, all); err != nil || b.String() != want {
			t.Errorf("error %v, lines\n%swant\n%s", err, b.String(), want)
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.ErrUnsupported }

func TestWriteRules_NoRulesAndAWriterThatFails(t *testing.T) {
	var b strings.Builder
	if err := WriteRules(&b, nil); err != nil || b.Len() > 0 {
		t.Errorf("no rules are %q, %v", b.String(), err)
	}
	all := rules(t, map[string]string{"a": "domain: a\ndescriptors: [{key: k, rate_limit: {unit: hour, requests_per_unit: 1}}]\n"})
	if err := WriteRules(full{}, all); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("the error is %v", err)
	}
}
