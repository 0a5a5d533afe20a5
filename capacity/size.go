package capacity

import (
	"math/bits"
	"time"

	"github.com/weir-rls/weir/descriptors"
)

const (
	// whole is the factor of a pool that no failure has shrunk: factors are counted
	// in millionths.
	whole = 1_000_000
	// thousandths of a token or slot are what a size is computed in: one that may rise
	// by half a token a second does so every other second.
	thousandths = 1000

	fewest   = 20 // streams that end in an interval: of fewer, the share that failed says nothing
	defStep  = 10 // percent a second, of a pool that states no instances
	mostStep = 10 * time.Second
)

// clamp is what the units of all instances make a pool, before failures.
func clamp(i *descriptors.Instances, units int64) int64 {
	return max(i.Min, min(units, i.Max))
}

// shrunk is target times factor, in thousandths.
func shrunk(target, factor int64) int64 { return inProportion(target, factor, whole/thousandths) }

// step brings a size, in thousandths, to where it is to be: down at once, up by at
// most percent of the stated size for each second that has elapsed. A replica that
// slept makes up for at most 10 s.
func step(size, to, stated, percent int64, elapsed time.Duration) int64 {
	if to <= size {
		return to
	}
	// stated x 1000 x percent/100 for each 1000 ms.
	rise := inProportion(stated*percent, max(0, min(elapsed, mostStep)).Milliseconds(), 100)
	return min(to, size+min(rise, to-size))
}

// counts are what became of a pool's requests.
type counts struct {
	ended   int64 // streams whose end was told
	bad     int64 // of them, those that failed
	limited int64 // requests that the pool refused
}

func (c counts) minus(d counts) counts {
	return counts{c.ended - d.ended, c.bad - d.bad, c.limited - d.limited}
}

// adjust is the factor after an interval: a tenth less where more of what ended
// has failed than the rules allow, and two hundredths of the whole more where the
// pool has refused somebody, for only then more would be used (D.-M. Chiu and R.
// Jain, Analysis of the increase and decrease algorithms for congestion avoidance
// in computer networks, 1989).
func adjust(factor int64, b *descriptors.Feedback, c counts) int64 {
	lowest := b.MinPercent * (whole / 100)
	switch {
	case b.Freeze:
	case c.ended >= fewest && c.bad > c.ended*b.BadPercent/100:
		factor -= factor / 10
	case c.limited > 0:
		factor += whole / 50
	}
	return max(lowest, min(factor, whole))
}

// bad tells whether a response status is a failure of the backends: they broke, or
// took too long (5xx), or refuse more (429). A stream without one (0) says nothing,
// because its client left.
func bad(status int64) (failed, says bool) {
	return status >= 500 || status == 429, status > 0
}

// inProportion is floor(a*b/c), or the largest number there is.
func inProportion(a, b, c int64) int64 {
	high, low := bits.Mul64(uint64(a), uint64(b))
	if high >= uint64(c) {
		return 1<<63 - 1
	}
	quotient, _ := bits.Div64(high, low, uint64(c))
	return int64(min(quotient, 1<<63-1))
}
