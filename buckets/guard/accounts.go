package guard

import (
	"context"
	"sync"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// mostAccounts bounds the accounts, of some 400 bytes each. What is admitted of keys
// beyond it is not told to the store.
const mostAccounts = 1 << 16

// accounts are what was admitted of each bucket while the store did not answer, in
// memory where the bucket begins at the level that it was last seen at.
type accounts struct {
	local buckets.Store
	seen  *seen

	mu  sync.Mutex
	all map[string]*account
}

// account is one bucket.
type account struct {
	charge   buckets.Charge // one of the bucket, as the store would have had it
	replicas int64          // among whom it was shared
	level    level          // of the share when the account was opened
	lastSeen time.Duration  // when the store told the level that it began with, 0: it had not
	held     int64          // slots of the share that stand for those held in the store
	owes     bool           // something was admitted that the store has not seen
	unsure   int64          // tokens that were admitted and that the store may have charged too
}

func newAccounts(local buckets.Store, seen *seen) *accounts {
	return &accounts{local: local, seen: seen, all: map[string]*account{}}
}

// open makes the share of a charge begin where its bucket was seen last. One whose
// bucket the store has answered for since begins there anew.
func (a *accounts) open(ctx context.Context, whole, share *buckets.Charge, replicas int64, full bool) {
	last := a.seen.last(whole.Key)
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.all[whole.Key]
	if known != nil && (known.owes || last.at <= known.lastSeen) {
		known.replicas = replicas
		return
	}
	if known == nil && len(a.all) >= mostAccounts {
		if full {
			return
		}
		clear(a.all) // the store is asked, so none owes it anything
	}
	opened := &account{charge: *whole, replicas: replicas, lastSeen: last.at}
	opened.charge.Class, opened.charge.ClassKey, opened.charge.Lease = nil, "", ""
	a.all[whole.Key] = opened
	used := last.by(whole.Bucket, a.seen.now())
	if b, slots := share.Bucket.(buckets.Slots); slots {
		a.hold(ctx, opened, share, b, (used+replicas-1)/replicas)
		return
	}
	_ = forget(ctx, a.local, []string{whole.Key}) // memory does
	opened.level = a.begin(ctx, share, used, replicas)
}

// drop forgets what is known of keys, here and in the store, as if nobody had asked for them.
func (a *accounts) drop(keys []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, key := range keys {
		delete(a.all, key)
		a.seen.drop(key)
	}
}

// heldInStore is the lease of the slots of a share that stand for those held in the store.
const heldInStore = "held in the store"

// hold makes n slots of a share, as far as there are as many, stand for those held in the
// store. What was admitted in an earlier outage may be held still.
func (a *accounts) hold(ctx context.Context, known *account, share *buckets.Charge, b buckets.Slots, n int64) {
	c := *share
	c.Class, c.ClassKey, c.Role, c.Lease, c.Cost, c.At = nil, "", buckets.Enforce, heldInStore, 0, 0
	look := c
	c.Mode, look.Mode = buckets.Refund, buckets.Look
	outcomes, err := a.local.Take(ctx, []buckets.Charge{c, look})
	if err != nil {
		return
	}
	c.Mode, c.Cost = buckets.Take, min(n, b.Count-outcomes[1].Used)
	if known.held = max(0, c.Cost); known.held > 0 {
		_, _ = a.local.Take(ctx, []buckets.Charge{c}) // it fails only for too many charges
	}
}

// release is told of slots that are given back while the store is away. Those that are held
// there make room in the share too.
func (a *accounts) release(ctx context.Context, share *buckets.Charge) {
	b, slots := share.Bucket.(buckets.Slots)
	if !slots || share.Mode != buckets.Refund {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.all[share.Key]
	if known == nil || known.held == 0 {
		return
	}
	look := *share // of more than there can be: only what is held already is admitted
	look.Class, look.ClassKey, look.Role, look.Mode, look.Cost = nil, "", buckets.Enforce, buckets.Look, b.Count+1
	if outcomes, err := a.local.Take(ctx, []buckets.Charge{look}); err == nil && !outcomes[0].Admitted {
		a.hold(ctx, known, share, b, known.held-max(1, share.Cost))
	}
}

// begin gives a new share a level of used ticks of the whole, and tells the level that it
// has. The ticks of a token bucket's share are those of the whole. Of a window each
// replica has its part of what is used.
func (a *accounts) begin(ctx context.Context, share *buckets.Charge, used, replicas int64) level {
	c := *share
	c.Class, c.ClassKey, c.Role = nil, "", buckets.Enforce
	if b, ok := c.Bucket.(buckets.TokenBucket); ok {
		b.Missing = used
		c.Bucket, c.Mode, c.Cost = b, buckets.Look, 0
	} else {
		c.Mode, c.Cost = buckets.Settle, (used+replicas-1)/replicas
	}
	outcomes, err := a.local.Take(ctx, []buckets.Charge{c})
	if err != nil {
		return level{}
	}
	return level{used: outcomes[0].Used, at: a.seen.now(), reset: outcomes[0].Reset}
}

// note keeps what was admitted of a charge. sure tells that the store has not seen it.
func (a *accounts) note(whole *buckets.Charge, sure bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.all[whole.Key]
	_, slots := whole.Bucket.(buckets.Slots)
	switch {
	case known == nil || slots: // which are given back
	case sure:
		known.owes = true
	default:
		known.unsure += min(whole.Cost, whole.Bucket.Deepest())
	}
}

// owing are the keys of which something was admitted that the store has not seen.
func (a *accounts) owing() (keys []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key, known := range a.all {
		if known.owes {
			keys = append(keys, key)
		}
	}
	return keys
}

// close ends the account of a key and tells what the store is to be told of it, if
// anything: what this replica admitted and its share has not recovered since.
//
// A token bucket of 100 tokens at 10/s stood at 40 used when the store went away. Of two
// replicas this one admitted 20 and 2 s have passed: its share counts 40 + 2*20 - 20 = 60, and
// it would be 20 if it had admitted none, so it owes the half of 40, as the store, which
// counts 20 by now, knows of no other 20. Had the share been full again meanwhile, it would
// owe less: that much has refilled.
func (a *accounts) close(ctx context.Context, key string) (owed buckets.Charge, any bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.all[key]
	if known == nil || !known.owes {
		return owed, false
	}
	delete(a.all, key)
	owed = known.charge
	share := shareOf(owed, known.replicas)
	share.Mode, share.Cost, share.Role = buckets.Look, 0, buckets.Enforce
	outcomes, err := a.local.Take(ctx, []buckets.Charge{share})
	_ = forget(ctx, a.local, []string{key})
	if err != nil {
		return owed, false
	}
	ticks := outcomes[0].Used - known.level.by(share.Bucket, a.seen.now())
	unit := share.Bucket.Unit()
	owed.Mode, owed.Role, owed.Cost = buckets.Settle, buckets.Enforce, (ticks+unit-1)/unit-known.unsure
	owed.MayOwe, owed.At, owed.Place = 0, 0, buckets.Place{}
	return owed, owed.Cost > 0
}
