package descriptors

import (
	"slices"
	"testing"
)

// Nobody wrote these names, so that two of them are alike is no mistake of the
// file's; metrics must tell them apart all the same.
func TestDefaultNames_TellAllLimitsApart(t *testing.T) {
	rules := rulesOf(t, `
domain: d
descriptors:
  - {key: path, value: a/b, limits: [{rate: 1/s}]}
  - {key: path, value: a, descriptors: [{key: b, limits: [{rate: 1/s}]}]}
  - {key: named, limits: [{rate: 1/s, name: other}]}
  - {key: other, limits: [{rate: 1/s}]}
`)
	var names []string
	for _, l := range rules.Limits() {
		names = append(names, l.Name)
	}
	if slices.Sort(names); len(slices.Compact(names)) != 4 {
		t.Errorf("four limits are called %q", names)
	}
}
