package sources

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-rls/weir/descriptors"
)

const (
	// within is how long a change may take to be live on a busy machine.
	within = 3 * time.Second
	// never is a polling that leaves everything to the system's events.
	never = time.Hour
)

// followed is a source that follows a tree until the test ends, and what is reported.
func followed(t *testing.T, o TreeOptions, poll time.Duration) (*descriptors.Source, <-chan descriptors.Report) {
	t.Helper()
	s := descriptors.NewSource("", descriptors.Options{Dialect: descriptors.Reference})
	reports := make(chan descriptors.Report, 100)
	tree := NewTree(o, s, func(r descriptors.Report) { reports <- r })
	tree.poll = poll
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- tree.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
	})
	return s, reports
}

// until waits for a report after which ok holds.
func until(t *testing.T, reports <-chan descriptors.Report, what string, ok func(descriptors.Report) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for seen := false; !seen; {
		select {
		case r := <-reports:
			seen = ok(r)
		case <-ctx.Done():
			t.Fatalf("%s was not seen within %v", what, within)
		}
	}
}

// swap lets the link name lead to another place, as who replaces a tree in one step does.
func swap(t *testing.T, to, name string) {
	t.Helper()
	must(t, os.Symlink(to, name+"_tmp"))
	must(t, os.Rename(name+"_tmp", name))
}

func TestRun_WatchingTheDirectorySeesEachKindOfChange(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "rl/config")
	put(t, dir, map[string]string{"rl/config/a.yaml": domain("a", 1), "rl/config/sub/b.yaml": domain("b", 1)})
	s, reports := followed(t, below(dir, false), never)
	live := func(want string) func(descriptors.Report) bool {
		return func(descriptors.Report) bool { return limits(s) == want }
	}
	until(t, reports, "the first reading", live("a=1 b=1"))
	put(t, config, map[string]string{"a.yaml": domain("a", 2)})
	until(t, reports, "a write", live("a=2 b=1"))
	put(t, config, map[string]string{"sub/b.yaml": domain("b", 2)})
	until(t, reports, "a write further down", live("a=2 b=2"))
	put(t, config, map[string]string{"new/deep/c": domain("c", 1)})
	until(t, reports, "new directories", live("a=2 b=2 c=1"))
	put(t, config, map[string]string{"new/deep/c": domain("c", 2)})
	until(t, reports, "a write in a new directory", live("a=2 b=2 c=2"))
	must(t, os.Remove(filepath.Join(config, "sub/b.yaml")))
	until(t, reports, "a removal", live("a=2 c=2"))
	put(t, config, map[string]string{"a.yaml": "domain: a\nx: 1\n"})
	until(t, reports, "a mistake", func(r descriptors.Report) bool { return r.Faults.Failed() && limits(s) == "a=2 c=2" })
	must(t, os.RemoveAll(filepath.Join(config, "new")))
	until(t, reports, "the removal of directories", live("a=2"))
}

// Of what happens through a name elsewhere there is no event, so that it is the change of
// the mode alone that is one.
func TestRun_WatchingTheDirectorySeesAChangeOfMode(t *testing.T) {
	dir := t.TempDir()
	file, elsewhere := filepath.Join(dir, "rl/config/a.yaml"), filepath.Join(dir, "elsewhere")
	put(t, dir, map[string]string{"elsewhere": domain("a", 1), "rl/config/b.yaml": domain("b", 1)})
	must(t, os.Link(elsewhere, file))
	s, reports := followed(t, below(dir, false), never)
	until(t, reports, "the first reading", func(descriptors.Report) bool { return limits(s) == "a=1 b=1" })
	put(t, dir, map[string]string{"elsewhere": domain("a", 2)})
	select {
	case r := <-reports:
		t.Fatalf("a change that is no event was seen: %+v", r)
	case <-time.After(100 * time.Millisecond):
	}
	must(t, os.Chmod(file, 0o640))
	until(t, reports, "the mode", func(descriptors.Report) bool { return limits(s) == "a=2 b=1" })
}

func TestRun_WatchingTheDirectorySeesAConfigMapsSwap(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "rl/config")
	volume(t, config, map[string]string{"..1": domain("a", 1), "..2": domain("a", 2)}, "..1", "config.yaml")
	s, reports := followed(t, below(dir, false), never)
	until(t, reports, "the first reading", func(descriptors.Report) bool { return limits(s) == "a=1" })
	swap(t, "..2", filepath.Join(config, "..data"))
	must(t, os.RemoveAll(filepath.Join(config, "..1")))
	until(t, reports, "the swap", func(r descriptors.Report) bool { return limits(s) == "a=2" && len(r.Faults) == 0 })
}

// Back and forth between two looks is a swap: who deploys may have written the first anew.
func TestIdentify_ALinkThatLeadsWhereItDidIsAnotherOne(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "current")
	put(t, dir, map[string]string{"1/a": "", "2/a": ""})
	must(t, os.Symlink("1", link))
	before := identify(link)
	if !identify(link).same(before) || !identify(dir+"/none").same(identify(dir+"/none")) || identify(dir+"/none").same(before) {
		t.Error("what is the same is not, or what is not is")
	}
	time.Sleep(20 * time.Millisecond) // the file system's clock is as coarse as its ticks
	must(t, os.Remove(link))
	must(t, os.Symlink("1", link))
	if identify(link).same(before) {
		t.Error("another link is the same")
	}
	put(t, dir, map[string]string{"1/b": ""})
	if real := filepath.Join(dir, "1"); !identify(real).same(identify(real)) {
		t.Error("a directory is another one")
	}
}

func TestRun_WatchingTheRootSeesSwapsAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"1/rl/config/a.yaml": domain("a", 1), "2/rl/config/a.yaml": domain("a", 2), "3/other": ""})
	root := filepath.Join(dir, "current")
	must(t, os.Symlink("1", root))
	s, reports := followed(t, below(root, true), 20*time.Millisecond)
	live := func(want string) func(descriptors.Report) bool {
		return func(descriptors.Report) bool { return limits(s) == want }
	}
	until(t, reports, "the first reading", live("a=1"))
	put(t, dir, map[string]string{"1/rl/config/a.yaml": domain("a", 7), "unrelated": "x"})
	select {
	case r := <-reports:
		t.Errorf("a tree that is still written was read: %+v", r)
	case <-time.After(300 * time.Millisecond):
	}
	swap(t, filepath.Join(dir, "2"), root)
	until(t, reports, "a swap", live("a=2"))
	swap(t, "1", root)
	until(t, reports, "a swap back", live("a=7"))
	swap(t, "3", root)
	until(t, reports, "a swap to what is none", func(r descriptors.Report) bool { return r.Faults.Failed() && limits(s) == "a=7" })
	put(t, dir, map[string]string{"3/rl/config/b.yaml": domain("b", 1)})
	until(t, reports, "what was missing", live("b=1"))
}

func TestRun_ASwapIsAnEventAndNeedsNoPoll(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"1/rl/config/a.yaml": domain("a", 1), "2/rl/config/a.yaml": domain("a", 2)})
	root := filepath.Join(dir, "current")
	must(t, os.Symlink("1", root))
	s, reports := followed(t, below(root+"/", true), never)
	until(t, reports, "the first reading", func(descriptors.Report) bool { return limits(s) == "a=1" })
	swap(t, "2", root)
	until(t, reports, "the swap", func(descriptors.Report) bool { return limits(s) == "a=2" })
	must(t, os.Rename(filepath.Join(dir, "1"), filepath.Join(dir, "gone")))
	must(t, os.Remove(root))
	until(t, reports, "a link that is gone", func(r descriptors.Report) bool { return r.Faults.Failed() && limits(s) == "a=2" })
	put(t, dir, map[string]string{"current/rl/config/a.yaml": domain("a", 3)})
	until(t, reports, "a directory in its place", func(descriptors.Report) bool { return limits(s) == "a=3" })
}

// A start before the volume is there is a start all the same.
func TestRun_ADirectoryThatComesLaterIsSeen(t *testing.T) {
	for _, watchRoot := range []bool{false, true} {
		dir := t.TempDir()
		s, reports := followed(t, below(filepath.Join(dir, "data"), watchRoot), 100*time.Millisecond)
		until(t, reports, "that it is missing", func(r descriptors.Report) bool {
			return strings.Contains(r.Faults.Text(), "cannot be read: no such file or directory")
		})
		put(t, dir, map[string]string{"data/rl/config/a.yaml": domain("a", 1)})
		until(t, reports, "that it came", func(descriptors.Report) bool { return limits(s) == "a=1" })
	}
}
