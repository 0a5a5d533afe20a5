package guard

import (
	"sync/atomic"
	"time"
)

// quiet is how long a store must not have failed before it counts as well again: one that
// fails now and then is two lines of a log in that time, not two a request.
const quiet = 5 * time.Second

// Spell tells when a store begins to fail, and when it ceases to. The zero Spell is of one
// that is well.
type Spell struct {
	failed atomic.Int64 // when it last did, in nanoseconds since the epoch; 0 while it is well
}

// Note is told how a call ended, nil for an answer, as [Options.Observe] is.
func (s *Spell) Note(err error) (began, ceased bool) {
	if err != nil {
		return s.failed.Swap(time.Now().UnixNano()) == 0, false
	}
	failed := s.failed.Load()
	return false, failed != 0 && time.Since(time.Unix(0, failed)) > quiet && s.failed.CompareAndSwap(failed, 0)
}
