package parts_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

func TestMain(m *testing.M) {
	if os.Getenv("PARTS_TEST_PARENT") != "" {
		beParent()
	}
	goleak.VerifyTestMain(partstest.Suite{M: m})
}

func TestFind_MissingPartIsOneLineWithItsRemedy(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("REDIS_SERVER", "")
	_, err := parts.Find(parts.RedisServer)
	if err == nil {
		t.Fatal("found a redis-server on an empty PATH")
	}
	if s := err.Error(); !strings.Contains(s, "redis-server") || !strings.Contains(s, "make tools") || strings.Contains(s, "\n") {
		t.Errorf("the error is %q", s)
	}
}

func TestFind_NamedPartIsUsedOrRefused(t *testing.T) {
	dir := t.TempDir()
	program, text := filepath.Join(dir, "program"), filepath.Join(dir, "text")
	writeFile(t, program, 0o700)
	writeFile(t, text, 0o600)

	t.Setenv("ENVOY", program)
	if path, err := parts.Find(parts.Envoy); err != nil || path != program {
		t.Errorf("Find = %q, %v, want %q", path, err, program)
	}
	for _, bad := range []string{text, dir, filepath.Join(dir, "absent")} {
		t.Setenv("ENVOY", bad)
		path, err := parts.Find(parts.Envoy)
		if err == nil {
			t.Errorf("ENVOY=%s was passed over for %s", bad, path)
		} else if !strings.Contains(err.Error(), "ENVOY="+bad) || strings.Contains(err.Error(), "\n") {
			t.Errorf("the error is %q", err)
		}
	}
}

func TestRedis_ReadyAndStopped(t *testing.T) {
	for _, server := range []parts.Part{parts.RedisServer, parts.ValkeyServer} {
		t.Run(server.String(), func(t *testing.T) {
			redis := partstest.Redis(t, server)
			if redis.URL != "redis://"+redis.Addr {
				t.Errorf("URL = %s", redis.URL)
			}
			if err := redis.Stop(); err != nil {
				t.Fatal(err)
			}
			if alive(redis.Pid()) {
				t.Errorf("process %d lives on", redis.Pid())
			}
		})
	}
}

func TestRedis_RefusesAPortThatAnotherServerHolds(t *testing.T) {
	first := partstest.Redis(t, parts.RedisServer)
	second, err := parts.StartRedisAt(partstest.Binary(t, parts.RedisServer), first.Addr)
	if err == nil {
		_ = second.Kill()
		t.Fatal("a second server started on the port of the first")
	}
}

func TestProcess_StartErrorsAreTold(t *testing.T) {
	if _, err := parts.Start(filepath.Join(t.TempDir(), "absent"), ""); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error = %v", err)
	}
}

func TestProcess_ChildThatEndsEarlyShowsWhy(t *testing.T) {
	_, err := parts.StartRedis(partstest.Binary(t, parts.RedisServer), "--no-such-option", "x")
	if err == nil || !strings.Contains(err.Error(), "ended before it was ready") || !strings.Contains(err.Error(), "no-such-option") {
		t.Errorf("error = %v", err)
	}
}

func TestProcess_OutputIsBounded(t *testing.T) {
	p, err := parts.Start("/bin/sh", "", "-c", "i=0; while [ $i -lt 20000 ]; do echo line $i 0123456789012345678901234567890123456789; i=$((i+1)); done")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := len(p.Output()); n != 256<<10 {
		t.Errorf("kept %d bytes of about 1 MB, want 262144", n)
	}
	if !strings.Contains(p.Output(), "line 19999 ") {
		t.Error("the end was dropped")
	}
}

func TestEnvoy_ReadyWithItsPorts(t *testing.T) {
	envoy := partstest.Envoy(t, []byte(minimalBootstrap))
	if _, port, ok := strings.Cut(envoy.Listener("front"), "127.0.0.1:"); !ok || port == "0" || port == "" {
		t.Errorf("listener = %q", envoy.Listener("front"))
	}
	if live, err := envoy.Stat("server.live"); err != nil || live != 1 {
		t.Errorf("server.live = %d, %v", live, err)
	}
	if absent, err := envoy.Stat("no.such.stat"); err != nil || absent != 0 {
		t.Errorf("no.such.stat = %d, %v", absent, err)
	}
}

func TestEnvoy_ValidateNamesTheFault(t *testing.T) {
	binary := partstest.Binary(t, parts.Envoy)
	if err := parts.ValidateEnvoy(binary, []byte(minimalBootstrap), t.TempDir()); err != nil {
		t.Error(err)
	}
	err := parts.ValidateEnvoy(binary, []byte("no_such_field: 1\n"), t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "no_such_field") {
		t.Errorf("error = %v", err)
	}
}

// A parent that is killed cannot stop its children. The test runs this binary
// as that parent, kills it, and looks for the child.
func TestProcess_KilledParentLeavesNoChild(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // no other system has a parent death signal
	}
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), "PARTS_TEST_PARENT=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 32)
	n, err := out.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	if err != nil {
		t.Fatal(err)
	}
	if !alive(child) {
		t.Fatal("the child did not run")
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	for deadline := time.Now().Add(10 * time.Second); alive(child); {
		if time.Now().After(deadline) {
			_ = syscall.Kill(child, syscall.SIGKILL)
			t.Fatal("the child outlived its parent")
		}
	}
}

// beParent starts a child, prints its process id and waits to be killed.
func beParent() {
	p, err := parts.Start("/bin/sleep", "", "60")
	if err != nil {
		os.Exit(1)
	}
	_, _ = os.Stdout.WriteString(strconv.Itoa(p.Pid()) + "\n")
	_ = p.Wait()
	os.Exit(1)
}

// alive tells whether the process runs; one that has ended and was not waited
// for does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || !strings.Contains(string(stat), ") Z ")
}

func writeFile(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), mode); err != nil {
		t.Fatal(err)
	}
}

const minimalBootstrap = `
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
static_resources:
  listeners:
  - name: front
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: front
          route_config:
            virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, direct_response: {status: 200}}]}]
          http_filters:
          - name: router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
`
