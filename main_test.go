package weir

import (
	"testing"

	"go.uber.org/goleak"
)

// A walk over the sources leaves no goroutine, as nothing here may.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
