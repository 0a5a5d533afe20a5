package buckets

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"
)

// MaxTicks bounds every level, cost and capacity. Redis computes in doubles,
// which hold each integer below 2^53 exactly; past it they would lose single
// ticks without a word.
const MaxTicks = 1<<53 - 1

// horizon is the last instant, in microseconds, at which bucket times are
// still promised to be exact: the year 2100.
const horizon = 4_102_444_800_000_000

// quanta are the clock resolutions a bucket may use, in microseconds, finest
// first. A coarser one is taken only where the numbers of a finer one would
// pass MaxTicks, because it overstates a delay by up to one quantum.
var quanta = [...]int64{1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 60_000_000}

// TokenBucket is a compiled token bucket: the generic cell rate algorithm
// (ITU-T I.371, virtual scheduling) on an exact rational rate.
//
// A rate of N tokens in a period D is counted in ticks. One token is P ticks,
// one clock quantum q refills R ticks, and both are integers: with Pq = D/q and
// g = gcd(Pq, N), P = Pq/g and R = N/g. At 10/s, q = 1us: Pq = 1,000,000,
// g = 10, so a token is 100,000 ticks and each microsecond refills one. At 7/s
// a token is 1,000,000 ticks and each microsecond refills seven: no remainder
// is ever dropped.
//
// The zero TokenBucket is closed: it refuses every cost of at least one token
// and stores nothing.
type TokenBucket struct {
	Capacity        int64 // B: whole tokens that a full bucket holds
	TicksPerToken   int64 // P
	TicksPerQuantum int64 // R
	Quantum         int64 // q: microseconds
}

// ErrInexact is returned for a rate that no clock quantum represents exactly.
var ErrInexact = errors.New("the rate cannot be represented exactly")

// NewTokenBucket compiles a bucket of capacity tokens that refills tokens in
// each period. A rate of 0 tokens gives the closed bucket. The period must be a
// positive number of whole microseconds; the error wraps [ErrInexact] where the
// numbers do not fit, and says which.
func NewTokenBucket(tokens int64, period time.Duration, capacity int64) (TokenBucket, error) {
	switch {
	case tokens < 0 || capacity < 0:
		return TokenBucket{}, fmt.Errorf("a rate of %d and a capacity of %d: neither may be negative", tokens, capacity)
	case tokens == 0:
		return TokenBucket{}, nil
	case capacity == 0:
		return TokenBucket{}, errors.New("a capacity of 0 tokens can admit nothing")
	case period <= 0 || period%time.Microsecond != 0:
		return TokenBucket{}, fmt.Errorf("a period of %v: %w: it must be a positive number of whole microseconds", period, ErrInexact)
	}
	micros := period.Microseconds()
	for _, q := range quanta {
		if micros%q != 0 {
			continue
		}
		g := gcd(micros/q, tokens)
		b := TokenBucket{Capacity: capacity, TicksPerToken: micros / q / g, TicksPerQuantum: tokens / g, Quantum: q}
		if b.fits() {
			return b, nil
		}
	}
	return TokenBucket{}, fmt.Errorf("%d tokens in %v with a capacity of %d: %w: choose a smaller capacity or a rounder rate",
		tokens, period, capacity, ErrInexact)
}

// fits tells whether every number that judging can meet stays exact. The factor
// of two is needed: a level of B*P is compared after a cost of up to B*P was
// added to it.
func (b TokenBucket) fits() bool {
	over, ticks := bits.Mul64(uint64(b.Capacity), uint64(b.TicksPerToken))
	if over != 0 || ticks > MaxTicks/2 || b.TicksPerQuantum > MaxTicks-2*int64(ticks) {
		return false
	}
	return horizon/b.Quantum+int64(ticks)/b.TicksPerQuantum < MaxTicks
}

// Full is the capacity in ticks, which is also the largest level.
func (b TokenBucket) Full() int64 { return b.Capacity * b.TicksPerToken }

// State is what a store keeps of one bucket between requests. The parameters
// are kept with the time, so that a changed rate carries the tokens used and
// not the time. The zero State is a full bucket, and so is an absent one.
type State struct {
	TAT  int64 // theoretical arrival time: the quantum, since the epoch, in which the bucket is full
	Part int64 // ticks of that quantum's refill still owed, below TicksPerQuantum

	TicksPerToken, TicksPerQuantum, Quantum int64 // the parameters that TAT and Part were written with
}

// Used is the bucket's level at now (microseconds since the epoch), in ticks
// taken and not yet refilled: 0 is full, [TokenBucket.Full] is empty.
//
// A state written under other parameters is converted, rounded up to the next
// tick. What exceeds the capacity, because it was lowered or because the clock
// went back, counts as empty: the two cannot be told apart, and neither may
// admit early.
func (b TokenBucket) Used(s State, now int64) int64 {
	if s.Quantum == 0 || b.Capacity == 0 {
		return 0
	}
	owed := s.TAT - now/s.Quantum
	if owed < 0 {
		return 0
	}
	if owed > (MaxTicks-s.Part)/s.TicksPerQuantum {
		return b.Full()
	}
	used := owed*s.TicksPerQuantum + s.Part
	if s.TicksPerToken != b.TicksPerToken || s.TicksPerQuantum != b.TicksPerQuantum || s.Quantum != b.Quantum {
		used = scaleUp(used, b.TicksPerToken, s.TicksPerToken)
	}
	return min(used, b.Full())
}

// State is what to store for a level of used ticks at now (microseconds since
// the epoch). A store forgets a bucket whose level is 0 instead.
func (b TokenBucket) State(used, now int64) State {
	whole := used / b.TicksPerQuantum
	return State{
		TAT: now/b.Quantum + whole, Part: used - whole*b.TicksPerQuantum,
		TicksPerToken: b.TicksPerToken, TicksPerQuantum: b.TicksPerQuantum, Quantum: b.Quantum,
	}
}

// FullAt is the instant, in microseconds since the epoch, by which the bucket
// is full again, or the last one there is.
func (s State) FullAt() int64 {
	if s.Quantum > 0 && s.TAT >= math.MaxInt64/s.Quantum {
		return math.MaxInt64 // 2^31 tokens at one a day take longer than 292,000 years
	}
	return (s.TAT + 1) * s.Quantum
}

// Remaining is the number of whole tokens left at a level of used ticks.
func (b TokenBucket) Remaining(used int64) int64 {
	if b.Capacity == 0 {
		return 0
	}
	return (b.Full() - used) / b.TicksPerToken
}

// Refill is how long the bucket takes to refill ticks, rounded up to its clock
// quantum: the delay for a shortfall, the time until full for a level.
func (b TokenBucket) Refill(ticks int64) time.Duration {
	if ticks <= 0 || b.TicksPerQuantum == 0 {
		return 0
	}
	count := (ticks-1)/b.TicksPerQuantum + 1
	if count > math.MaxInt64/1000/b.Quantum {
		return math.MaxInt64
	}
	return time.Duration(count*b.Quantum) * time.Microsecond
}

// scaleUp is ceil(ticks*to/from), or more than any level where that would
// overflow. The product of two levels needs 106 bits.
func scaleUp(ticks, to, from int64) int64 {
	high, low := bits.Mul64(uint64(ticks), uint64(to))
	if high >= uint64(from) {
		return math.MaxInt64
	}
	quotient, remainder := bits.Div64(high, low, uint64(from))
	if quotient > MaxTicks {
		return math.MaxInt64
	}
	if remainder > 0 {
		quotient++
	}
	return int64(quotient)
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
