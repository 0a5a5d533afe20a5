package descriptors

import (
	"fmt"
	"strings"
	"testing"
)

// givenFile is a rule file that is not on disk, whose lines have names.
func givenFile(name, content string) Given {
	return Given{Name: name, Content: []byte(content), Path: func(line, column int) string { return fmt.Sprintf("line-%d-%d", line, column) }}
}

func TestReplace_IsTheStateOfTheWorldAndTellsPlacesByPath(t *testing.T) {
	s := NewSource("", Options{})
	step := func(what, want string, failed bool, files ...Given) Report {
		t.Helper()
		r := s.Replace(files, true)
		if got := states(r); got != want || r.Faults.Failed() != failed {
			t.Errorf("%s: domains %q, want %q; faults %v", what, got, want, r.Faults)
		}
		return r
	}
	if r := step("none at first", "", false); !r.Changed || s.Rules() == nil || s.Replace(nil, true).Changed {
		t.Errorf("none is a state of the world: %+v, rules %v", r, s.Rules())
	}
	a, b := givenFile("a", limited("a", "k", 1)), givenFile("b", limited("b", "k", 1))
	step("two", "a:loaded b:loaded", false, a, b)
	if r := step("the same", "", false, b, a); r.Changed {
		t.Errorf("the same is news: %+v", r)
	}
	r := step("a fault", "a:kept b:unchanged", true, givenFile("a", limited("a", "k", 2)+"x: 1\n"), b)
	if f := r.Faults[0]; f.Line != 0 || !strings.HasPrefix(f.Path, "line-") || !strings.HasPrefix(f.Error(), "a: "+f.Path+": error: unknown field") {
		t.Errorf("the fault is %+v", f)
	}
	step("unread", "a:kept b:unchanged", true, Given{Name: "a", Unread: "broken \x1b[31m"}, b)
	step("unread for another reason", "a:kept b:unchanged", true, Given{Name: "a", Unread: "gone"}, b)
	if n := limitOf(s.Rules(), "a", "k"); n != 1 {
		t.Errorf("the limit is %d, want the last good one", n)
	}
	twice := step("twice", "a:loaded b:kept", true, a, b, givenFile("c", limited("b", "k", 2)))
	if got := twice.Faults.Text(); !strings.Contains(got, `the domain "b" is also that of b: line-1-`) {
		t.Errorf("the fault is %s", got)
	}
	step("gone", "a:removed b:removed", false)
	if got := s.Rules().Domains(); len(got) != 0 {
		t.Errorf("%v are left", got)
	}
}

// What was forgotten is read again with the names of its lines.
func TestReplace_AFileThatWasForgottenKeepsItsPaths(t *testing.T) {
	s := NewSource("", Options{MergeDomains: true})
	first := givenFile("a", limited("d", "k", 1))
	if r := s.Replace([]Given{first}, true); r.Faults.Failed() {
		t.Fatal(r.Faults)
	}
	if o, found := s.Outline("d", "", 10); !found || o.Rules[0].File != "a" || o.Rules[0].Line != 0 {
		t.Errorf("the outline is %+v, want no line that nobody can see", o)
	}
	r := s.Replace([]Given{first, givenFile("b", limited("d", "k", 2))}, true)
	if !strings.Contains(r.Faults.Text(), "here a second time, first at a: line-") {
		t.Errorf("the faults are %s", r.Faults.Text())
	}
}

func TestAllOrNothing_AnErrorAnywhereKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"a.yaml": limited("a", "k", 1), "b.yaml": limited("b", "k", 1)})
	s := NewSource(dir, Options{AllOrNothing: true})
	step := func(what, want string, failed bool, a, b int64) {
		t.Helper()
		r := s.Reload()
		if got := states(r); got != want || r.Faults.Failed() != failed {
			t.Errorf("%s: domains %q, want %q; faults %v", what, got, want, r.Faults)
		}
		if gotA, gotB := limitOf(s.Rules(), "a", "k"), limitOf(s.Rules(), "b", "k"); gotA != a || gotB != b {
			t.Errorf("%s: a %d, b %d; want %d, %d", what, gotA, gotB, a, b)
		}
	}
	step("first", "a:loaded b:loaded", false, 1, 1)
	put(t, dir, map[string]string{"a.yaml": limited("a", "k", 2) + "x: 1\n", "b.yaml": limited("b", "k", 2), "c.yaml": limited("c", "k", 1)})
	step("an error in one", "a:kept b:kept c:refused", true, 1, 1)
	remove(t, dir+"/b.yaml")
	step("another is gone", "a:kept b:kept c:refused", true, 1, 1)
	put(t, dir, map[string]string{"a.yaml": limited("a", "k", 3)})
	step("mended", "a:loaded b:removed c:loaded", false, 3, -1)
}
