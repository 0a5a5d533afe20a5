package ads

import (
	"cmp"
	"time"
)

// Backoff is how long a client pauses before it connects anew. What is 0 is as stated in
// brackets.
type Backoff struct {
	First   time.Duration // after one failure [500 ms]; after each further one twice as long,
	Longest time.Duration // up to this [30 s]
	Refused time.Duration // in place of those while nobody can be connected to [as those]

	// Spread is the share, up to 1, by which each pause is shorter at most, by chance, so that
	// the replicas of a fleet do not come back together [0.5]; below 0: all are as long as stated.
	Spread float64
}

// whole is b with what it does not state.
func (b Backoff) whole() Backoff {
	b.First = cmp.Or(b.First, 500*time.Millisecond)
	b.Longest = max(cmp.Or(b.Longest, 30*time.Second), b.First)
	b.Spread = min(max(cmp.Or(b.Spread, 0.5), 0), 1)
	return b
}

// leastPause is that of a client that nobody told to wait for longer: a server that fails
// at once would be asked without end.
const leastPause = 10 * time.Millisecond

// pause is how long to wait after so many failures before the last one, which came after a
// connection or for want of one; chance is in [0, 1).
func (b Backoff) pause(failures int, connected bool, chance float64) time.Duration {
	pause := b.First
	for ; failures > 0 && pause < b.Longest; failures-- {
		if pause *= 2; pause > b.Longest || pause <= 0 { // which no number holds
			pause = b.Longest
		}
	}
	if !connected && b.Refused > 0 {
		pause = b.Refused
	}
	return max(pause-time.Duration(chance*b.Spread*float64(pause)), leastPause)
}
