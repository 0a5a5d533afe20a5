package backend_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/weir-rls/weir/internal/parts/partstest"
)

// A goroutine that outlives the tests outlives its work in the server too.
func TestMain(m *testing.M) { goleak.VerifyTestMain(partstest.Suite{M: m}) }
