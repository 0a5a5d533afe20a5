package bench

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies from 1 us to 100 s are kept with three digits; what is longer counts
// as 100 s.
const (
	shortest = int64(time.Microsecond)
	longest  = int64(100 * time.Second)
	digits   = 3
)

// tally is what became of the requests of one connection. Workers share it,
// because a histogram takes 170 kB and there may be thousands of workers.
type tally struct {
	mu       sync.Mutex
	latency  *hdrhistogram.Histogram
	verdicts map[string]int64
	errors   map[string]int64
}

func newTally() *tally {
	return &tally{latency: hdrhistogram.New(shortest, longest, digits), verdicts: map[string]int64{}, errors: map[string]int64{}}
}

func (t *tally) answered(verdict string, after time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.verdicts[verdict]++
	t.record(after)
}

// failed counts a call that ended in an error. One that timed out took as long
// as it took; others have no latency, for an error can come at once.
func (t *tally) failed(code string, timedOut bool, after time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.errors[code]++
	if timedOut {
		t.record(after)
	}
}

func (t *tally) record(after time.Duration) {
	// It fails only outside its range, and the value is brought inside.
	_ = t.latency.RecordValue(min(max(int64(after), shortest), longest))
}

// add puts what other holds into t; neither is in use.
func (t *tally) add(other *tally) {
	t.latency.Merge(other.latency)
	for verdict, n := range other.verdicts {
		t.verdicts[verdict] += n
	}
	for code, n := range other.errors {
		t.errors[code] += n
	}
}
