package app

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestPercentFor_LetsTheHeapGrowByTheSameOrFourTimesOrDouble(t *testing.T) {
	for live, want := range map[uint64]int{0: 6400, 5 << 20: 1250, 16 << 20: 400, 32 << 20: 400, 64 << 20: 400, 128 << 20: 200, 256 << 20: 100, 1 << 30: 100} {
		if got := percentFor(live); got != want {
			t.Errorf("with %d MiB alive the heap grows by %d %%, want %d %%", live>>20, got, want)
		}
	}
}

// A process that holds little collects seldom; when it comes to hold much, which a
// percentage of little would multiply by ten, it collects as any Go program does.
func TestTheCollectorIsPacedAsTheHeapGrows(t *testing.T) {
	defer debug.SetGCPercent(percentDefault)
	PaceCollector()
	percent := func() int {
		now := debug.SetGCPercent(percentDefault)
		debug.SetGCPercent(now)
		return now
	}
	// A cleanup runs soon after a collection, in a goroutine of its own.
	after := func(holds func(int) bool) bool {
		for range 1000 {
			if runtime.GC(); holds(percent()) {
				return true
			}
		}
		return false
	}
	const many = 300 // MiB
	held := make([][]byte, 0, many)
	for range many {
		held = append(held, make([]byte, 1<<20))
	}
	if !after(func(percent int) bool { return percent == percentDefault }) {
		t.Errorf("with 300 MiB alive the heap grows by %d %%, want that it doubles", percent())
	}
	runtime.KeepAlive(held)
	held = nil
	if !after(func(percent int) bool { return percent > 2*percentDefault }) {
		t.Errorf("with little alive the heap grows by %d %%, want more", percent())
	}
}

// While a large file is read beside the rules in force, the heap grows by half; then by
// what lives again, of which a collection tells.
func TestTheHeapGrowsLittleWhileALargeFileIsRead(t *testing.T) {
	defer debug.SetGCPercent(percentDefault)
	PaceCollector()
	percent := func() int {
		now := debug.SetGCPercent(percentDefault)
		debug.SetGCPercent(now)
		return now
	}
	before, other := readingLarge(), readingLarge()
	runtime.GC()
	if got := percent(); got != percentReading {
		t.Errorf("the heap grows by %d %% while files are read, want %d %%", got, percentReading)
	}
	before()
	if got := percent(); got != percentReading {
		t.Errorf("the heap grows by %d %% while another file is read, want %d %%", got, percentReading)
	}
	if other(); percent() < 2*percentDefault {
		t.Errorf("the heap grows by %d %% after that, want more", percent())
	}
}
