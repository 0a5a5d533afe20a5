package memory

import (
	"fmt"
	"math"
	"strings"

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
	full   int64  // from this instant on (microseconds) it is as good as absent
	queued int64  // full at this instant (microseconds), as of when it was queued
	place  int32  // in the queue, or one of the following
	id     uint32 // its number in the table
	next   uint32 // the number of the next entry of its chain, 0: none
	shared bool   // an overflow bucket
}

const (
	notHeld   = -1 // held from the first write on
	neverHeld = -2
)

// maxShared bounds the overflow buckets. Rules have a bounded number of limits,
// but one that is sent with a request may have any numbers.
const maxShared = 4096

// seats are the buckets of one call while it is made. There are few, so they are
// found by looking at each.
type seats struct {
	store *Store
	now   int64
	taken []seat
}

// seat is one bucket and what it is a bucket of.
type seat struct {
	*bucket
	kind buckets.Bucket
	key  string // of the charge; an overflow bucket's own is another
}

// find takes a bucket that is held, before any of the call makes room for another.
func (t *seats) find(key string) {
	if b := t.store.table.get(key); b != nil && t.withKey(key) == nil {
		t.taken = append(t.taken, seat{bucket: b, key: key})
	}
}

// seat is the bucket of a key, its own or its limit's overflow bucket.
func (t *seats) seat(key, limit string, kind buckets.Bucket) *bucket {
	if s := t.withKey(key); s != nil {
		s.kind = kind
		return s.bucket
	}
	b := t.place(key, limit, kind)
	if s := t.withKey(b.key); s != nil {
		s.kind = kind
		return b
	}
	t.taken = append(t.taken, seat{b, kind, b.key})
	return b
}

func (t *seats) withKey(key string) *seat {
	for i := range t.taken {
		if t.taken[i].key == key {
			return &t.taken[i]
		}
	}
	return nil
}

// write stores what the call has changed, and leaves the seats to the next.
func (t *seats) write() {
	for i := range t.taken {
		s := &t.taken[i]
		if s.kind != nil {
			t.store.write(s.bucket, s.kind)
		}
		if s.place < 0 {
			t.store.table.release(s.bucket)
		}
	}
	clear(t.taken) // nothing of the call is kept alive
	t.taken = t.taken[:0]
}

// place finds a bucket for a key that is not held: one of its own if there is
// room or can be made, else the overflow bucket of its limit. A key that was
// judged on that one until now owes no more than it does, so one of its own
// begins with what the overflow bucket owes.
func (t *seats) place(key, limit string, kind buckets.Bucket) *bucket {
	s := t.store
	room := s.table.size < s.max
	if room && s.shared == 0 {
		return s.newcomer(key, kind, nil, t.now)
	}
	overflow := overflowKey(limit, kind)
	shared := s.table.get(overflow)
	if shared == nil {
		if seat := t.withKey(overflow); seat != nil {
			shared = seat.bucket
		}
	}
	if room || t.makeRoom() {
		return s.newcomer(key, kind, shared, t.now)
	}
	s.overflowed++
	if shared != nil {
		return shared
	}
	b := s.newcomer(overflow, kind, nil, t.now)
	b.shared = true
	if s.shared >= maxShared {
		b.place = neverHeld
		buckets.Owe(kind, &b.state, math.MaxInt64, t.now) // all it has
	}
	return b
}

// overflowKey is that of the bucket which a limit's keys share. A limit that
// became another kind of bucket has another one. No charge's key is like it: none
// begins with this word.
func overflowKey(limit string, kind buckets.Bucket) string {
	return fmt.Sprintf("overflow %T %s", kind, limit)
}

// classOf names what the guarantee of a pool's class belongs to. Its key is that of
// the pool, and behind it the class.
func classOf(c *buckets.Charge) string {
	return "class " + strings.TrimPrefix(c.ClassKey, c.Key) + " of " + c.Limit
}

// makeRoom forgets the bucket that is soonest full, if that is near and no
// charge of this call is for it.
func (t *seats) makeRoom() bool {
	s := t.store
	soonest := s.nearlyFull(t.now)
	if soonest == nil || t.withKey(soonest.key) != nil {
		return false
	}
	s.owedUntil = max(s.owedUntil, soonest.full)
	s.forget(soonest)
	return true
}

// newcomer is a bucket for a key that may have been forgotten while it owed
// tokens, at most what it recovers until owedUntil, or been judged on a shared
// bucket.
func (s *Store) newcomer(key string, kind buckets.Bucket, shared *bucket, now int64) *bucket {
	b := s.table.allot()
	b.key, b.place = key, notHeld
	if shared != nil {
		b.state = shared.state.Clone()
	}
	buckets.Owe(kind, &b.state, s.owedUntil, now)
	return b
}

// write keeps a bucket's state, or forgets the bucket when there is nothing to
// keep.
func (s *Store) write(b *bucket, kind buckets.Bucket) {
	if b.state.Empty() {
		if b.place >= 0 {
			s.drop(b)
		}
		return
	}
	b.full = buckets.Until(kind, &b.state)
	switch {
	case b.place == notHeld:
		b.queued = b.full
		s.table.add(b)
		s.enqueue(b)
		if b.shared {
			s.shared++
		}
	case b.place >= 0 && b.full < b.queued:
		s.requeue(b)
	}
}

// forget drops a held bucket that no call is about.
func (s *Store) forget(b *bucket) {
	s.drop(b)
	s.table.release(b)
}

// drop makes a held bucket one that is not held.
func (s *Store) drop(b *bucket) {
	s.dequeue(b)
	s.table.remove(b)
	if b.shared {
		s.shared--
	}
}

// maxSifts bounds what one call does for buckets that are not its own: many may
// fill, or have to be put right, at the same instant, and all callers wait.
const maxSifts = 4 * buckets.MaxCharges

// forgetFull drops buckets that are full at now, at most limit of them.
func (s *Store) forgetFull(now int64, limit int) {
	for ; limit > 0; limit-- {
		b := s.first()
		if b == nil {
			s.shrink()
			return
		}
		if b.queued > now {
			return
		}
		if b.full <= now {
			s.forget(b)
		} else {
			s.requeue(b)
		}
	}
}

// shrink gives memory back that an empty store has no use for.
func (s *Store) shrink() {
	if len(s.table.entries.chunks) > 1 {
		s.table.clear()
		s.byFullAt = slab[uint32]{}
	}
}

// nearlyFull is the held bucket that is full before all others, if that is near
// and found at once.
func (s *Store) nearlyFull(now int64) *bucket {
	for range maxSifts {
		b := s.first()
		switch {
		case b.queued-now > nearFull.Microseconds():
			return nil
		case b.full <= b.queued:
			return b
		}
		s.requeue(b)
	}
	return nil
}

func (s *Store) requeue(b *bucket) {
	b.queued = b.full
	s.fix(b, uint32(b.place))
}
