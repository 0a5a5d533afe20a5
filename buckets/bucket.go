package buckets

import "time"

// Bucket is how a bucket admits and how it recovers. There are five kinds:
// [TokenBucket], [FixedWindow], [SlidingWindow], [Slots] and [Breaker]. All count
// a level of used ticks, from 0 to Full, and admit a cost that fits above it; they
// differ in how the level falls. Stores switch on the kind.
type Bucket interface {
	Size() int64                // the capacity in tokens: what costs more is never admitted
	Unit() int64                // ticks a token
	Full() int64                // the capacity in ticks
	Remaining(used int64) int64 // whole tokens left at a level of used ticks
	Deepest() int64             // the largest level there can be, in ticks: full, and what it may owe

	// level brings s to now and tells the ticks used.
	level(s *State, now int64) int64
	// add takes ticks that were admitted; s is at now, as in what follows.
	add(s *State, c *Charge, ticks, now int64)
	// give gives ticks back, at most what c took.
	give(s *State, c *Charge, ticks, now int64)
	// settle takes ticks in any case, and tells those that it could not.
	settle(s *State, c *Charge, ticks, now int64) (lost int64)
	// delay is how long until over ticks more are free.
	delay(s *State, over, now int64) time.Duration
	// reset is how long until the level is 0.
	reset(s *State, now int64) time.Duration
	// until is the instant from which s says no more than an absent one.
	until(s *State) int64
	// owe raises the level to what is recovered from now until an instant.
	owe(s *State, until, now int64)
}

// State is what a store in this process keeps of one bucket between requests.
// The zero State is that of a bucket never seen. A State must not be copied
// while it is in use: see [State.Clone].
type State struct {
	token tokenLevel
	other otherState // of the kinds that are no token bucket
}

// otherState is what kinds other than token buckets keep.
type otherState interface {
	clone() otherState
	empty() bool
}

// Empty tells that there is nothing to keep.
func (s *State) Empty() bool {
	return !s.token.seen() && (s.other == nil || s.other.empty())
}

// Clone is a copy that shares nothing with s.
func (s *State) Clone() State {
	c := State{token: s.token}
	if s.other != nil {
		c.other = s.other.clone()
	}
	return c
}

// Until is the instant, in microseconds since the epoch, from which on s need not
// be kept: it says no more than the zero State.
func Until(b Bucket, s *State) int64 { return b.until(s) }

// Owe raises the level of s to at least what b recovers from now until the
// instant until (both in microseconds since the epoch): what a bucket may still
// have owed that was forgotten and would have been full by then. What does not
// recover little by little owes all it has.
func Owe(b Bucket, s *State, until, now int64) {
	if until > now {
		b.owe(s, until, now)
	}
}

// settleDown takes as much of ticks as b may owe, and tells the rest.
func settleDown(b Bucket, s *State, c *Charge, ticks, now int64) (lost int64) {
	taken := min(ticks, max(0, b.Deepest()-b.level(s, now)))
	b.add(s, c, taken, now)
	return ticks - taken
}
