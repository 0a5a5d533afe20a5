package redis

// SetNow makes the store send the instant (microseconds since the epoch) that
// the scripts judge at. Only tests can: this file is in no other build.
func (s *Store) SetNow(now func() int64) { s.now = now }
