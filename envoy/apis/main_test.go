package apis

import (
	"testing"

	"go.uber.org/goleak"
)

// The probes' test runs weir, which leaves nothing behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
