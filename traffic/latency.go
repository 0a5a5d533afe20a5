package traffic

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Latencies are counted in steps of an eighth of their power of two, from a microsecond
// to more than an hour: what is told of one is at most an eighth too high, or a microsecond.
const (
	stepBits   = 3
	octaves    = 32
	latencies  = octaves << stepBits
	resolution = time.Microsecond
)

// histogram counts latencies in each step.
type histogram [latencies]uint32

// stepOf is the step of a latency.
func stepOf(took time.Duration) int {
	n := uint64(max(0, took) / resolution)
	if n < 1<<stepBits {
		return int(n)
	}
	shift := bits.Len64(n) - 1 - stepBits
	return min(shift<<stepBits+int(n>>shift), latencies-1)
}

// endOf is where a step ends, in seconds.
func endOf(step int) float64 {
	end := uint64(step) + 1
	if step >= 1<<stepBits {
		shift := step>>stepBits - 1
		end = (uint64(step&(1<<stepBits-1)) + 1<<stepBits + 1) << shift
	}
	return float64(end) / float64(time.Second/resolution)
}

// live is a histogram that is counted into.
type live [latencies]atomic.Uint32

func (l *live) count(took time.Duration) { l[stepOf(took)].Add(1) }

// since is what came since before, which becomes what there is now. Counts may wrap.
func (l *live) since(before *histogram) (h histogram) {
	for i := range l {
		n := l[i].Load()
		h[i], before[i] = n-before[i], n
	}
	return h
}

func (h *histogram) add(other *histogram) {
	for i := range h {
		h[i] += other[i]
	}
}

// quantiles tells c the latencies.
func (h *histogram) quantiles(c *ServiceCounts) {
	var total uint64
	for _, n := range h {
		total += uint64(n)
	}
	if total == 0 {
		return
	}
	for _, q := range []struct {
		into     *float64
		thousand uint64
	}{{&c.P50, 500}, {&c.P99, 990}, {&c.P999, 999}} {
		rank := (total*q.thousand + 999) / 1000 // of the one that so many are not above
		for i, n := range h {
			if rank <= uint64(n) {
				*q.into = endOf(i)
				break
			}
			rank -= uint64(n)
		}
	}
}
