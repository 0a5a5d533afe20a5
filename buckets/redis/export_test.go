package redis

// SetNow makes the store send the instant (microseconds since the epoch) that
// the scripts judge at. Only tests can: this file is in no other build.
func (s *Store) SetNow(now func() int64) { s.now = now }

// SetLocalClock replaces the clock of this process, from which the store guesses
// the server's.
func (s *Store) SetLocalClock(now func() int64) { s.clock.local = now }

// Outcomes reads the numbers of a script's reply.
var Outcomes = outcomes
