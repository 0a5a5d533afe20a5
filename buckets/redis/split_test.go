package redis_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/redis"
	"github.com/weir-rls/weir/buckets/storetest"
)

// nodes keep the buckets of each slot in a memory of its own.
type nodes struct {
	t     *testing.T
	now   func() time.Time
	mu    sync.Mutex
	slots map[uint16]*memory.Store
}

func (n *nodes) take(slot uint16, charges []buckets.Charge) ([]buckets.Outcome, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.slots[slot]
	if s == nil {
		s = memory.New(memory.Options{Now: n.now})
		n.slots[slot] = s
	}
	for i := range charges {
		if redis.SlotOf(charges[i].Key) != slot {
			n.t.Errorf("%q is asked for in another slot", charges[i].Key)
		}
	}
	return s.Take(n.t.Context(), charges)
}

// onSlots is a store on nodes that answer at once.
func onSlots(t *testing.T, now func() time.Time) (*redis.Store, *nodes) {
	n := &nodes{t: t, now: now, slots: map[uint16]*memory.Store{}}
	s := redis.NewOnSlots(func(slot uint16, charges []buckets.Charge, answer func([]buckets.Outcome, error)) {
		answer(n.take(slot, charges))
	})
	t.Cleanup(s.CloseOnSlots)
	return s, n
}

// spread gives each bucket of a crowd a slot of its own, a pool one with its classes.
func (c *crowd) spread() {
	for i := range c.of {
		tag := "{" + strings.NewReplacer("{", "", "}", ",").Replace(c.of[i].Key) + "}"
		c.of[i].Key = tag + "k"
		if c.of[i].ClassKey != "" {
			c.of[i].ClassKey = tag + c.of[i].ClassKey
		}
	}
}

// With nobody else under way a request whose buckets are in several slots is told, to
// the last number, what a store says that judges all of it in one step, and leaves all
// buckets as that one does, whatever its modes and roles.
func TestSplit_AloneARequestIsJudgedAsInOneStep(t *testing.T) {
	parted := 0
	for seed := range uint64(400) {
		synctest.Test(t, func(t *testing.T) { parted += alone(t, seed) })
	}
	if parted < 5000 {
		t.Errorf("%d requests were parted only", parted)
	}
}

// alone makes requests one after another, and tells how many had several slots.
func alone(t *testing.T, seed uint64) (parted int) {
	clock := storetest.NewClock()
	s, _ := onSlots(t, clock.Now)
	defer s.CloseOnSlots()
	reference, c := memory.New(memory.Options{Now: clock.Now}), newCrowd(t, seed, seed%4 == 0)
	c.spread()
	for step := range 60 {
		charges := c.request()
		several := ownLeases(charges, step)
		if several {
			parted++
		}
		want, err := reference.Take(t.Context(), charges)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Take(t.Context(), charges)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // until all is given back
		for j := range want {
			if _, sliding := charges[j].Bucket.(buckets.SlidingWindow); sliding && several && want[j].Reset <= got[j].Reset {
				got[j].Reset = want[j].Reset // of what was given back nobody knows when else it would be full
			}
			if got[j] != want[j] {
				t.Fatalf("seed %d, step %d: charge %d of %+v\nis told %+v\n   want %+v", seed, step, j, charges, got[j], want[j])
			}
		}
		clock.Advance(time.Duration(c.random.Int64N(900_000)) * time.Microsecond)
	}
	return parted
}

// ownLeases gives charges leases that no other request has, and tells whether they are
// in several slots. What is taken and then settled of one bucket may be too much for it
// at a time: then the settlement is a look.
func ownLeases(charges []buckets.Charge, step int) (several bool) {
	for i := range charges {
		c := &charges[i]
		if c.Lease != "" {
			c.Lease = fmt.Sprint("lease", step, i)
		}
		several = several || redis.SlotOf(c.Key) != redis.SlotOf(charges[0].Key)
		for j := range charges {
			if c.Mode == buckets.Settle && charges[j].Mode == buckets.Take && charges[j].Key == c.Key {
				c.Mode = buckets.Look
			}
		}
	}
	return several
}

// slotted are charges of a token in buckets of slots of their own.
func slotted(b buckets.Bucket, names ...string) []buckets.Charge {
	var charges []buckets.Charge
	for _, name := range names {
		charges = append(charges, buckets.Charge{Key: "{" + name + "}", Limit: "l", Bucket: b, Cost: 1})
	}
	return charges
}

// A quota in one slot is enough, though those in others refuse: what refuses is not
// charged, and where all refuse nothing is.
func TestSplit_OneQuotaOfAnySlotIsEnough(t *testing.T) {
	s, _ := onSlots(t, storetest.NewClock().Now)
	full, empty := buckets.Slots{Count: 5, TTL: 1 << 40}, buckets.Slots{}
	ask := func(second buckets.Bucket) []buckets.Outcome {
		charges := slotted(full, "limit", "first", "second")
		charges[1].Bucket, charges[2].Bucket = empty, second
		charges[1].Role, charges[2].Role = buckets.Quota, buckets.Quota
		for i := range charges {
			charges[i].Lease = fmt.Sprint(time.Now().UnixNano(), i)
		}
		o, err := s.Take(t.Context(), charges)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	if o := ask(full); !o[0].Admitted || o[1].Admitted || !o[2].Admitted || o[0].Used != 1 || o[2].Used != 1 {
		t.Errorf("%+v, want it charged where a quota admits", o)
	}
	if o := ask(empty); o[1].Admitted || o[2].Admitted || o[0].Used != 1 {
		t.Errorf("%+v, want nothing charged where none does", o)
	}
}

// What a gate guards is done once, in whatever slots it is, and not at all where the
// gate has admitted before.
func TestSplit_AGateStopsWhatFollowsItInAnySlot(t *testing.T) {
	s, _ := onSlots(t, storetest.NewClock().Now)
	window := buckets.SlidingWindow{Limit: 10, Window: 1 << 40, Parts: 6}
	if _, err := s.Take(t.Context(), slotted(window, "a", "b", "b")); err != nil {
		t.Fatal(err)
	}
	once, err := buckets.NewTokenBucket(1, time.Hour, 1)
	if err != nil {
		t.Fatal(err)
	}
	for try := range 2 {
		charges := append(slotted(once, "a,"), slotted(window, "a", "b")...)
		charges[0].Role, charges[1].Mode, charges[2].Mode = buckets.Gate, buckets.Refund, buckets.Refund
		o, err := s.Take(t.Context(), charges)
		if err != nil || len(o) != 3 || o[1].Admitted != (try == 0) || o[2].Admitted != (try == 0) || try == 0 && o[1].Used != 0 {
			t.Errorf("%d: %+v, %v", try, o, err)
		}
	}
	o, err := s.Take(t.Context(), slotted(window, "b"))
	if err != nil || o[0].Used != 2 {
		t.Errorf("%+v, %v: want one of two given back, once", o, err)
	}
}

// A reservation is of one bucket: to give tokens back that others have reserved after
// would break their bound.
func TestSplit_AReservationIsRefused(t *testing.T) {
	s, n := onSlots(t, storetest.NewClock().Now)
	charges := slotted(slow(t), "a", "b")
	charges[1].MayOwe = 5
	if _, err := s.Take(t.Context(), charges); err == nil || !strings.Contains(err.Error(), "several hash slots") || len(n.slots) > 0 {
		t.Errorf("%v, want an error before anything is asked", err)
	}
}

// Who is refused asks again under the same lease: what he took is given back before, or
// he would be taken for one who renews it.
func TestSplit_ALeaseIsGivenBackBeforeTheRefusalIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &nodes{t: t, now: time.Now, slots: map[uint16]*memory.Store{}}
		s := redis.NewOnSlots(func(slot uint16, charges []buckets.Charge, answer func([]buckets.Outcome, error)) {
			delay := time.Millisecond
			if charges[0].Mode == buckets.Refund {
				delay = time.Second
			}
			time.AfterFunc(delay, func() { answer(n.take(slot, charges)) })
		})
		defer s.CloseOnSlots()
		charges := slotted(buckets.Slots{Count: 1, TTL: 1 << 40}, "a", "b")
		charges[0].Lease, charges[1].Lease = "1", "2"
		charges[1].Bucket = buckets.Slots{}
		if o, err := s.Take(t.Context(), charges); err != nil || o[1].Admitted || o[0].Used != 0 {
			t.Fatalf("%+v, %v", o, err)
		}
		charges[1].Bucket = charges[0].Bucket
		if o, err := s.Take(t.Context(), charges); err != nil || o[0].Used != 1 || o[1].Used != 1 {
			t.Fatalf("%+v, %v: want both held", o, err)
		}
		time.Sleep(time.Minute)
		charges[0].Lease = "another"
		if o, err := s.Take(t.Context(), charges[:1]); err != nil || o[0].Admitted {
			t.Errorf("%+v, %v: the slot was given back that the second request holds", o, err)
		}
	})
}

// A group that fails decides nothing where another refuses, and everything else.
func TestSplit_AFailedSlotIsAnErrorUnlessAnotherRefuses(t *testing.T) {
	gone := errors.New("gone")
	clock := storetest.NewClock()
	n := &nodes{t: t, now: clock.Now, slots: map[uint16]*memory.Store{}}
	s := redis.NewOnSlots(func(slot uint16, charges []buckets.Charge, answer func([]buckets.Outcome, error)) {
		if charges[0].Key == "{down}" {
			answer(nil, gone)
			return
		}
		answer(n.take(slot, charges))
	})
	t.Cleanup(s.CloseOnSlots)
	b := slow(t)
	if o, err := s.Take(t.Context(), slotted(b, "a", "down")); !errors.Is(err, gone) {
		t.Errorf("%+v, %v: want the error", o, err)
	}
	refused := slotted(b, "a", "down", "c")
	refused[2].Cost = 1000
	if o, err := s.Take(t.Context(), refused); err != nil || o[2].Admitted || !o[1].Blind || o[0].Used != 0 {
		t.Errorf("%+v, %v: want a refusal", o, err)
	}
	refused[1].Mode = buckets.Settle
	if o, err := s.Take(t.Context(), refused); !errors.Is(err, gone) {
		t.Errorf("%+v, %v: want the error of what was to be settled", o, err)
	}
	o, err := s.Take(t.Context(), slotted(b, "a"))
	if err != nil || o[0].Used != b.Unit() {
		t.Errorf("%+v, %v: want all given back but the last", o, err)
	}
}
