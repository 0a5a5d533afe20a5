//go:build !race

package traffic

import (
	"fmt"
	"runtime"
	"strings"
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
			s, all, n := sketchOf(), keysOf(keys), 0
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

// What clients send makes it no larger than so much for each limit, also with keys of
// the longest form.
func TestBudget_MemoryIsBoundedWhateverClientsSend(t *testing.T) {
	const limits, longest = 20, 1400
	var rules strings.Builder
	rules.WriteString("domain: d\ndescriptors:\n")
	for i := range limits {
		fmt.Fprintf(&rules, "  - {key: k%d, limits: [{name: l%d, rate: 10/s}]}\n", i, i)
	}
	for name, c := range map[string]struct {
		key  int // bytes
		most int // for each limit
	}{
		"usual keys":   {80, 80 << 10},
		"longest keys": {longest, 240 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReplica(t, rules.String())
			all, pad := r.rules.Load().Limits(), strings.Repeat("x", c.key-10)
			before := heap()
			for second := range 2*int(Generation/time.Second) - 10 {
				for i := range 10 * limits {
					r.Met(all[i%limits], fmt.Sprintf("%s%010d", pad, second*limits*10+i), Refused, 1)
				}
				r.tick(r.started.Add(time.Duration(second+1) * time.Second))
			}
			if took := (heap() - before) / limits; took > c.most {
				t.Errorf("%d bytes for each limit, more than %d", took, c.most)
			} else {
				t.Logf("%d bytes for each limit", took)
			}
			runtime.KeepAlive(r)
		})
	}
}

// heap is what lives.
func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
