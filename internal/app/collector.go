package app

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// growth is how much is allocated between two collections at least.
//
// Go collects when the heap has grown by as much as lives in it. Of a limiter little
// lives, 5 MB, and it allocates 200 MB in a second of 40,000 requests: it would
// collect forty times a second, a fifth of all that a request costs. With 64 MB it is
// three times. A limit for the process's memory (GOMEMLIMIT) is kept all the same.
const growth = 64 << 20

// PaceCollector makes the whole process collect garbage less often while little lives in
// it, from now on. Who sets GOGC wants something else, and it should not be called.
func PaceCollector() { pace(percentDefault) }

// percentDefault is that of a Go program: the heap doubles.
const percentDefault = 100

// pace sets the growth anew after each collection, which is when a cleanup of what
// nobody holds runs. now is the percentage in force.
func pace(now int) {
	if percent := percentFor(liveHeap()); percent != now {
		now = percent
		debug.SetGCPercent(now)
	}
	runtime.AddCleanup(new(sentinel), pace, now)
}

// sentinel is garbage from the start. It is large enough not to share its memory with
// other small values, which would keep it.
type sentinel [32]byte

// percentFor is the growth in percent of what lives. Steps of 50 keep it from being set
// after each collection, for which the whole process stops for some 20 us.
func percentFor(live uint64) int {
	percent := growth * 100 / max(live, 1<<20)
	return int(max(percent/50*50, percentDefault))
}

// liveHeap is how many bytes the last collection left.
func liveHeap() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return growth
	}
	return sample[0].Value.Uint64()
}
