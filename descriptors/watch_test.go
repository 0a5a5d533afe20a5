package descriptors

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// within is the promise that a change is live within a second, with room for a
// busy machine's scheduling. What falls back on polling still has to meet it.
const within = 1500 * time.Millisecond

// never is a polling that leaves everything to the system's events.
const never = time.Hour

// watched follows a path until the test ends, and passes on what is reported.
func watched(t *testing.T, path string, poll time.Duration) (*Source, <-chan Report) {
	t.Helper()
	s := NewSource(path, Options{})
	s.poll = poll
	reports := make(chan Report, 100)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Watch(ctx, func(r Report) { reports <- r }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch ended with %v", err)
		}
	})
	return s, reports
}

// eventually waits until a report was made after which ok holds.
func eventually(t *testing.T, reports <-chan Report, what string, ok func(Report) bool) {
	t.Helper()
	late := time.After(within)
	for {
		select {
		case r := <-reports:
			if ok(r) {
				return
			}
		case <-late:
			t.Fatalf("%s was not seen within %v", what, within)
		}
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, name string) {
	t.Helper()
	if err := os.Symlink(to, name); err != nil {
		t.Fatal(err)
	}
}

func TestWatch_AWriteARenameAMistakeAndADeletion(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"a.yaml": limited("a", "k", 1), "b.yaml": limited("b", "k", 1)})
	s, reports := watched(t, dir, never)
	limit := func(domain string, n int64) func(Report) bool {
		return func(Report) bool { return limitOf(s.Rules(), domain, "k") == n }
	}
	eventually(t, reports, "the first load", limit("a", 1))

	put(t, dir, map[string]string{"a.yaml": limited("a", "k", 2)})
	eventually(t, reports, "a plain write", limit("a", 2))

	put(t, dir, map[string]string{".a.tmp": limited("a", "k", 3)})
	rename(t, filepath.Join(dir, ".a.tmp"), filepath.Join(dir, "a.yaml"))
	eventually(t, reports, "a file put in place of another", limit("a", 3))

	put(t, dir, map[string]string{"a.yaml": broken})
	eventually(t, reports, "a mistake", func(r Report) bool { return r.Faults.Failed() })
	if limitOf(s.Rules(), "a", "k") != 3 || limitOf(s.Rules(), "b", "k") != 1 {
		t.Error("a mistake took good rules away")
	}

	put(t, dir, map[string]string{"c.yml": limited("c", "k", 1)})
	eventually(t, reports, "a new file", limit("c", 1))

	remove(t, filepath.Join(dir, "b.yaml"))
	eventually(t, reports, "a deletion", limit("b", -1))
	if limitOf(s.Rules(), "a", "k") != 3 {
		t.Error("the mistake's domain was lost later")
	}
}

// Kubernetes mounts a ConfigMap as links to ..data/FILE, where ..data is a link
// to a directory of the version, and swaps ..data alone: nothing of the file's
// own directory entry changes.
func TestWatch_AConfigMapsLinkIsSwapped(t *testing.T) {
	for _, single := range []bool{false, true} {
		dir := t.TempDir()
		put(t, dir, map[string]string{"..v1/llm.yaml": limited("llm", "k", 1), "..v2/llm.yaml": limited("llm", "k", 2)})
		link(t, "..v1", filepath.Join(dir, "..data"))
		link(t, filepath.Join("..data", "llm.yaml"), filepath.Join(dir, "llm.yaml"))
		path := dir
		if single {
			path = filepath.Join(dir, "llm.yaml")
		}
		s, reports := watched(t, path, never)
		eventually(t, reports, "the first load", func(Report) bool { return limitOf(s.Rules(), "llm", "k") == 1 })
		link(t, "..v2", filepath.Join(dir, "..data_tmp"))
		rename(t, filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data"))
		eventually(t, reports, "the swap", func(r Report) bool { return states(r) == "llm:loaded" && limitOf(s.Rules(), "llm", "k") == 2 })
	}
}

// No event tells of a file that is only linked to from the watched directory.
func TestWatch_AChangeWithoutAnEventIsPolled(t *testing.T) {
	dir, far := t.TempDir(), t.TempDir()
	put(t, far, map[string]string{"llm.yaml": limited("llm", "k", 1)})
	link(t, filepath.Join(far, "llm.yaml"), filepath.Join(dir, "llm.yaml"))
	s, reports := watched(t, dir, pollEvery)
	eventually(t, reports, "the first load", func(Report) bool { return limitOf(s.Rules(), "llm", "k") == 1 })
	put(t, far, map[string]string{"llm.yaml": limited("llm", "k", 2)})
	eventually(t, reports, "the change", func(Report) bool { return limitOf(s.Rules(), "llm", "k") == 2 })
}

// A directory that comes later, or comes back as another one, is followed.
func TestWatch_ADirectoryThatComesLater(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "rules")
	s, reports := watched(t, dir, pollEvery)
	eventually(t, reports, "that there is none", func(r Report) bool { return r.Faults.Failed() && s.Rules() == nil })
	put(t, dir, map[string]string{"llm.yaml": limited("llm", "k", 1)})
	eventually(t, reports, "its coming", func(Report) bool { return limitOf(s.Rules(), "llm", "k") == 1 })
	rename(t, dir, dir+"-old")
	put(t, dir, map[string]string{"llm.yaml": limited("llm", "k", 2)})
	eventually(t, reports, "its exchange", func(Report) bool { return limitOf(s.Rules(), "llm", "k") == 2 })
	put(t, dir, map[string]string{"llm.yaml": limited("llm", "k", 3)})
	eventually(t, reports, "a change in it", func(Report) bool { return limitOf(s.Rules(), "llm", "k") == 3 })
}

func TestWatch_IdenticalContentIsNotReported(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"a.yaml": limited("a", "k", 1)})
	s, reports := watched(t, dir, never)
	eventually(t, reports, "the first load", func(Report) bool { return limitOf(s.Rules(), "a", "k") == 1 })
	put(t, dir, map[string]string{".tmp": limited("a", "k", 1), ".tmp2": limited("b", "k", 1), "notes.txt": "x"})
	rename(t, filepath.Join(dir, ".tmp"), filepath.Join(dir, "a.yaml"))
	rename(t, filepath.Join(dir, ".tmp2"), filepath.Join(dir, "b.yaml"))
	eventually(t, reports, "the change that came after", func(r Report) bool {
		if states(r) != "a:unchanged b:loaded" {
			t.Errorf("reported %q", states(r))
		}
		return true
	})
}

// A look may find directories in which something changed before they were watched.
func TestFollow_WhatALookFindsIsWatchedAndLookedAtAgain(t *testing.T) {
	outer, inner := t.TempDir(), t.TempDir()
	directories, looks := []string{outer}, make(chan int, 10)
	ctx, cancel := context.WithCancel(t.Context())
	ended, count := make(chan error, 1), 0
	go func() {
		ended <- Follow(ctx, never, func() []string { return directories }, func() {
			count++
			directories = []string{inner}
			looks <- count
		})
	}()
	looked := func(n int) {
		t.Helper()
		select {
		case got := <-looks:
			if got != n {
				t.Errorf("look %d, want %d", got, n)
			}
		case <-time.After(within):
			t.Fatalf("there was no look %d", n)
		}
	}
	looked(1)
	looked(2)
	put(t, outer, map[string]string{"a": ""})
	put(t, inner, map[string]string{"a": ""})
	looked(3)
	put(t, outer, map[string]string{"a": "x"})
	select {
	case <-looks:
		t.Error("what is watched no more was looked at")
	case <-time.After(2 * settleWithin):
	}
	cancel()
	<-ended
}
