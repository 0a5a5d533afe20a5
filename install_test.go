package weir

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A fresh machine has neither: whatever the script calls its parts, only a program counts as
// there.
func TestInstall_FetchesWhatAFreshMachineMisses(t *testing.T) {
	for what, c := range map[string]struct{ part, there, env, installs string }{
		"a fresh machine: redis":      {"redis", "", "", "redis-server"},
		"a fresh machine: chromium":   {"chromium", "", "", "chromium"},
		"redis is there":              {"redis", "redis-server", "", ""},
		"chromium is there":           {"chromium", "chromium", "", ""},
		"its brother is there":        {"chromium", "google-chrome", "", ""},
		"redis is somewhere else":     {"redis", "", "REDIS_SERVER=/opt/redis", ""},
		"chromium is somewhere else":  {"chromium", "", "CHROMIUM=/opt/chromium", ""},
		"another browser is no help":  {"chromium", "firefox", "", "chromium"},
		"another server is no help":   {"redis", "valkey-server", "", "redis-server"},
		"an empty variable is no one": {"chromium", "", "CHROMIUM=", "chromium"},
	} {
		path := t.TempDir()
		calls := filepath.Join(path, "calls")
		program(t, path, "id", "echo 0")
		program(t, path, "apt-get", `echo "$*" >> `+calls)
		for _, tool := range []string{"bash", "dirname", "env"} {
			found, err := exec.LookPath(tool)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(found, filepath.Join(path, tool)); err != nil {
				t.Fatal(err)
			}
		}
		if c.there != "" {
			program(t, path, c.there, "")
		}
		install := exec.Command("tools/install.sh", c.part)
		install.Env = []string{"PATH=" + path, c.env}
		if output, err := install.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", what, err, output)
		}
		called, _ := os.ReadFile(calls)
		want := ""
		if c.installs != "" {
			want = "update -qq\ninstall -y -qq " + c.installs + "\n"
		}
		if string(called) != want {
			t.Errorf("%s: apt-get was called with %q, want %q", what, called, want)
		}
	}
}

// program writes a shell script that stands for a program.
func program(t *testing.T, dir, name, does string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+does+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}
