package app

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// leastGrowth is how much is allocated between two collections at least.
//
// Go collects when the heap has grown by as much as lives in it. Of a limiter little
// lives, 5 MB, and it allocates 200 MB in a second of 40,000 requests: it would
// collect forty times a second, a fifth of all that a request costs. With 64 MB it is
// three times. A limit for the process's memory (GOMEMLIMIT) is kept all the same.
const leastGrowth = 64 << 20

// Of what lives, collecting each time that as much was allocated costs the same however
// much it is: of the 50 MB that 100,000 rules are it was a seventh of a decision. So four
// times as much is allocated, up to 256 MB, and from there on again as much as lives: at
// most 192 MB more is resident than in another Go program.
const (
	growthFactor = 4
	mostGrowth   = 256 << 20
)

// percentDefault is that of a Go program: the heap doubles.
const percentDefault = 100

// percentReading is that while a large rule file is read. What is read takes 40 times as
// much memory as the file for two seconds, and would take 80 times as much with the
// garbage beside it.
const percentReading = 50

// collector sets how much the heap of the whole process grows between two collections.
var collector struct {
	sync.Mutex
	paced   bool
	percent int // in force
	reading int // large files that are read now
}

// PaceCollector makes the whole process collect garbage less often while little lives in
// it, from now on. Who sets GOGC wants something else, and it should not be called.
func PaceCollector() {
	collector.Lock()
	collector.paced, collector.percent = true, percentDefault
	collector.Unlock()
	pace(struct{}{})
}

// pace sets the growth anew after each collection, which is when a cleanup of what
// nobody holds runs.
func pace(struct{}) {
	setPercent()
	runtime.AddCleanup(new(sentinel), pace, struct{}{})
}

// setPercent sets the growth by what lives now.
func setPercent() {
	collector.Lock()
	defer collector.Unlock()
	percent := percentFor(liveHeap())
	if collector.reading > 0 {
		percent = percentReading
	}
	if collector.paced && percent != collector.percent {
		collector.percent = percent
		debug.SetGCPercent(percent)
	}
}

// readingLarge has the heap grow little until done is called, which collects: else the
// heap would grow by what lived while the file was read.
func readingLarge() (done func()) {
	add := func(n int) {
		collector.Lock()
		collector.reading += n
		collector.Unlock()
		setPercent()
	}
	add(1)
	return func() {
		if add(-1); isPaced() {
			runtime.GC()
			setPercent()
		}
	}
}

func isPaced() bool {
	collector.Lock()
	defer collector.Unlock()
	return collector.paced
}

// sentinel is garbage from the start. It is large enough not to share its memory with
// other small values, which would keep it.
type sentinel [32]byte

// percentFor is the growth in percent of what lives. Steps of 50 keep it from being set
// after each collection, for which the whole process stops for some 20 us.
func percentFor(live uint64) int {
	growth := max(leastGrowth, min(growthFactor*live, mostGrowth))
	percent := growth * 100 / max(live, 1<<20)
	return int(max(percent/50*50, percentDefault))
}

// liveHeap is how many bytes the last collection left.
func liveHeap() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return leastGrowth
	}
	return sample[0].Value.Uint64()
}
