package descriptors

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// Whatever a file holds, reading it ends, in rules or in faults; each fault has a
// place that the file has, and a text that may go to a terminal; and each limit
// has numbers that every store counts exactly, and admits its weight.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/faults/*.yaml", "testdata/rules/*.yaml"} {
		names, _ := filepath.Glob(pattern)
		for _, name := range names {
			content, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(content)
		}
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		for _, dialect := range []Dialect{Weir, Reference} {
			fuzzDialect(t, content, dialect)
		}
	})
}

func fuzzDialect(t *testing.T, content []byte, dialect Dialect) {
	t.Helper()
	a := assemble([]*file{parseFile(dialect.text("fuzz.yaml", content))}, Options{Dialect: dialect})
	if !a.faults.Failed() && len(a.domains) != 1 {
		t.Errorf("neither rules nor faults")
	}
	for _, fault := range a.faults {
		checkPlace(t, content, fault)
		for _, r := range fault.Text() {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Fatalf("the text of a fault has %U: %q", r, fault.Text())
			}
		}
	}
	for _, d := range a.domains {
		r := newRules(map[string]*domain{d.name: d})
		met := []Entry{{"a", "b"}, {"c", ""}}
		r.Resolve(&Request{Domain: d.name, Descriptors: []Descriptor{{Entries: met}}})
		for _, l := range r.Limits() {
			checkLimit(t, l)
			l.StatName(met)
			l.StatName(nil)
			l.Metadata.Map()
			if l.Reference != (dialect == Reference && l.Unit != UnknownUnit) && !l.Unlimited {
				t.Fatalf("%q of the dialect %v is %+v", l.Name, dialect, l.Settings)
			}
			for _, desc := range []Descriptor{{}, {HasHits: true}, {Negative: true, Hits: 3, HasHits: true}, {Entries: []Entry{{endKey, "1"}}}} {
				d.meet(&Request{Domain: d.name, Descriptors: []Descriptor{desc}}, 0, l, nil, &Resolution{})
			}
		}
	}
}

func checkPlace(t *testing.T, content []byte, fault Fault) {
	t.Helper()
	text := strings.TrimPrefix(string(content), "\ufeff")
	starts := lineStarts([]byte(text))
	if fault.Line < 1 || fault.Line > len(starts) {
		t.Fatalf("%v: the file has %d lines", fault, len(starts))
	}
	line := text[starts[fault.Line-1]:]
	if fault.Line < len(starts) {
		line = text[starts[fault.Line-1]:starts[fault.Line]]
	}
	if fault.Column < 1 || fault.Column > utf8.RuneCountInString(line)+1 {
		t.Fatalf("%v: the line is %q", fault, line)
	}
	if strings.Contains(fault.Error(), "\n") || len(fault.Error()) > 2000 {
		t.Fatalf("the fault is no line, or too long: %q", fault.Error())
	}
}

// A match of glob must agree with the plain definition: each star stands for
// any text.
func FuzzGlob(f *testing.F) {
	f.Add("a*b*c", "aXbYc")
	f.Add("**", "")
	f.Add("ab*ba", "aba") // prefix and suffix may not overlap
	f.Add("*ab*ab*", "abab")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(s) > 40 || strings.Count(pattern, "*") < 1 || strings.Count(pattern, "*") > 4 {
			return // the definition takes time exponential in the stars
		}
		if got, want := newGlob(pattern).matches(s), globByDefinition(pattern, s); got != want {
			t.Errorf("%q matches %q: %v, want %v", pattern, s, got, want)
		}
	})
}

func globByDefinition(pattern, s string) bool {
	if pattern == "" {
		return s == ""
	}
	if pattern[0] == '*' {
		return globByDefinition(pattern[1:], s) || s != "" && globByDefinition(pattern, s[1:])
	}
	return s != "" && s[0] == pattern[0] && globByDefinition(pattern[1:], s[1:])
}

// Whatever a test file holds, it is read or refused with places.
func FuzzReadTests(f *testing.F) {
	names, _ := filepath.Glob("../internal/ruletest/testdata/bad/*.yaml")
	examples, _ := filepath.Glob("../examples/*/*_test.yaml")
	for _, name := range append(names, examples...) {
		content, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		file, faults := readTests(newText("fuzz_test.yaml", content))
		if (file == nil) != faults.Failed() {
			t.Fatalf("neither a test file nor faults: %v", faults)
		}
		for _, fault := range faults {
			checkPlace(t, content, fault)
		}
		if file == nil {
			return
		}
		for _, c := range file.Cases {
			for _, s := range c.Steps {
				if s.Request != nil && len(s.Request.Descriptors) == 0 || s.Times < 1 || s.Request == nil && s.End == nil && s.Until == nil && s.Advance == 0 {
					t.Fatalf("a step of nothing: %+v", s)
				}
				for name, spot := range s.Expect.Spots {
					checkPlace(t, content, spot.Fault(name, ""))
				}
			}
		}
	})
}
