package sources

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weir-rls/weir/descriptors"
)

// domain is a rule file of one limit.
func domain(name string, requests int) string {
	return fmt.Sprintf("domain: %s\ndescriptors: [{key: k, rate_limit: {unit: minute, requests_per_unit: %d}}]\n", name, requests)
}

// put writes files by their paths below dir.
func put(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		must(t, os.WriteFile(path, []byte(content), 0o600))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// limits are those of a source, as domain=requests.
func limits(s *descriptors.Source) string {
	var all []string
	if s.Rules() != nil {
		for _, l := range s.Rules().Limits() {
			all = append(all, fmt.Sprintf("%s=%d", l.Domain, l.Requests))
		}
	}
	return strings.Join(all, " ")
}

// below are options of a tree at dir/rl/config.
func below(dir string, watchRoot bool) TreeOptions {
	return TreeOptions{Root: dir, Subdirectory: "rl", App: "config", WatchRoot: watchRoot}
}

// read is a source that read a tree once, and the report.
func read(t *testing.T, o TreeOptions, rules descriptors.Options) (*descriptors.Source, *descriptors.Report, *Tree) {
	t.Helper()
	rules.Dialect = descriptors.Reference
	s, last := descriptors.NewSource("", rules), &descriptors.Report{}
	tree := NewTree(o, s, func(r descriptors.Report) { *last = r })
	tree.First()
	return s, last, tree
}

func TestTree_EveryFileCountsWhateverItIsCalled(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{
		"rl/config/basic.yaml": domain("a", 1), "rl/config/noext": domain("b", 2), "rl/config/x.json": domain("c", 3), "rl/config/team/deep/d.txt": domain("d", 4),
		"rl/config/.hidden.yaml": domain("e", 5), "rl/config/.dir/f.yaml": domain("f", 6),
		"rl/config.d/g.yaml": domain("g", 7), "rl/config.h": domain("h", 8), "rl/other/i.yaml": domain("i", 9), "rl/configuration/j.yaml": domain("j", 10),
		"config/k.yaml": domain("k", 11),
	})
	for _, c := range []struct {
		watchRoot, ignoreDotFiles bool
		want                      string
	}{
		{true, false, "a=1 b=2 c=3 d=4 e=5 f=6 g=7 h=8"}, {true, true, "a=1 b=2 c=3 d=4 g=7 h=8"},
		{false, false, "a=1 b=2 c=3 d=4 e=5 f=6"}, {false, true, "a=1 b=2 c=3 d=4"},
	} {
		o := below(dir, c.watchRoot)
		o.IgnoreDotFiles = c.ignoreDotFiles
		s, r, _ := read(t, o, descriptors.Options{})
		if got := limits(s); got != c.want || len(r.Faults) > 0 {
			t.Errorf("%+v: %s; faults %v", c, got, r.Faults)
		}
	}
	o := TreeOptions{Root: filepath.Join(dir, "rl"), App: "config"}
	if s, _, _ := read(t, o, descriptors.Options{}); !strings.HasPrefix(limits(s), "a=1 b=2") {
		t.Errorf("without a subdirectory there are %q", limits(s))
	}
}

func TestTree_AFaultNamesItsFileByDotsAndKeepsToItsDomain(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{
		"rl/config/basic.yaml": domain("a", 1), "rl/config/team/b.yaml": domain("b", 1) + "x: 1\n",
		"rl/config/team.c.yaml": domain("c", 1), "rl/config/team/c.yaml": domain("c", 2),
	})
	for _, c := range []struct {
		watchRoot bool
		prefix    string
	}{{true, "config."}, {false, ""}} {
		s, r, _ := read(t, below(dir, c.watchRoot), descriptors.Options{})
		got := r.Faults.Text()
		if limits(s) != "a=1" || !strings.Contains(got, c.prefix+"team.b.yaml:3:1: error: unknown field") {
			t.Errorf("limits %q, faults\n%s", limits(s), got)
		}
		// Two files of one name are two.
		second := "./" + strings.ReplaceAll(c.prefix, ".", "/") + "team.c.yaml"
		if !strings.Contains(got, c.prefix+`team.c.yaml:1:9: error: the domain "c" is also that of `+second+":1:9") {
			t.Errorf("faults\n%s", got)
		}
	}
	s, r, _ := read(t, below(dir, true), descriptors.Options{AllOrNothing: true})
	if limits(s) != "" || !slices.ContainsFunc(r.Domains, func(d descriptors.DomainReport) bool {
		return d == descriptors.DomainReport{Name: "a", State: descriptors.Refused}
	}) {
		t.Errorf("all or nothing: limits %q, domains %v", limits(s), r.Domains)
	}
}

func TestTree_SeveralFilesOfADomainAreMergedIfThatIsWanted(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"rl/config/a.yaml": domain("d", 1), "rl/config/b.yaml": strings.Replace(domain("d", 2), "key: k", "key: m", 1)})
	if s, r, _ := read(t, below(dir, true), descriptors.Options{}); limits(s) != "" || !r.Faults.Failed() {
		t.Errorf("not merged: %s", limits(s))
	}
	if s, r, _ := read(t, below(dir, true), descriptors.Options{MergeDomains: true}); limits(s) != "d=1 d=2" || r.Faults.Failed() {
		t.Errorf("merged: %s; %v", limits(s), r.Faults)
	}
}

// volume is a directory as Kubernetes mounts a ConfigMap, with what versions leave.
func volume(t *testing.T, dir string, versions map[string]string, live string, files ...string) {
	t.Helper()
	for version, content := range versions {
		for _, f := range files {
			put(t, dir, map[string]string{version + "/" + f: content})
		}
	}
	must(t, os.Symlink(live, filepath.Join(dir, "..data")))
	for _, f := range files {
		top, _, _ := strings.Cut(f, "/")
		if err := os.Symlink(filepath.Join("..data", top), filepath.Join(dir, top)); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
	}
}

// The reference service finds a file of a ConfigMap once by its link and once in the
// directory of its version, and refuses its domain as a duplicate.
func TestTree_AConfigMapsFilesAreOneEachAlsoBesideAnOldVersion(t *testing.T) {
	versions := map[string]string{"..2026_01": domain("a", 1), "..2026_02": domain("a", 2)}
	for _, file := range []string{"config.yaml", "team/a.yaml"} {
		for _, ignore := range []bool{false, true} {
			dir := t.TempDir()
			volume(t, filepath.Join(dir, "rl/config"), versions, "..2026_02", file)
			o := below(dir, false)
			o.IgnoreDotFiles = ignore
			if s, r, _ := read(t, o, descriptors.Options{}); limits(s) != "a=2" || len(r.Faults) > 0 {
				t.Errorf("%s, dot files ignored %t: %s; %v", file, ignore, limits(s), r.Faults)
			}
		}
	}
}

func TestTree_LinksAreFollowedAndWhatTheyReachTwiceIsOne(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	put(t, dir, map[string]string{"real/rl/config/a.yaml": domain("a", 1), "real/rl/config/sub/b.yaml": domain("b", 1)})
	put(t, elsewhere, map[string]string{"c.yaml": domain("c", 1)})
	config := filepath.Join(dir, "real/rl/config")
	for to, name := range map[string]string{"a.yaml": ".again.yaml", "sub": "linked", ".": "loop", elsewhere: "elsewhere", "nowhere": "dangling.yaml"} {
		must(t, os.Symlink(to, filepath.Join(config, name)))
	}
	must(t, os.Symlink("real", filepath.Join(dir, "current")))
	s, r, _ := read(t, below(filepath.Join(dir, "current"), true), descriptors.Options{})
	if limits(s) != "a=1 b=1 c=1" || len(r.Faults) != 1 || !strings.HasPrefix(r.Faults[0].Error(), "config.dangling.yaml: error: cannot be read: no such file") {
		t.Errorf("limits %q, faults %v", limits(s), r.Faults)
	}
}

func TestTree_WhatIsMissingIsToldAndTakesNothingAway(t *testing.T) {
	for _, watchRoot := range []bool{false, true} {
		dir := t.TempDir()
		s, r, tree := read(t, below(dir, watchRoot), descriptors.Options{})
		if got := r.Faults.Text(); !strings.Contains(got, filepath.Join(dir, "rl")) || !strings.Contains(got, "cannot be read: no such file or directory: check RUNTIME_ROOT, RUNTIME_SUBDIRECTORY") || s.Rules() != nil {
			t.Errorf("nothing there: rules %v, faults %s", s.Rules(), got)
		}
		*r = descriptors.Report{}
		if tree.First(); r.Changed {
			t.Errorf("the same is news again: %+v", r)
		}
		must(t, os.MkdirAll(filepath.Join(dir, "rl/config"), 0o755))
		if tree.First(); r.Faults.Failed() || len(r.Faults) != 1 || !strings.Contains(r.Faults[0].Error(), "rl/config: warning: there are no rule files in it") || s.Rules() == nil {
			t.Errorf("empty: rules %v, faults %v", s.Rules(), r.Faults)
		}
		put(t, dir, map[string]string{"rl/config/a.yaml": domain("a", 1)})
		tree.complete = false
		if tree.First(); limits(s) != "a=1" || len(r.Faults) > 0 {
			t.Errorf("there: %s, faults %v", limits(s), r.Faults)
		}
		must(t, os.Rename(filepath.Join(dir, "rl"), filepath.Join(dir, "gone")))
		tree.complete = false
		if tree.First(); limits(s) != "a=1" || !r.Faults.Failed() {
			t.Errorf("gone: %s, faults %v", limits(s), r.Faults)
		}
		must(t, os.Rename(filepath.Join(dir, "gone"), filepath.Join(dir, "rl")))
		if tree.First(); limits(s) != "a=1" || len(r.Faults) > 0 || len(s.Faults()) > 0 {
			t.Errorf("back: %s, faults %v", limits(s), r.Faults)
		}
	}
}

func TestTree_AFileThatCannotBeReadKeepsItsDomain(t *testing.T) {
	if os.Getuid() == 0 {
		t.Log("root reads everything: a link to nowhere stands for what cannot be read")
	}
	dir := t.TempDir()
	a, b := filepath.Join(dir, "rl/config/a.yaml"), filepath.Join(dir, "rl/config/b.yaml")
	put(t, dir, map[string]string{"rl/config/a.yaml": domain("a", 1), "rl/config/b.yaml": domain("b", 1)})
	s, r, tree := read(t, below(dir, false), descriptors.Options{})
	must(t, os.Chmod(a, 0))
	if os.Getuid() == 0 {
		must(t, os.Remove(a))
		must(t, os.Symlink("nowhere", a))
	}
	must(t, os.WriteFile(b, []byte(domain("b", 2)), 0o600))
	if tree.First(); limits(s) != "a=1 b=2" || len(r.Faults) != 1 || !strings.HasPrefix(r.Faults[0].Error(), "a.yaml: error: cannot be read: ") {
		t.Errorf("limits %q, faults %v", limits(s), r.Faults)
	}
	must(t, os.Remove(a))
	if tree.First(); limits(s) != "b=2" || len(r.Faults) > 0 {
		t.Errorf("removed: limits %q, faults %v", limits(s), r.Faults)
	}
}

func TestTree_AHugeFileIsRefusedAndOthersAreNot(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"rl/config/a.yaml": domain("a", 1), "rl/config/huge.yaml": ""})
	must(t, os.Truncate(filepath.Join(dir, "rl/config/huge.yaml"), 1<<40)) // a hole, which takes no room
	s, r, _ := read(t, below(dir, true), descriptors.Options{})
	if limits(s) != "a=1" || !strings.Contains(r.Faults.Text(), "config.huge.yaml") || len(r.Faults) != 1 {
		t.Errorf("limits %q, faults %v", limits(s), r.Faults)
	}
}

func TestTree_ThousandsOfFiles(t *testing.T) {
	dir, files := t.TempDir(), map[string]string{}
	for i := range 3000 {
		files[fmt.Sprintf("rl/config/%02d/%d.yaml", i%50, i)] = domain(fmt.Sprintf("d%d", i), i)
	}
	put(t, dir, files)
	s, r, tree := read(t, below(dir, false), descriptors.Options{})
	if got := len(s.Rules().Domains()); got != 3000 || len(r.Faults) > 0 {
		t.Fatalf("%d domains, faults %v", got, r.Faults)
	}
	*r = descriptors.Report{}
	if tree.First(); r.Changed {
		t.Error("what did not change is news")
	}
	if len(tree.watched()) != 51 {
		t.Errorf("%d directories are watched", len(tree.watched()))
	}
}

func TestTree_ALinkToWhatIsNoTreeOfRulesIsRefused(t *testing.T) {
	w := walk{visited: map[string]struct{}{}, names: map[string]struct{}{}, files: map[string]descriptors.Given{}, entries: maxEntries - 3}
	dir := t.TempDir()
	put(t, dir, map[string]string{"sub/a": "", "sub/b": "", "sub/c": ""})
	if err := w.directory(dir, ""); err == nil || len(w.failed) > 0 {
		t.Errorf("more than %d entries are no error", maxEntries)
	}
}
