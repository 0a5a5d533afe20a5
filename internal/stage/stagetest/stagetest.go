// Package stagetest runs an example's assertions on the stage: with the real
// Envoy, on memory and on Redis.
package stagetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/weir-rls/weir/internal/parts/partstest"
	"github.com/weir-rls/weir/internal/stage"
)

// Weir is the path of the binary that [Main] built.
var Weir string

// Main builds weir, runs the tests of an example, and fails where one of them
// left something running.
func Main(m *testing.M) {
	dir, err := os.MkdirTemp("", "weir-stage-")
	if err == nil {
		Weir = filepath.Join(dir, "weir")
		err = Build(Weir, "../../cmd/weir")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(partstest.Suite{M: m}, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// Build builds a command the way `make build` does.
func Build(binary, pkg string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", binary, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", pkg, err, output)
	}
	return nil
}

// Start starts an example, whose files are in the working directory, for the
// time of the test. A part that ends by itself fails the test.
func Start(t *testing.T, e stage.Example, store string) *stage.Stage {
	t.Helper()
	return start(t, e, stage.Options{Store: store, Args: []string{"--drain-delay", "0s"}})
}

func start(t *testing.T, e stage.Example, o stage.Options) *stage.Stage {
	t.Helper()
	o.Weir, o.Files = Weir, "."
	s, err := stage.Start(e, o, stage.NewScreen(t.Output()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, p := range s.Parts() {
			select {
			case <-p.Done():
				t.Errorf("process %d ended by itself", p.Pid())
			default:
			}
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		for _, p := range s.Parts() {
			if t.Failed() {
				t.Logf("process %d wrote:\n%s", p.Pid(), p.Output())
			}
		}
	})
	return s
}

// OnEachStore runs a test with the embedded store, and with one Redis behind two
// weirs and two Envoys. example is called for each: upstreams have a state.
func OnEachStore(t *testing.T, example func() stage.Example, test func(*testing.T, *stage.Stage)) {
	t.Helper()
	for _, store := range []string{"memory", "redis"} {
		t.Run(store, func(t *testing.T) { test(t, Start(t, example(), store)) })
	}
}

// Story tells an example's story on each store.
func Story(t *testing.T, example func() stage.Example) {
	t.Helper()
	for _, store := range []string{"memory", "redis"} {
		t.Run(store, func(t *testing.T) {
			e := example()
			if err := e.Story(t.Context(), Start(t, e, store)); err != nil {
				t.Error(err)
			}
		})
	}
}
