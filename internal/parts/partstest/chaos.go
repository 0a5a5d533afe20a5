package partstest

import (
	"testing"
	"time"
)

// Chaos logs what a fault did, in the line of which docs/explanation/reliability.md is made: how many
// were admitted of a bucket of one algorithm, how many may be, how many errors clients were
// told, and how long after the fault's end all was as before, 0: it always was.
func Chaos(t testing.TB, fault, algorithm string, admitted, bound, errors int64, back time.Duration) {
	t.Helper()
	t.Logf("chaos: fault=%q bucket=%q admitted=%d bound=%d errors=%d back=%v", fault, algorithm, admitted, bound, errors, back.Round(time.Millisecond))
}
