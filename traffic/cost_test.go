//go:build !race

package traffic

import (
	"fmt"
	"testing"
	"time"
)

// What tells it pays no allocation, for a key that is known or one that drives another
// out. The race detector's own are not counted, so this runs without it.
func TestBudget_ToTellOfARequestAllocatesNothing(t *testing.T) {
	r := newReplica(t, twoLimits)
	l, keys, n := r.limit("per-user"), keysOf(10_000), 0
	if made := testing.AllocsPerRun(20_000, func() {
		r.Met(l, keys[n%len(keys)], Refused, 1)
		r.Called(ResultRefused, time.Millisecond)
		n++
	}); made > 0 {
		t.Errorf("%v allocations", made)
	}
}

func keysOf(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("{shop}4:shop,4:user=7:u%06d/n:per-user", i)
	}
	return keys
}

// What a limit that a request met costs, at a rate that is beyond all looking.
func BenchmarkMet(b *testing.B) {
	for _, keys := range []int{1, 10, 100_000} {
		b.Run(fmt.Sprintf("%d keys", keys), func(b *testing.B) {
			r := newReplica(b, twoLimits)
			l, all, n := r.limit("per-user"), keysOf(keys), 0
			b.ReportAllocs()
			for b.Loop() {
				r.Met(l, all[n%len(all)], Passed, 1)
				if n++; n%100_000 == 0 {
					r.limits[name{"d", "per-user"}].keys.tick(0)
				}
			}
		})
	}
}

// The same where every hit is looked at, as of a limit that is met less than a thousand
// times a second.
func BenchmarkCount(b *testing.B) {
	for _, keys := range []int{1, 10, 100_000} {
		b.Run(fmt.Sprintf("%d keys", keys), func(b *testing.B) {
			s, all, n := newSketch(0), keysOf(keys), 0
			b.ReportAllocs()
			for b.Loop() {
				s.looked = 0
				s.count(all[n%len(all)], true, false, 1)
				n++
			}
		})
	}
}

func BenchmarkCalled(b *testing.B) {
	r := newReplica(b, twoLimits)
	for b.Loop() {
		r.Called(ResultAdmitted, 57*time.Microsecond)
	}
}
