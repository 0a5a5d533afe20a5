package sources

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/weir-rls/weir/descriptors"
)

// unprivileged calls f as somebody to whom the modes of files apply, as they do not to root.
func unprivileged(t *testing.T, f func()) {
	t.Helper()
	if os.Getuid() == 0 {
		runtime.LockOSThread() // whose identity it is
		defer runtime.UnlockOSThread()
		_, _, _ = syscall.RawSyscall(syscall.SYS_SETFSUID, 65534, 0, 0)
		defer func() { _, _, _ = syscall.RawSyscall(syscall.SYS_SETFSUID, 0, 0, 0) }()
	}
	f()
}

func TestTree_WhatMayNotBeReadKeepsWhatItHad(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	config := filepath.Join(dir, "rl/config")
	all := map[string]string{"a.yaml": domain("a", 1), "team/b.yaml": domain("b", 1), "c.yaml": domain("c", 1)}
	put(t, config, all)
	for name := range all {
		must(t, os.Chmod(filepath.Join(config, name), 0o644))
	}
	s, r, tree := read(t, below(dir, true), descriptors.Options{})
	for _, c := range []struct{ path, want, fault string }{
		{"a.yaml", "a=1 b=1 c=2", "config.a.yaml: error: cannot be read: permission denied"},
		{"team", "a=1 b=1 c=3", "config.team: error: cannot be read: permission denied"},
		{"", "a=1 b=1 c=3", "config: error: cannot be read: permission denied"},
	} {
		path := filepath.Join(config, c.path)
		info, err := os.Stat(path)
		must(t, err)
		put(t, config, map[string]string{"c.yaml": domain("c", int(c.want[len(c.want)-1]-'0'))})
		must(t, os.Chmod(path, 0))
		tree.complete = false
		unprivileged(t, tree.First)
		if limits(s) != c.want || !strings.Contains(r.Faults.Text(), c.fault) {
			t.Errorf("%q: limits %q, want %q; faults %v", c.path, limits(s), c.want, r.Faults)
		}
		// That it may be read again is seen although the root is the same.
		must(t, os.Chmod(path, info.Mode()))
		unprivileged(t, tree.First)
		if limits(s) != c.want || len(s.Faults()) > 0 {
			t.Errorf("%q: readable again: limits %q, want %q; faults %v", c.path, limits(s), c.want, s.Faults())
		}
	}
	must(t, os.RemoveAll(filepath.Join(config, "team")))
	tree.complete = false
	if unprivileged(t, tree.First); limits(s) != "a=1 c=3" {
		t.Errorf("removed: limits %q", limits(s))
	}
}
