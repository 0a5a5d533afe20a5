package memory

import (
	"container/heap"
	"slices"

	"github.com/weir-rls/weir/buckets"
)

// bucket is one entry. It is in the queue while it is held, under the instant
// at which it was full when it was queued: taking moves that instant later, so
// the queue may have a bucket too early and puts it right when it comes to the
// front. That saves a sift on each request. What moves the instant earlier, a
// refund or a faster rate, is put right at once.
type bucket struct {
	key    string
	state  buckets.State
	queued int64 // full at this instant (microseconds), as of when it was queued
	place  int   // in the queue, -1 if it is in none
}

// place finds a bucket for a key that is not held: its limit's overflow bucket
// where there is no room, else one that is held from its first write on.
func (s *Store) place(c buckets.Charge, inUse []*bucket, now int64) *bucket {
	overflow := "overflow " + c.Limit // no charge's key: those begin with a brace
	for _, b := range inUse {
		if b != nil && (b.key == c.Key || b.key == overflow) {
			return b // an earlier charge of this request brought it
		}
	}
	if c.Mode == buckets.Refund {
		return s.newcomer(c.Key, c.Bucket, now) // what comes back is the key's own, not everybody's
	}
	if shared := s.held[overflow]; shared != nil && shared.state.FullAt() > now {
		s.overflowed++
		return shared
	}
	if len(s.held) < s.max {
		return s.newcomer(c.Key, c.Bucket, now)
	}
	soonest := s.nearlyFull(now)
	if soonest == nil || slices.Contains(inUse, soonest) {
		s.overflowed++
		return s.newcomer(overflow, c.Bucket, now)
	}
	s.owedUntil = max(s.owedUntil, soonest.state.FullAt())
	s.forget(soonest)
	return s.newcomer(c.Key, c.Bucket, now)
}

// newcomer is a bucket for a key that may have been forgotten while it owed
// tokens: at most what refills until owedUntil.
func (s *Store) newcomer(key string, limit buckets.TokenBucket, now int64) *bucket {
	b := &bucket{key: key, place: -1}
	if owed := s.owedUntil - now; owed > 0 && limit.Capacity > 0 {
		quanta := (owed-1)/limit.Quantum + 1
		used := limit.Full()
		if quanta < used/limit.TicksPerQuantum {
			used = quanta * limit.TicksPerQuantum
		}
		b.state = limit.State(used, now)
	}
	return b
}

// write stores a bucket's level, or forgets the bucket when it is full. A level
// that was converted from another rate, or cut to a lowered capacity, is stored
// even where the request was refused: else it would go on refilling at the old
// rate, and the delay that the caller was told would not hold.
func (s *Store) write(b *bucket, limit buckets.TokenBucket, used, now int64) {
	switch {
	case limit.Capacity == 0: // closed for a while; what the bucket owes is kept for when it opens
		return
	case used == 0:
		s.forget(b)
		return
	}
	state := limit.State(used, now)
	if state == b.state {
		return
	}
	earlier := state.FullAt() < b.queued
	b.state = state
	switch {
	case b.place < 0:
		b.queued = state.FullAt()
		s.held[b.key] = b
		heap.Push(&s.byFullAt, b)
	case earlier:
		s.requeue(b)
	}
}

// forget drops a held bucket; one that is not held needs nothing.
func (s *Store) forget(b *bucket) {
	if b.place >= 0 {
		heap.Remove(&s.byFullAt, b.place)
		delete(s.held, b.key)
	}
}

// maxSifts bounds what one call does for buckets that are not its own: many may
// fill, or have to be put right, at the same instant, and all callers wait.
const maxSifts = 4 * buckets.MaxCharges

// forgetFull drops buckets that are full at now, at most limit of them.
func (s *Store) forgetFull(now int64, limit int) {
	for ; limit > 0 && len(s.byFullAt) > 0 && s.byFullAt[0].queued <= now; limit-- {
		if b := s.byFullAt[0]; b.state.FullAt() <= now {
			s.forget(b)
		} else {
			s.requeue(b)
		}
	}
}

// nearlyFull is the held bucket that is full before all others, if that is near
// and found at once.
func (s *Store) nearlyFull(now int64) *bucket {
	for range maxSifts {
		b := s.byFullAt[0]
		switch {
		case b.queued-now > nearFull.Microseconds():
			return nil
		case b.state.FullAt() <= b.queued:
			return b
		}
		s.requeue(b)
	}
	return nil
}

func (s *Store) requeue(b *bucket) {
	b.queued = b.state.FullAt()
	heap.Fix(&s.byFullAt, b.place)
}

// queue is a heap of buckets, the one queued as soonest full first.
type queue []*bucket

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].queued < q[j].queued }

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

// Push implements [heap.Interface].
func (q *queue) Push(x any) {
	b := x.(*bucket)
	b.place = len(*q)
	*q = append(*q, b)
}

// Pop implements [heap.Interface].
func (q *queue) Pop() any {
	last := len(*q) - 1
	b := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	b.place = -1
	return b
}
