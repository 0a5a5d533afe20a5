package redis

import (
	"context"

	"github.com/weir-rls/weir/buckets"
)

// SetNow makes the store send the instant (microseconds since the epoch) that
// the scripts judge at. Only tests can: this file is in no other build.
func (s *Store) SetNow(now func() int64) { s.now = now }

// SetLocalClock replaces the clock of this process, from which the store guesses
// the server's.
func (s *Store) SetLocalClock(now func() int64) { s.clock.local = now }

// Outcomes reads the numbers of a script's reply.
func Outcomes(charges []buckets.Charge, reply []int64) ([]buckets.Outcome, error) {
	var all []*buckets.Charge
	for i := range charges {
		all = append(all, &charges[i])
	}
	return outcomes(all, reply)
}

// TakeTogether judges requests in one batch, in order.
func (s *Store) TakeTogether(ctx context.Context, all [][]buckets.Charge) ([][]buckets.Outcome, []error) {
	var batch []request
	waiters := make([]*waiter, len(all))
	for i, charges := range all {
		waiters[i] = &waiter{answered: make(chan struct{})}
		r, err := newRequest(charges, waiters[i])
		if err != nil {
			panic(err)
		}
		batch = append(batch, r)
	}
	var f flight
	s.takeOff(ctx, batch, &f)
	outcomes, errs := make([][]buckets.Outcome, len(all)), make([]error, len(all))
	for i, w := range waiters {
		<-w.answered
		outcomes[i], errs[i] = w.outcomes, w.err
	}
	return outcomes, errs
}

// SlotOf is the hash slot of a key.
var SlotOf = slotOf

// NewOnSlots returns a store like that of a Cluster whose calls, each of one slot, a
// test makes: it calls answer once, now or later.
func NewOnSlots(call func(slot uint16, charges []buckets.Charge, answer func([]buckets.Outcome, error))) *Store {
	s := &Store{cluster: true}
	s.queue = newQueue(func(_ context.Context, batch []request, _ *flight) {
		for _, r := range batch {
			call(r.slot, r.charges, func(outcomes []buckets.Outcome, err error) { answer(&r, outcomes, err) })
		}
	})
	return s
}

// CloseOnSlots closes what NewOnSlots returned.
func (s *Store) CloseOnSlots() { s.queue.close() }
