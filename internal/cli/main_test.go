package cli

import (
	"context"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/weir-rls/weir/internal/parts/partstest"
)

// beWeir has the test binary be weir, for a shell that runs it.
const beWeir = "WEIR_TEST_BINARY_IS_WEIR"

// A goroutine that outlives the tests outlives its work in the command too.
func TestMain(m *testing.M) {
	if os.Getenv(beWeir) != "" {
		os.Exit(Run(context.Background(), World{Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}))
	}
	goleak.VerifyTestMain(partstest.Suite{M: m})
}
