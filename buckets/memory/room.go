package memory

import (
	"container/heap"
	"slices"
	"strconv"

	"github.com/weir-rls/weir/buckets"
)

// bucket is one entry. It is in the queue while it is held, under the instant
// at which it was full when it was queued: taking moves that instant later, so
// the queue may have a bucket too early and puts it right when it comes to the
// front. That saves a sift on each request. What moves the instant earlier, a
// refund or a faster rate, is put right at once.
type bucket struct {
	key    string
	shared bool // an overflow bucket
	state  buckets.State
	queued int64 // full at this instant (microseconds), as of when it was queued
	place  int   // in the queue, or one of the following
}

const (
	notHeld   = -1 // held from the first write on
	neverHeld = -2
)

// maxShared bounds the overflow buckets. Rules have a bounded number of limits,
// but one that is sent with a request may have any numbers.
const maxShared = 4096

// place finds a bucket for a key that is not held: one of its own if there is
// room or can be made, else the overflow bucket of its limit. A key that was
// judged on that one until now owes no more than it does, so one of its own
// begins with what the overflow bucket owes.
func (s *Store) place(c buckets.Charge, inUse []*bucket, now int64) *bucket {
	if b := withKey(inUse, c.Key); b != nil {
		return b // an earlier charge of this request brought it
	}
	room := len(s.held) < s.max
	if room && s.shared == 0 {
		return s.newcomer(c.Key, c.Bucket, nil, now)
	}
	overflow := overflowKey(c)
	shared := s.held[overflow]
	if shared == nil {
		shared = withKey(inUse, overflow)
	}
	if room || s.makeRoom(inUse, now) {
		return s.newcomer(c.Key, c.Bucket, shared, now)
	}
	s.overflowed++
	switch {
	case shared != nil:
		return shared
	case s.shared >= maxShared:
		return &bucket{key: overflow, place: neverHeld, state: c.Bucket.State(c.Bucket.Full(), now)} // empty
	}
	b := s.newcomer(overflow, c.Bucket, nil, now)
	b.shared = true
	return b
}

// overflowKey is that of the bucket which a limit's keys share. Limits that
// come with requests have one name and many rates; those must not mix. No
// charge's key is like it: they begin with a brace.
func overflowKey(c buckets.Charge) string {
	b := append(make([]byte, 0, 128), "overflow "...)
	for _, n := range []int64{c.Bucket.Capacity, c.Bucket.TicksPerToken, c.Bucket.TicksPerQuantum, c.Bucket.Quantum} {
		b = append(strconv.AppendInt(b, n, 10), ' ')
	}
	return string(append(b, c.Limit...))
}

func withKey(inUse []*bucket, key string) *bucket {
	for _, b := range inUse {
		if b != nil && b.key == key {
			return b
		}
	}
	return nil
}

// makeRoom forgets the bucket that is soonest full, if that is near and no
// charge of this request is for it.
func (s *Store) makeRoom(inUse []*bucket, now int64) bool {
	soonest := s.nearlyFull(now)
	if soonest == nil || slices.Contains(inUse, soonest) {
		return false
	}
	s.owedUntil = max(s.owedUntil, soonest.state.FullAt())
	s.forget(soonest)
	return true
}

// newcomer is a bucket for a key that may have been forgotten while it owed
// tokens, at most what refills until owedUntil, or been judged on a shared
// bucket.
func (s *Store) newcomer(key string, limit buckets.TokenBucket, shared *bucket, now int64) *bucket {
	b := &bucket{key: key, place: notHeld}
	if limit.Capacity == 0 {
		return b
	}
	used := int64(0)
	if owed := s.owedUntil - now; owed > 0 {
		quanta := (owed-1)/limit.Quantum + 1
		used = limit.Full()
		if quanta < used/limit.TicksPerQuantum {
			used = quanta * limit.TicksPerQuantum
		}
	}
	if shared != nil {
		used = max(used, limit.Used(shared.state, now))
	}
	if used > 0 {
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
	case b.place == notHeld:
		b.queued = state.FullAt()
		s.held[b.key] = b
		heap.Push(&s.byFullAt, b)
		if b.shared {
			s.shared++
		}
	case earlier:
		s.requeue(b)
	}
}

// forget drops a held bucket; one that is not held needs nothing.
func (s *Store) forget(b *bucket) {
	if b.place >= 0 {
		heap.Remove(&s.byFullAt, b.place)
		delete(s.held, b.key)
		if b.shared {
			s.shared--
		}
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
	b.place = notHeld
	return b
}
