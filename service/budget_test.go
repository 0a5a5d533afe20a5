//go:build !race

package service

import (
	"testing"
	"time"
)

// A request makes at most twelve allocations from its wire form to that of its answer,
// whatever gRPC makes beside them: each is some 30 ns, and as much again when garbage
// is collected. The race detector's pools forget, so this runs without it.
func TestBudget_ARequestMakesAtMostTwelveAllocations(t *testing.T) {
	for _, texts := range [][]string{{"pool=backend,api=a"}, {"user=u"}, {"pool=backend,api=a", "user=u", "pool=backend,api=c", "free=x"}} {
		w := newWorld(t, weighted)
		w.options.Observe = Observer{
			Request: func(Result, time.Duration) {}, Decision: func(string, string, Outcome, int64) {}, Unmatched: func(string, int) {},
			Waited: func(time.Duration) {}, Limited: func(string, string) {}, Refusal: func(Refusal) {},
		}
		if made := w.allocations(texts...); made > 12 {
			t.Errorf("%q: %v allocations", texts, made)
		} else {
			t.Logf("%q: %v allocations", texts, made)
		}
	}
}
