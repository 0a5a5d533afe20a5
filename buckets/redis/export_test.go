package redis

import "github.com/weir-rls/weir/buckets"

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
