package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/weir-rls/weir/internal/browsertest"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// weirBinary is built once for all tests, the way `make build` builds it.
var weirBinary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "weir-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	weirBinary = filepath.Join(dir, "weir")
	if err := build(weirBinary, "../cmd/weir"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(partstest.Suite{M: browsertest.Suite{M: m}}, goleak.Cleanup(func(code int) {
		if err := noChildren(); err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			code = 1
		}
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

func build(binary, pkg string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", binary, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", pkg, err, output)
	}
	return nil
}

// noChildren tells whether a test left a process behind: the system knows of no
// child that could be waited for.
func noChildren() error {
	pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
	if errors.Is(err, syscall.ECHILD) {
		return nil
	}
	return fmt.Errorf("a child process was left behind (wait: %d, %v)", pid, err)
}
