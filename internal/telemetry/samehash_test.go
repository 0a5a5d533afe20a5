package telemetry

import (
	"fmt"
	"testing"

	"github.com/weir-rls/weir/descriptors"
)

// Limits whose names have the same hash are counted apart all the same, and found again.
func TestLimitsOfOneHashAreCountedApart(t *testing.T) {
	const limits = atOnce + 10
	d := newDecisions()
	d.hash = func(limit) uint64 { return 1 }
	for range 2 {
		for i := range limits {
			l := &descriptors.Limit{Settings: &descriptors.Settings{Domain: "d"}, Name: fmt.Sprint(i)}
			d.count(l, "allowed", int64(i))
		}
	}
	for i := range limits {
		if got, want := d.tally(uint32(i+1)).Tokens.Load(), uint64(2*i); got != want || d.names[i].name != fmt.Sprint(i) {
			t.Errorf("limit %d is %s with %d tokens, want %d", i, d.names[i].name, got, want)
		}
	}
}
