package descriptors

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// states are the domains of a report and what became of them.
func states(r Report) string {
	var parts []string
	for _, d := range r.Domains {
		parts = append(parts, fmt.Sprintf("%s:%v", d.Name, d.State))
	}
	return strings.Join(parts, " ")
}

const broken = "descriptors: [\n"

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func TestSource_NothingLoadedIsNilAndNotEmpty(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"a.yaml": "domain: a\nx: 1\n"})
	for _, path := range []string{dir, filepath.Join(dir, "none"), filepath.Join(dir, "a.yaml")} {
		s := NewSource(path, Options{})
		r := s.Reload()
		if s.Rules() != nil || !r.Changed || !r.Faults.Failed() {
			t.Errorf("%s: rules %v, report %+v", path, s.Rules(), r)
		}
		if again := s.Reload(); again.Changed {
			t.Errorf("%s: the same fault is news again: %+v", path, again)
		}
	}
	empty := NewSource(t.TempDir(), Options{})
	if r := empty.Reload(); empty.Rules() != nil || !r.Faults.Failed() || empty.Reload().Changed {
		t.Errorf("an empty directory: rules %v, report %+v", empty.Rules(), r)
	}
}

func TestSource_ABadFileKeepsItsDomainWhileOthersMoveOn(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"a.yaml": limited("a", "k", 1), "b.yaml": limited("b", "k", 1)})
	s := NewSource(dir, Options{})
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
	put(t, dir, map[string]string{"a.yaml": limited("a", "k", 2)})
	step("one changed", "a:loaded b:unchanged", false, 2, 1)
	put(t, dir, map[string]string{"a.yaml": limited("a", "k", 3) + "x: 1\n", "b.yaml": limited("b", "k", 2)})
	step("an unknown field", "a:kept b:loaded", true, 2, 2)
	put(t, dir, map[string]string{"a.yaml": broken})
	step("its domain cannot be read", "a:kept b:unchanged", true, 2, 2)
	put(t, dir, map[string]string{"a.yaml": limited("c", "k", 1) + "x: 1\n"})
	step("faulty, and of another domain", "a:kept b:unchanged c:refused", true, 2, 2)
	put(t, dir, map[string]string{"b.yaml": limited("b", "k", 3)})
	step("another moves on meanwhile", "a:kept b:loaded c:refused", true, 2, 3)
	put(t, dir, map[string]string{"a.yaml": limited("a", "k", 4)})
	step("mended", "a:loaded b:unchanged", false, 4, 3)
	put(t, dir, map[string]string{"a.yaml": limited("c", "k", 1)})
	step("renamed", "a:removed b:unchanged c:loaded", false, -1, 3)
	remove(t, filepath.Join(dir, "b.yaml"))
	step("deleted", "b:removed c:unchanged", false, -1, -1)
	remove(t, filepath.Join(dir, "a.yaml"))
	if r := s.Reload(); states(r) != "c:removed" || s.Rules() == nil || len(s.Rules().Domains()) != 0 {
		t.Errorf("all deleted: %+v", r)
	}
}

func TestSource_SameContentIsNoReload(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"a.yaml": limited("a", "k", 1), "bad.yaml": broken})
	s := NewSource(dir, Options{})
	s.Reload()
	rules := s.Rules()
	put(t, dir, map[string]string{"a.yaml": limited("a", "k", 1), "bad.yaml": broken, "notes.txt": "x"})
	if r := s.Reload(); r.Changed || s.Rules() != rules {
		t.Errorf("the same content is a change: %+v", r)
	}
}

func TestSource_APathThatVanishesKeepsEverything(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "rules")
	put(t, dir, map[string]string{"a.yaml": limited("a", "k", 1)})
	s := NewSource(dir, Options{})
	s.Reload()
	if err := os.Rename(dir, dir+"-away"); err != nil {
		t.Fatal(err)
	}
	if r := s.Reload(); states(r) != "a:kept" || !r.Faults.Failed() || limitOf(s.Rules(), "a", "k") != 1 {
		t.Errorf("%+v", r)
	}
	if s.Reload().Changed {
		t.Error("that it is still away is news")
	}
	if err := os.Rename(dir+"-away", dir); err != nil {
		t.Fatal(err)
	}
	if r := s.Reload(); states(r) != "a:unchanged" || r.Faults.Failed() {
		t.Errorf("%+v", r)
	}
}

func TestSource_AnUnreadableFileKeepsItsDomain(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "a.yaml")
	put(t, dir, map[string]string{"target": limited("a", "k", 1)})
	if err := os.Symlink(filepath.Join(dir, "target"), link); err != nil {
		t.Fatal(err)
	}
	s := NewSource(dir, Options{})
	s.Reload()
	remove(t, filepath.Join(dir, "target"))
	if r := s.Reload(); states(r) != "a:kept" || !r.Faults.Failed() || limitOf(s.Rules(), "a", "k") != 1 {
		t.Errorf("%+v", r)
	}
	if s.Reload().Changed {
		t.Error("that it is still unreadable is news")
	}
}

// A domain of several files moves on as a whole or not at all: a rule that
// moves from one to the other is never in neither.
func TestSource_AMergedDomainMovesOnAsAWhole(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"1.yaml": limited("llm", "a", 1), "2.yaml": limited("llm", "b", 1)})
	s := NewSource(dir, Options{MergeDomains: true})
	s.Reload()
	put(t, dir, map[string]string{"1.yaml": "domain: llm\n", "2.yaml": broken})
	if r := s.Reload(); states(r) != "llm:kept" || limitOf(s.Rules(), "llm", "a") != 1 || limitOf(s.Rules(), "llm", "b") != 1 {
		t.Errorf("%+v", r)
	}
	put(t, dir, map[string]string{"2.yaml": limited("llm", "a", 2)})
	if r := s.Reload(); states(r) != "llm:loaded" || limitOf(s.Rules(), "llm", "a") != 2 || limitOf(s.Rules(), "llm", "b") != -1 {
		t.Errorf("%+v", r)
	}
	put(t, dir, map[string]string{"3.yaml": limited("llm", "a", 3)})
	if r := s.Reload(); states(r) != "llm:kept" || !r.Faults.Failed() || limitOf(s.Rules(), "llm", "a") != 2 {
		t.Errorf("%+v", r)
	}
}

// A file that leaves its domain for one that is frozen takes nothing with it:
// else its rules would be live in neither.
func TestSource_AFileThatMovesIntoAFrozenDomainStaysWhereItWas(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"1.yaml": limited("x", "a", 1), "2.yaml": limited("y", "b", 1)})
	s := NewSource(dir, Options{MergeDomains: true})
	s.Reload()
	put(t, dir, map[string]string{"1.yaml": broken, "2.yaml": limited("x", "b", 1)})
	if r := s.Reload(); states(r) != "x:kept y:kept" || limitOf(s.Rules(), "y", "b") != 1 {
		t.Errorf("%+v", r)
	}
	put(t, dir, map[string]string{"1.yaml": limited("x", "a", 1)})
	if r := s.Reload(); states(r) != "x:loaded y:removed" || limitOf(s.Rules(), "x", "b") != 1 {
		t.Errorf("%+v", r)
	}
}

func TestSource_ASecondFileOfADomainKeepsTheFirstsRules(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"1.yaml": limited("llm", "a", 1)})
	s := NewSource(dir, Options{})
	s.Reload()
	put(t, dir, map[string]string{"0.yaml": limited("llm", "a", 2)})
	if r := s.Reload(); states(r) != "llm:kept" || !r.Faults.Failed() || limitOf(s.Rules(), "llm", "a") != 1 {
		t.Errorf("%+v", r)
	}
	remove(t, filepath.Join(dir, "1.yaml"))
	if r := s.Reload(); states(r) != "llm:loaded" || limitOf(s.Rules(), "llm", "a") != 2 {
		t.Errorf("%+v", r)
	}
}

func TestSource_SnapshotsAreImmutable(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"a.yaml": limited("a", "k", 1)})
	s := NewSource(dir, Options{})
	s.Reload()
	before := s.Rules()
	put(t, dir, map[string]string{"a.yaml": limited("a", "k", 2), "b.yaml": limited("b", "k", 2)})
	s.Reload()
	if limitOf(before, "a", "k") != 1 || limitOf(before, "b", "k") != -1 || !slices.Equal(before.Domains(), []string{"a"}) {
		t.Errorf("the snapshot of before has changed: %v", before.Domains())
	}
}
