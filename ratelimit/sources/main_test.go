package sources

import (
	"testing"

	"go.uber.org/goleak"
)

// A goroutine that outlives the tests outlives its work in the server too.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
