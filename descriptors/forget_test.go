package descriptors

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What was read of a file is forgotten once it is compiled, and read again for a change
// that is set; while one is set it is kept. A domain whose files are as before is not
// compiled again.
func TestWhatWasReadIsKeptOnlyWhileItIsNeeded(t *testing.T) {
	dir := t.TempDir()
	write := func(domain string, rate int) {
		content := fmt.Sprintf("domain: %s\ndescriptors: [{key: user, limits: [{name: l, rate: %d/s}]}]\n", domain, rate)
		if err := os.WriteFile(filepath.Join(dir, domain+".yaml"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := NewSource(dir, Options{})
	held := func() string {
		text := ""
		for _, domain := range []string{"a", "b"} {
			for _, f := range s.members[domain] {
				text += fmt.Sprintf("%s:%v ", domain, f.rules != nil)
			}
		}
		return text
	}
	rate := func(domain string) int64 {
		found := s.Rules().Resolve(&Request{Domain: domain, Descriptors: []Descriptor{{Entries: []Entry{{"user", "u"}}}}})
		return found.Matches[0].Limit.Requests
	}
	expect := func(when, wantHeld string, a, b int64) {
		t.Helper()
		if got := held(); got != wantHeld || rate("a") != a || rate("b") != b {
			t.Errorf("%s: held is %s, rates are %d and %d, want %s, %d and %d", when, got, rate("a"), rate("b"), wantHeld, a, b)
		}
	}
	write("a", 1)
	write("b", 2)
	s.Reload()
	expect("after a reload", "a:false b:false ", 1, 2)

	before := s.groups["a"]
	write("b", 30)
	if s.Reload(); s.groups["a"] != before {
		t.Error("a domain whose file is as before was compiled again")
	}
	expect("after another file changed", "a:false b:false ", 1, 30)

	set := []Change{{Domain: "a", Limit: "l", Rate: "5/s"}}
	if faults := s.TryChanges(set); len(faults) > 0 {
		t.Fatal(faults)
	}
	if faults := s.SetChanges(set); len(faults) > 0 {
		t.Fatal(faults)
	}
	expect("with a change", "a:true b:false ", 5, 30)
	write("b", 4)
	s.Reload()
	expect("with a change, after a reload", "a:true b:false ", 5, 4)
	s.SetChanges(nil)
	expect("without it", "a:false b:false ", 1, 4)
}

// A large file that is read beside rules in force is told of, from before it is read
// until its rules are in force; the first rules and small files are not.
func TestALargeFileIsToldOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules.yaml")
	began, ended := 0, 0
	var s *Source
	s = NewSource(path, Options{Large: func() func() {
		began++
		before := s.Rules()
		return func() {
			if ended++; s.Rules() == before {
				t.Error("the end was told of before the rules were in force")
			}
		}
	}})
	const many = 20_000
	for i, test := range []struct{ rules, want int }{{many, 0}, {many + 1, 1}, {many + 1, 1}, {10, 1}, {many, 2}} {
		if err := os.WriteFile(path, []byte(manyRules(oneLevel, test.rules)), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := s.Reload(); len(r.Faults) > 0 {
			t.Fatal(r.Faults)
		}
		if began != test.want || ended != test.want {
			t.Errorf("after reload %d it began %d times and ended %d times, want %d", i, began, ended, test.want)
		}
	}
}

// manyRules is a rule file with a limit for each of n users.
func manyRules(rule string, n int) string {
	var b strings.Builder
	b.WriteString("domain: d\ndescriptors:\n")
	for i := range n {
		fmt.Fprintf(&b, rule, i)
	}
	return b.String()
}

const (
	oneLevel  = "  - {key: user, value: u%07d, limits: [{rate: 100/s, burst: 200}]}\n"
	twoLevels = "  - {key: user, value: u%07d, descriptors: [{key: model, limits: [{rate: 100/s, burst: 200}]}]}\n"
)
