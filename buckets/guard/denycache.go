package guard

import (
	"context"
	"hash/maphash"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// longestDenial is how long a refusal is believed. Another replica may give tokens
// back, or forget the bucket, and this one does not learn of it.
const longestDenial = 100 * time.Millisecond

// DenyCacheOptions are a deny cache's settings. Store is required.
type DenyCacheOptions struct {
	Store buckets.Store
	// Now is a clock that never goes back, nil: this machine's. Only tests set it.
	Now func() time.Duration
}

// DenyCache is a store that remembers refusals: what is refused with a known delay
// stays refused until then, for whoever asks the same, so that an attack on a used
// up bucket costs no call to the store behind. Without refunds it refuses nothing
// that the store would admit at that instant, as far as the two clocks run at the
// same rate; it never admits anything. It counts a refusal's time from before the
// store was asked, so that nothing is refused for the time that the answer took.
//
// What changes a bucket's level through this store, as a refund does, ends what is
// known of it; what changes it otherwise is noticed within 100 ms.
//
// Only takes and looks that enforce are answered here, on buckets that recover with
// time alone. Charges beside a refused one are then not asked: their outcomes are
// Blind. Who looks at several buckets wants to know all their levels, so the store
// is asked.
type DenyCache struct {
	store    buckets.Store
	now      func() time.Duration
	seed     maphash.Seed
	epoch    atomic.Uint64 // refusals of another one are over
	answered atomic.Uint64
	sets     [denialSets]denialSet
}

// A refusal lives 100 ms at most, so 32,768 of them are those of some 300,000 new ones
// in a second, more than a Redis judges. With the longest keys, of some 500 bytes,
// they hold 25 MB. Callers choose the keys; one that is crowded out is asked for.
const (
	denialSets = 1 << 13
	denialWays = 4
)

// denialSet holds the refusals of the keys that fall into it, of one key any number.
// It is one cache line.
type denialSet struct {
	// turn counts in its upper half how often a level may have changed, and in its
	// lower half the calls under way that may change one. A refusal is good as long
	// as the turn is the one in which the store was asked for it.
	turn atomic.Uint64
	tags [denialWays]atomic.Uint32 // of the keys' hashes, to look at few refusals
	ways [denialWays]atomic.Pointer[denial]
}

const (
	changeBegins = 1<<32 + 1
	changeEnds   = 1<<32 - 1
	underWayMask = 1<<32 - 1
)

// known is what the cache knows of one charge before the store is asked.
type known struct {
	set    *denialSet
	turn   uint64
	tag    uint32
	denial *denial // live, nil: none
	other  bool    // the same bucket was refused by other terms
}

var (
	_ buckets.Store     = (*DenyCache)(nil)
	_ buckets.Forgetter = (*DenyCache)(nil)
)

// NewDenyCache returns an empty cache.
func NewDenyCache(o DenyCacheOptions) *DenyCache {
	if o.Now == nil {
		start := time.Now()
		o.Now = func() time.Duration { return time.Since(start) }
	}
	return &DenyCache{store: o.Store, now: o.Now, seed: maphash.MakeSeed()}
}

// Answered is how many calls were answered without the store.
func (d *DenyCache) Answered() uint64 { return d.answered.Load() }

// Drop ends all that is known, as when the rules have changed.
func (d *DenyCache) Drop() { d.epoch.Add(1) }

// Forget implements [buckets.Forgetter].
func (d *DenyCache) Forget(ctx context.Context, keys []string) error {
	d.Drop()
	defer d.Drop() // of what was refused meanwhile
	return forget(ctx, d.store, keys)
}

// Take implements [buckets.Store].
func (d *DenyCache) Take(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
	if len(charges) > buckets.MaxCharges {
		return d.store.Take(ctx, charges)
	}
	var room [buckets.MaxCharges]known
	known, epoch, now := room[:len(charges)], d.epoch.Load(), d.now()
	refused, changes := false, false
	for i := range charges {
		k := &known[i]
		d.recall(&charges[i], k, epoch, now)
		refused = refused || k.denial != nil
		changes = changes || k.other || !charges[i].Asks()
	}
	if refused && !changes && answerable(charges, known) {
		d.answered.Add(1)
		return answer(charges, known, now), nil
	}
	if changes {
		changing(charges, known, changeBegins)
		defer changing(charges, known, changeEnds)
	}
	outcomes, err := d.store.Take(ctx, charges)
	if err == nil {
		d.learn(charges, known, outcomes, epoch, now)
	}
	return outcomes, err
}

// recall finds what is known of a charge.
func (d *DenyCache) recall(c *buckets.Charge, k *known, epoch uint64, now time.Duration) {
	hash := maphash.String(d.seed, c.Key)
	k.set, k.tag = &d.sets[hash%denialSets], uint32(hash>>32)
	k.turn = k.set.turn.Load()
	for i := range k.set.ways {
		if k.set.tags[i].Load() != k.tag {
			continue
		}
		known := k.set.ways[i].Load()
		switch {
		case known == nil || known.charge.Key != c.Key || known.turn != k.turn || known.epoch != epoch || !known.lives(now):
		case !known.sameTerms(c):
			k.other = true
		case known.asksTheSame(c) && denies(c):
			k.denial = known
		}
	}
}

// changing marks the sets of charges that may change a level as changing, or
// changed.
func changing(charges []buckets.Charge, known []known, by uint64) {
	for i := range charges {
		if known[i].other || !charges[i].Asks() {
			known[i].set.turn.Add(by)
		}
	}
}

// denies tells whether a charge is of a kind whose refusal may be remembered.
func denies(c *buckets.Charge) bool {
	if !c.Asks() || c.Role != buckets.Enforce || c.Lease != "" || c.Class != nil && c.MayOwe != 0 {
		return false
	}
	switch c.Bucket.(type) {
	case buckets.TokenBucket, buckets.FixedWindow, buckets.SlidingWindow:
		return true
	}
	return false
}

// answerable tells whether a request of which a charge is known to be refused needs
// not be judged by the store. A bucket that does not start full begins to fill when
// it is first asked.
func answerable(charges []buckets.Charge, known []known) bool {
	for i := range charges {
		c := &charges[i]
		if !denies(c) || known[i].denial == nil && (c.Mode == buckets.Look || startsEmpty(c)) || twice(charges, i) {
			return false
		}
	}
	return true
}

func startsEmpty(c *buckets.Charge) bool {
	b, ok := c.Bucket.(buckets.TokenBucket)
	if c.Class != nil && !(ok && b.Missing > 0) {
		b, ok = c.Class.Guarantee.(buckets.TokenBucket)
	}
	return ok && b.Missing > 0
}

// twice tells that the bucket of charge i is charged by another one of the request
// too: it was judged after what that one asked.
func twice(charges []buckets.Charge, i int) bool {
	for j := range charges {
		if j != i && charges[j].Key == charges[i].Key {
			return true
		}
	}
	return false
}

// answer is the outcomes of a request of which at least one charge is refused.
func answer(charges []buckets.Charge, known []known, now time.Duration) []buckets.Outcome {
	outcomes := make([]buckets.Outcome, len(charges))
	for i := range charges {
		outcomes[i] = buckets.Outcome{Admitted: true, Blind: true}
		if denial := known[i].denial; denial != nil {
			outcomes[i] = denial.at(now)
		}
	}
	return outcomes
}

// learn remembers what the store refused, and forgets what it admitted since, whose
// numbers are old. asked is the instant before it was asked.
func (d *DenyCache) learn(charges []buckets.Charge, known []known, outcomes []buckets.Outcome, epoch uint64, asked time.Duration) {
	for i := range charges {
		c, k, o := &charges[i], &known[i], &outcomes[i]
		switch {
		case o.Blind || o.Alone || k.turn&underWayMask != 0:
		case o.Admitted && c.Mode == buckets.Take:
			k.set.remove(c.Key, k.tag)
		case !o.Admitted && o.Delay > 0 && denies(c) && !twice(charges, i):
			if holds := holds(c, o); holds > 0 {
				n := &denial{charge: *c, ticks: c.Ticks(), outcome: *o, asked: asked, holds: holds, turn: k.turn, epoch: epoch}
				n.charge.Key = strings.Clone(c.Key) // it may be part of something larger
				k.set.put(n, k.tag)
			}
		}
	}
}

func (s *denialSet) remove(key string, tag uint32) {
	for i := range s.ways {
		if s.tags[i].Load() != tag {
			continue
		}
		if known := s.ways[i].Load(); known != nil && known.charge.Key == key {
			s.ways[i].CompareAndSwap(known, nil)
		}
	}
}

// put takes the place of the same refusal, else of one that is over or ends first.
func (s *denialSet) put(n *denial, tag uint32) {
	at, ends := 0, time.Duration(math.MaxInt64)
	for i := range s.ways {
		known := s.ways[i].Load()
		if known != nil && known.charge.Key == n.charge.Key && known.sameTerms(&n.charge) && known.asksTheSame(&n.charge) {
			at = i
			break
		}
		end := time.Duration(0)
		if known != nil && known.turn == n.turn && known.epoch == n.epoch {
			end = known.asked + known.holds
		}
		if end < ends {
			at, ends = i, end
		}
	}
	s.tags[at].Store(tag)
	s.ways[at].Store(n)
}
