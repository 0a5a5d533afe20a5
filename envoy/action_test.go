package envoy

import (
	"slices"
	"testing"
)

// What a chain of choices may yield is known, and nothing is claimed of other
// expressions: a rule of a value that is left out would be called unreachable.
func TestChoices_AreAllTextsOfAChain(t *testing.T) {
	for text, want := range map[string][]string{
		"a ? 'x' : 'y'":                                      {"x", "y"},
		"a ? 'x' : b == '?' ? 'y' : 'z'":                     {"x", "y", "z"},
		"(a || c) ? 'x' : (b) ? 'y' : d in ['q'] ? 'w' : ''": {"x", "y", "w", ""},
		"a ? request.headers['x'] : 'none'":                  nil,
		"a ? f(b) : c ? 'y' : 'z'":                           nil,
		"a ? 'x' : (b ? 'y' : 'z')":                          nil,
		"request.url_path":                                   nil,
	} {
		if got := choices(text); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// Requests are all covered if each combination of what they may lack has a descriptor.
func TestCovered_EveryCombination(t *testing.T) {
	for _, c := range []struct {
		conditions [][]string
		want       bool
	}{
		{nil, false},
		{[][]string{{}}, true},
		{[][]string{{"a"}, {"!a"}}, true},
		{[][]string{{"a"}, {"!b"}}, false},
		{[][]string{{"a", "b"}, {"a", "!b"}, {"!a", "b"}, {"!a", "!b"}}, true},
		{[][]string{{"a", "b"}, {"a", "!b"}, {"!a", "b"}}, false},
		{[][]string{{"a", "b"}, {"a", "!b"}, {"!a"}}, true},
	} {
		if got := covered(c.conditions); got != c.want {
			t.Errorf("%q: %v", c.conditions, got)
		}
	}
}
