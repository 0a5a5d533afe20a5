package guard

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// mostSeen is how many levels are remembered, of 32 bytes each: 2 MiB. A key takes the
// place of another with the same place, so what is asked often is known, and what is
// not may have to begin full.
const mostSeen = 1 << 16

// seen is where the buckets stood when the store answered last: where they begin when
// it does not answer any more, so that nobody who has used up his limit gets it anew.
type seen struct {
	seed   maphash.Seed
	start  time.Time
	locks  [256]sync.Mutex
	levels [mostSeen]level
}

// level is where a bucket stood.
type level struct {
	hash  uint64
	used  int64         // ticks
	at    time.Duration // since the start, from 1 on
	reset time.Duration // how long from then until it is full, if nobody takes anything
}

func newSeen() *seen { return &seen{seed: maphash.MakeSeed(), start: time.Now()} }

// now is this process's clock. It never goes back.
func (s *seen) now() time.Duration { return time.Since(s.start) + 1 }

// note remembers what the store answered.
func (s *seen) note(charges []buckets.Charge, outcomes []buckets.Outcome) {
	now := s.now()
	for i := range charges {
		if o := &outcomes[i]; charges[i].OnStoreError == buckets.Local && seeable(charges[i].Bucket) && !o.Blind {
			hash := maphash.String(s.seed, charges[i].Key)
			lock, at := s.place(hash)
			lock.Lock()
			*at = level{hash, o.Used, now, o.Reset}
			lock.Unlock()
		}
	}
}

// last is the level of key when the store answered last. at is 0 if it is not known.
func (s *seen) last(key string) level {
	hash := maphash.String(s.seed, key)
	lock, at := s.place(hash)
	lock.Lock()
	defer lock.Unlock()
	if at.hash != hash {
		return level{}
	}
	return *at
}

// drop forgets the level of key.
func (s *seen) drop(key string) {
	lock, at := s.place(maphash.String(s.seed, key))
	lock.Lock()
	*at = level{}
	lock.Unlock()
}

func (s *seen) place(hash uint64) (*sync.Mutex, *level) {
	return &s.locks[hash%uint64(len(s.locks))], &s.levels[hash%mostSeen]
}

// by is the ticks of l that are used still, at now, of a bucket b that nobody else has
// taken from.
func (l level) by(b buckets.Bucket, now time.Duration) int64 {
	passed := now - l.at
	switch b := b.(type) {
	case buckets.TokenBucket:
		if b.TicksPerQuantum == 0 {
			return 0
		}
		if quanta := passed.Microseconds() / b.Quantum; quanta <= l.used/b.TicksPerQuantum {
			return max(0, l.used-quanta*b.TicksPerQuantum)
		}
		return 0
	case buckets.Slots:
		if passed.Microseconds() >= b.TTL {
			return 0
		}
		return l.used
	}
	if passed >= l.reset {
		return 0
	}
	return l.used
}

// seeable tells whether the level of a bucket is worth to be known when the store is not
// there. A breaker stands for what one replica sees.
func seeable(b buckets.Bucket) bool {
	_, breaker := b.(buckets.Breaker)
	return !breaker
}
