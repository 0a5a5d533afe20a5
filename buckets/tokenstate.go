package buckets

import (
	"math"
	"time"
	"unique"
)

// TokenState is what is kept of one token bucket between requests. The
// parameters are kept with the time, so that a changed rate carries the tokens
// used and not the time. The zero TokenState is a bucket never seen.
type TokenState struct {
	Place
	TicksPerToken, TicksPerQuantum, Quantum int64 // the parameters that the place was written with
}

// rate is how a token bucket counts.
type rate struct{ TicksPerToken, TicksPerQuantum, Quantum int64 }

// tokenLevel is a [TokenState] in 24 bytes instead of 40: buckets of one rate share
// it. Package unique forgets a rate with its last bucket, so rates that come with
// requests do not pile up. The zero tokenLevel is a bucket never seen.
type tokenLevel struct {
	Place
	rate unique.Handle[rate]
}

func (l tokenLevel) seen() bool { return l.rate != unique.Handle[rate]{} }

func (l tokenLevel) state() TokenState {
	if !l.seen() {
		return TokenState{}
	}
	r := l.rate.Value()
	return TokenState{l.Place, r.TicksPerToken, r.TicksPerQuantum, r.Quantum}
}

// set makes l say what s says, a bucket that was seen.
func (l *tokenLevel) set(s TokenState) {
	l.Place = s.Place
	r := rate{s.TicksPerToken, s.TicksPerQuantum, s.Quantum}
	if !l.seen() || l.rate.Value() != r {
		l.rate = unique.Make(r)
	}
}

// Place is a point in a token bucket's time line: where its level ends, or a
// reservation.
type Place struct {
	TAT  int64 // theoretical arrival time: the quantum, since the epoch, in which the bucket is full
	Part int64 // ticks of that quantum's refill still owed, below TicksPerQuantum
}

// Used is the bucket's level at now (microseconds since the epoch), in ticks
// taken and not yet refilled: 0 is full, [TokenBucket.Full] is empty, and above it is what the bucket owes.
//
// A state written under other parameters is converted, rounded up to the next
// tick. What exceeds the capacity and what the bucket may owe, because it was
// lowered or because the clock went back, counts as the most it may owe: the two
// cannot be told apart, and neither may admit early.
func (b TokenBucket) Used(s TokenState, now int64) int64 {
	switch {
	case b.Capacity == 0:
		return 0
	case s.Quantum == 0:
		return b.Missing
	}
	owed := s.TAT - now/s.Quantum
	if owed < 0 {
		return 0
	}
	if owed > (MaxTicks-s.Part)/s.TicksPerQuantum {
		return b.Deepest()
	}
	used := owed*s.TicksPerQuantum + s.Part
	if s.TicksPerToken != b.TicksPerToken || s.TicksPerQuantum != b.TicksPerQuantum || s.Quantum != b.Quantum {
		used = scaleUp(used, b.TicksPerToken, s.TicksPerToken)
	}
	return min(used, b.Deepest())
}

// State is what to store for a level of used ticks at now (microseconds since
// the epoch). A store forgets a bucket whose level is 0 instead, unless one never
// seen lacks tokens.
func (b TokenBucket) State(used, now int64) TokenState {
	whole := used / b.TicksPerQuantum
	return TokenState{
		Place:         Place{TAT: now/b.Quantum + whole, Part: used - whole*b.TicksPerQuantum},
		TicksPerToken: b.TicksPerToken, TicksPerQuantum: b.TicksPerQuantum, Quantum: b.Quantum,
	}
}

// FullAt is the instant, in microseconds since the epoch, by which the bucket
// is full again, or the last one there is.
func (s TokenState) FullAt() int64 {
	if s.Quantum > 0 && s.TAT >= math.MaxInt64/s.Quantum {
		return math.MaxInt64 // 2^31 tokens at one a day take longer than 292,000 years
	}
	return (s.TAT + 1) * s.Quantum
}

// idle is how much longer than until it is full a bucket is remembered whose
// first tokens are missing: forgotten, it would start without them again.
const idle = int64(time.Hour / time.Microsecond)

func (b TokenBucket) level(s *State, now int64) int64 {
	if b.Capacity == 0 { // closed for a while; what the bucket owes is kept for when it opens
		return 0
	}
	if b.Missing == 0 && !s.token.seen() {
		return 0
	}
	held := s.token.state()
	used := b.Used(held, now)
	if used == 0 || used == b.Deepest() || held.TicksPerToken != b.TicksPerToken || held.TicksPerQuantum != b.TicksPerQuantum || held.Quantum != b.Quantum {
		b.put(s, used, now) // else s says so already
	}
	return used
}

func (b TokenBucket) put(s *State, used, now int64) {
	if used > 0 || b.Missing > 0 {
		s.token.set(b.State(used, now))
		return
	}
	s.token = tokenLevel{}
}

func (b TokenBucket) add(s *State, _ *Charge, ticks, now int64) {
	if ticks > 0 && b.Capacity > 0 {
		b.put(s, b.Used(s.token.state(), now)+ticks, now)
	}
}

// returnable is what may be given back at now of ticks that were taken at an
// instant, if that is known. What the bucket has refilled since may have gone to
// somebody already, had it not been for this take: given back too it would let a
// second lot pass in the same window.
func (b TokenBucket) returnable(ticks, at, now int64) int64 {
	if at == 0 || b.Capacity == 0 {
		return ticks
	}
	quanta := max(0, now/b.Quantum-at/b.Quantum)
	if quanta > ticks/b.TicksPerQuantum {
		return 0
	}
	return ticks - quanta*b.TicksPerQuantum
}

// give returns tokens to whoever asks next, at once.
func (b TokenBucket) give(s *State, _ *Charge, ticks, now int64) {
	if b.Capacity == 0 {
		return
	}
	b.put(s, max(0, b.Used(s.token.state(), now)-ticks), now)
}

func (b TokenBucket) settle(s *State, _ *Charge, ticks, now int64) (lost int64) {
	if b.Capacity == 0 {
		return ticks
	}
	used := b.Used(s.token.state(), now)
	taken := min(ticks, max(0, b.Full()+b.Debt-used))
	b.put(s, used+taken, now)
	return ticks - taken
}

// cancel gives up the reservation c.Place, if it is the bucket's last: giving
// back an earlier one would move up those who reserved after it, whose callers
// wait for the time they were told.
func cancel(c *Charge, s *State, ticks, now int64) bool {
	b, ok := c.Bucket.(TokenBucket)
	if !ok || b.Capacity == 0 || s.token.Place != c.Place || !s.token.seen() {
		return false
	}
	b.put(s, max(0, b.Used(s.token.state(), now)-ticks), now)
	return true
}

func (b TokenBucket) delay(_ *State, over, _ int64) time.Duration {
	return b.Refill(over)
}

func (b TokenBucket) reset(s *State, now int64) time.Duration {
	return b.Refill(b.Used(s.token.state(), now))
}

func (b TokenBucket) until(s *State) int64 {
	full := s.token.state().FullAt()
	if b.Missing > 0 && s.token.seen() && full < math.MaxInt64-idle {
		return full + idle
	}
	return full
}

func (b TokenBucket) owe(s *State, until, now int64) {
	if b.Capacity == 0 {
		return
	}
	owed, quanta := b.Full(), (until-now-1)/b.Quantum+1
	if quanta < owed/b.TicksPerQuantum {
		owed = quanta * b.TicksPerQuantum
	}
	if b.Used(s.token.state(), now) < owed {
		b.put(s, owed, now)
	}
}
