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

	Missing int64 // ticks used of a bucket never seen; 0 starts full
	Debt    int64 // ticks beyond a full bucket that a settlement may take
	Ahead   int64 // ticks beyond a full bucket that callers who wait may reserve
	Kept    int64 // ticks used beyond a full bucket that stay used when the capacity is lowered
}

// Terms are a token bucket as a rule states it: Tokens refill in each Period, and
// Capacity is what it holds. A rate of 0 tokens gives the closed bucket.
type Terms struct {
	Tokens   int64
	Period   time.Duration // a positive number of whole microseconds
	Capacity int64
	Missing  int64         // tokens that a bucket never seen lacks, 0: it is full
	MaxDebt  int64         // tokens that a settlement may overdraw
	MaxWait  time.Duration // how far ahead callers may reserve
	Kept     int64         // tokens used beyond Capacity, while it was larger, that stay used
}

// ErrInexact is returned for a rate that no clock quantum represents exactly.
var ErrInexact = errors.New("the rate cannot be represented exactly")

// NewTokenBucket compiles a bucket that starts full and never owes.
func NewTokenBucket(tokens int64, period time.Duration, capacity int64) (TokenBucket, error) {
	return Terms{Tokens: tokens, Period: period, Capacity: capacity}.TokenBucket()
}

// TokenBucket compiles the terms. The error wraps [ErrInexact] where the numbers
// do not fit, and says which.
func (t Terms) TokenBucket() (TokenBucket, error) {
	if t.Tokens == 0 && t.Capacity >= 0 {
		return TokenBucket{}, nil
	}
	if err := t.check(); err != nil {
		return TokenBucket{}, err
	}
	for _, q := range quanta {
		if t.Period.Microseconds()%q != 0 {
			continue
		}
		ticks := t.Period.Microseconds() / q
		g := gcd(ticks, t.Tokens)
		if b, ok := t.in(ticks/g, t.Tokens/g, q); ok {
			return b, nil
		}
	}
	return TokenBucket{}, t.inexact()
}

func (t Terms) check() error {
	switch {
	case t.Tokens < 0 || t.Capacity < 0:
		return fmt.Errorf("a rate of %d and a capacity of %d: neither may be negative", t.Tokens, t.Capacity)
	case t.Capacity == 0:
		return errors.New("a capacity of 0 tokens can admit nothing")
	case t.Missing < 0 || t.Missing > t.Capacity || t.MaxDebt < 0 || t.MaxWait < 0 || t.Kept < 0:
		return fmt.Errorf("a debt of %d tokens, a wait of %v, %d tokens kept, or %d missing of %d: out of range", t.MaxDebt, t.MaxWait, t.Kept, t.Missing, t.Capacity)
	case t.Period <= 0 || t.Period%time.Microsecond != 0:
		return fmt.Errorf("a period of %v: %w: it must be a positive number of whole microseconds", t.Period, ErrInexact)
	}
	return nil
}

func (t Terms) inexact() error {
	return fmt.Errorf("%d tokens in %v with a capacity of %d: %w: choose a smaller capacity or a rounder rate",
		t.Tokens, t.Period, t.Capacity, ErrInexact)
}

// in is the bucket counted in ticks of which perToken are a token and perQuantum
// refill in each quantum, and whether every number that judging can meet stays
// exact. The factor of two is needed: a level of B*P is compared after a cost of
// up to B*P was added to it.
func (t Terms) in(perToken, perQuantum, quantum int64) (TokenBucket, bool) {
	b := TokenBucket{Capacity: t.Capacity, TicksPerToken: perToken, TicksPerQuantum: perQuantum, Quantum: quantum}
	full, fits := times(t.Capacity, perToken)
	debt, fitsDebt := times(t.MaxDebt, perToken)
	ahead, fitsAhead := times(t.MaxWait.Microseconds()/quantum, perQuantum)
	kept, fitsKept := times(t.Kept, perToken)
	if !fits || !fitsDebt || !fitsAhead || !fitsKept {
		return b, false
	}
	deepest := full + max(debt, ahead, kept)
	if deepest > MaxTicks/2 || perQuantum > MaxTicks-2*deepest || horizon/quantum+deepest/perQuantum >= MaxTicks {
		return b, false
	}
	b.Missing, b.Debt, b.Ahead, b.Kept = t.Missing*perToken, debt, ahead, kept
	return b, true
}

// times is a*b, and whether it is at most half of [MaxTicks].
func times(a, b int64) (int64, bool) {
	high, low := bits.Mul64(uint64(a), uint64(b))
	return int64(low), high == 0 && low <= MaxTicks/2
}

// Full is the capacity in ticks.
func (b TokenBucket) Full() int64 { return b.Capacity * b.TicksPerToken }

// Size implements [Bucket].
func (b TokenBucket) Size() int64 { return b.Capacity }

// Unit implements [Bucket].
func (b TokenBucket) Unit() int64 { return max(b.TicksPerToken, 1) }

// Deepest implements [Bucket].
func (b TokenBucket) Deepest() int64 { return b.Full() + max(b.Debt, b.Ahead, b.Kept) }

// Remaining is the number of whole tokens left at a level of used ticks.
func (b TokenBucket) Remaining(used int64) int64 {
	if b.Capacity == 0 {
		return 0
	}
	return max(0, b.Full()-used) / b.TicksPerToken
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

// NextToken is how long until a bucket at a level of used ticks has one whole token
// more, 0 where it is full.
func (b TokenBucket) NextToken(used int64) time.Duration {
	if used <= 0 || b.Capacity == 0 {
		return 0
	}
	over := used - b.Full() // what is owed must be there first
	if over < 0 {
		over = -(-over % b.TicksPerToken)
	}
	return b.Refill(over + b.TicksPerToken)
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
