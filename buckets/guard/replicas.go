package guard

import (
	"sync"
	"time"
)

// BeatEvery is how often a replica has to say that it is alive, for [Replicas].
const BeatEvery = 500 * time.Millisecond

const (
	// staleBeat is the age from which what the last heartbeat told is not relied on:
	// one may be lost.
	staleBeat = 2 * BeatEvery
	// settled is how long a replica beats before it relies on what it is told: all others
	// beat again within staleBeat, or rely on nothing, and the heartbeat that it goes by then was
	// not sent before that. It matters where Redis has just lost its memory.
	settled = 2 * staleBeat
	// stands is how long a larger count stands. A Redis that lost its memory counts from one:
	// all others beat again within staleBeat, or rely on nothing, and as long may pass from
	// this one's last heartbeat before that to it, and from then to the next that tells.
	stands = 3 * staleBeat
)

// Replicas is how many replicas share the buckets, never less than those that rely
// on it, from the answers to this one's heartbeats.
type Replicas struct {
	mu    sync.Mutex
	since time.Duration // the first heartbeat after which none was missed
	beats []beat        // those of the last time that a count stands, oldest first
}

type beat struct {
	sent  time.Duration
	count int64
}

// Heard is told of each heartbeat that was answered: when it was sent, on a clock
// that never goes back, and how many replicas were alive.
func (r *Replicas) Heard(sent time.Duration, count int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.beats) == 0 || sent-r.beats[len(r.beats)-1].sent > staleBeat {
		r.since = sent
	}
	for len(r.beats) > 0 && sent-r.beats[0].sent > stands {
		r.beats = r.beats[1:]
	}
	r.beats = append(r.beats, beat{sent, count})
}

// Last is how many replicas there were when somebody could tell, 0: nobody could yet.
func (r *Replicas) Last() (count int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.beats {
		count = max(count, b.count)
	}
	return count
}

// Count is how many replicas there are, at least 1, or 0: nobody knows.
func (r *Replicas) Count(now time.Duration) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.beats) == 0 || now-r.beats[len(r.beats)-1].sent > staleBeat || now-r.since < settled {
		return 0
	}
	count := int64(1)
	for _, b := range r.beats {
		count = max(count, b.count)
	}
	return count
}
