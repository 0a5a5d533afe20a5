// Package memory keeps buckets in this process. It is the store of a single
// replica, and what a replica falls back on when its shared store is away.
package memory

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// DefaultMaxBuckets is the cap that [New] uses where none is given: 159 MB of
// live heap with keys of 63 bytes.
const DefaultMaxBuckets = 1_000_000

// nearFull is how far from full a bucket may be and still make room for another
// once the store is at its cap.
const nearFull = 100 * time.Millisecond

// Options are a store's settings. The zero value is usable.
type Options struct {
	MaxBuckets int              // most buckets held, 0: [DefaultMaxBuckets]
	Now        func() time.Time // the clock, nil: the machine's, which then never steps back
}

// Store holds buckets in memory, in a bounded number.
//
// A full bucket is the same as an absent one, so it is forgotten. At the cap
// the bucket that is soonest full makes room, if it is within 100 ms of full;
// else new keys share one overflow bucket for each limit until there is room.
//
// Whoever can choose the keys can rotate them, and must not get back the tokens
// of a key by making the store forget it. So what a forgotten bucket still owed
// is remembered for all of them together, as the latest instant at which any of
// them would have been full: a key that is not held is judged as if it owed its
// refill up to there. And a key that was judged on an overflow bucket takes what
// that one owes along into a bucket of its own. A newcomer may so be judged too
// harshly for a while, never an attacker too mildly.
type Store struct {
	max   int
	clock func() int64 // microseconds since the epoch

	mu         sync.Mutex
	table      table
	byFullAt   slab[uint32] // the buckets held, as a heap
	owedUntil  int64        // no forgotten bucket is full later than this
	shared     int          // how many of those held are overflow buckets
	overflowed uint64
	seats      seats // of the call that is made
}

var (
	_ buckets.Store     = (*Store)(nil)
	_ buckets.Forgetter = (*Store)(nil)
)

// New returns an empty store.
func New(o Options) *Store {
	if o.MaxBuckets <= 0 {
		o.MaxBuckets = DefaultMaxBuckets
	}
	clock := steadyClock()
	if o.Now != nil {
		clock = func() int64 { return o.Now().UnixMicro() }
	}
	s := &Store{max: o.MaxBuckets, clock: clock, table: newTable()}
	s.seats.store = s
	return s
}

// steadyClock reads the machine's clock once and counts on monotonically, so
// that an administrator who sets the clock back locks nobody out.
func steadyClock() func() int64 {
	start := time.Now()
	micros := start.UnixMicro()
	return func() int64 { return micros + time.Since(start).Microseconds() }
}

// Take implements [buckets.Store]. It fails only for too many charges.
func (s *Store) Take(_ context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
	if len(charges) > buckets.MaxCharges {
		return nil, fmt.Errorf("%d charges in one call, at most %d are allowed", len(charges), buckets.MaxCharges)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock()
	s.forgetFull(now, maxSifts)

	t := &s.seats
	t.now, t.taken = now, t.taken[:0]
	for i := range charges {
		c := &charges[i]
		t.find(c.Key)
		if c.Class != nil {
			t.find(c.ClassKey)
		}
	}
	own := false // charges is a copy, no more the caller's
	var states, classes [buckets.MaxCharges]*buckets.State
	for i, c := range charges {
		b := t.seat(c.Key, c.Limit, c.Bucket)
		states[i] = &b.state
		key, classKey := b.key, c.ClassKey
		if c.Class != nil {
			class := t.seat(c.ClassKey, classOf(&c), c.Class.Guarantee)
			classes[i], classKey = &class.state, class.key
		}
		if key != c.Key || classKey != c.ClassKey { // judged on its limit's overflow bucket, beside others perhaps
			if !own {
				charges, own = slices.Clone(charges), true
			}
			charges[i].Key, charges[i].ClassKey = key, classKey
		}
	}
	outcomes := buckets.Judge(charges, states[:len(charges)], classes[:len(charges)], now)
	t.write()
	return outcomes, nil
}

// Forget implements [buckets.Forgetter]. It never fails. At the cap a forgotten
// bucket is judged like any that is not held: what its limit's overflow bucket owes
// is of others too.
func (s *Store) Forget(_ context.Context, keys []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		if b := s.table.get(key); b != nil {
			s.forget(b)
		}
	}
	return nil
}

// Held is the number of buckets held now, those that are full not counted.
func (s *Store) Held() int {
	now := s.clock()
	for {
		held, more := s.sweep(now)
		if !more {
			return held
		}
	}
}

// sweep forgets some full buckets and tells how many are held then. It keeps
// the lock for about 0.2 ms of a million held, because requests wait for it.
func (s *Store) sweep(now int64) (held int, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetFull(now, 128)
	soonest := s.first()
	return s.table.size, soonest != nil && soonest.queued <= now
}

// Overflowed counts the charges that were judged on an overflow bucket.
func (s *Store) Overflowed() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.overflowed
}
