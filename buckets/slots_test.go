package buckets_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-rls/weir/buckets"
)

func hold(b buckets.Slots, lease string, slots int64) buckets.Charge {
	return buckets.Charge{Key: "k", Bucket: b, Cost: slots, Lease: lease}
}

func release(b buckets.Slots, lease string, slots int64) buckets.Charge {
	c := hold(b, lease, slots)
	c.Mode = buckets.Refund
	return c
}

// TestSlotsNeverHoldMoreThanThereAre: whoever crashes, comes late or comes twice,
// the slots of live leases are at most the capacity, and what is told to be used
// is their sum.
func TestSlotsNeverHoldMoreThanThereAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		slots := buckets.Slots{Count: rapid.Int64Range(1, 10).Draw(t, "slots"), TTL: 10}
		b := newBench(midnight)
		type lease struct{ slots, until int64 }
		live := map[string]lease{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			b.now += rapid.SampledFrom([]int64{0, 0, 1, 3, 9, 10}).Draw(t, "pause")
			id := fmt.Sprint(rapid.IntRange(0, 6).Draw(t, "lease"))
			cost := rapid.Int64Range(0, 6).Draw(t, "cost")
			used := int64(0)
			for id, l := range live {
				if l.until <= b.now {
					delete(live, id)
				} else {
					used += l.slots
				}
			}
			held, renewed := live[id]
			var o buckets.Outcome
			if rapid.Bool().Draw(t, "release") {
				o = b.one(release(slots, id, cost))
				delete(live, id)
				used -= held.slots
			} else if o = b.one(hold(slots, id, cost)); o.Admitted {
				if !renewed {
					held.slots = cost
					used += cost
				}
				live[id] = lease{held.slots, b.now + slots.TTL}
			}
			if o.Used != used || used > slots.Count {
				t.Fatalf("%d slots used of %d, the live leases hold %d", o.Used, slots.Count, used)
			}
		}
	})
}

// TestN17_ALeaseLeaksNoLongerThanItsTimeToLive: a holder that crashed, also beside
// others that keep renewing theirs, as a counter with a refreshed TTL would not.
func TestN17_ALeaseLeaksNoLongerThanItsTimeToLive(t *testing.T) {
	slots, b := buckets.Slots{Count: 2, TTL: 10 * second}, newBench(midnight)
	b.one(hold(slots, "crashed", 1))
	for range 9 {
		b.now += second
		if !b.one(hold(slots, "busy", 1)).Admitted {
			t.Fatal("a renewal was refused")
		}
	}
	if b.one(hold(slots, "next", 1)).Admitted {
		t.Fatal("the slot was free before the time to live of its lease was over")
	}
	b.now += second
	if o := b.one(hold(slots, "next", 1)); !o.Admitted || o.Used != 2 {
		t.Fatalf("the slot of a holder that crashed is not free after its time to live: %+v", o)
	}
}

// TestN17_ALateReleaseFreesNobodyElsesSlot: the holder was given up, others hold
// its slots by now.
func TestN17_ALateReleaseFreesNobodyElsesSlot(t *testing.T) {
	slots, b := buckets.Slots{Count: 3, TTL: 10}, newBench(midnight)
	b.one(hold(slots, "late", 3))
	b.now += 10
	b.one(hold(slots, "new", 3))
	for range 2 { // and comes twice
		if o := b.one(release(slots, "late", 3)); o.Used != 3 {
			t.Fatalf("a late release freed another's slots: %+v", o)
		}
	}
	if b.one(hold(slots, "third", 1)).Admitted {
		t.Fatal("a slot that is held was given away")
	}
}

// TestN17_RenewingTakesNothingMore: a retry of a take, and the second release of
// one lease, change nothing; a renewed lease keeps the slots that it has.
func TestN17_RenewingTakesNothingMore(t *testing.T) {
	slots, b := buckets.Slots{Count: 5, TTL: 10}, newBench(midnight)
	for range 3 {
		b.now += 9
		if o := b.one(hold(slots, "a", 3)); !o.Admitted || o.Used != 3 {
			t.Fatalf("a take of a lease that is held: %+v, want 3 slots used", o)
		}
	}
	if o := b.one(hold(slots, "a", 5)); !o.Admitted || o.Used != 3 {
		t.Fatalf("a renewal for more slots: %+v, want the 3 that it has", o)
	}
	for range 2 {
		if o := b.one(release(slots, "a", 3)); o.Used != 0 {
			t.Fatalf("a release: %+v", o)
		}
	}
	if o := b.one(hold(slots, "a", 5)); !o.Admitted || o.Used != 5 {
		t.Fatalf("a lease that was given back is taken anew: %+v", o)
	}
}
