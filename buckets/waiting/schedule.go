package waiting

import (
	"cmp"
	"container/list"
	"slices"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// scheduleKey is what reservations have in common that callers may exchange.
type scheduleKey struct {
	bucket string
	cost   int64
}

// schedule is the reservations of one cost in one bucket, and apart from them the
// callers who hold them. The first caller has the first slot, the second the
// second: who leaves takes the last slot along, and so everybody behind moves up.
type schedule struct {
	key     scheduleKey
	slots   []slot     // the soonest first
	callers *list.List // of *sleeper, first come first
	timer   *time.Timer
}

// slot is one reservation.
type slot struct {
	due  int64           // its instant on the store's clock, in microseconds since the epoch
	at   time.Time       // its instant on this replica's
	give *buckets.Charge // gives it up
}

// order is that in which the store made reservations. Slots of one instant, where
// tokens are faster than the clock, differ in their places.
func (s slot) order(other slot) int {
	a, b := s.give.Place, other.give.Place
	return cmp.Or(cmp.Compare(s.due, other.due), cmp.Compare(a.TAT, b.TAT), cmp.Compare(a.Part, b.Part))
}

// sleeper is a caller who holds a reservation.
type sleeper struct {
	charge  *buckets.Charge
	answer  chan answer
	element *list.Element // nil once answered
}

// answer ends a sleeper's wait: released, or refused with the delay that is left.
type answer struct {
	released bool
	delay    time.Duration
}

// add puts a caller and his slot in order. Answers of the store may overtake each
// other on their way, so that is not always at the end.
func (s *schedule) add(c *sleeper, reserved slot) {
	i, before := len(s.slots), s.callers.Back()
	for i > 0 && s.slots[i-1].order(reserved) > 0 {
		i, before = i-1, before.Prev()
	}
	s.slots = slices.Insert(s.slots, i, reserved)
	if before == nil {
		c.element = s.callers.PushFront(c)
	} else {
		c.element = s.callers.InsertAfter(c, before)
	}
	// Each answer was some time on its way, and its delay counts from its arrival
	// here. An earlier slot is due no later than a later one whose answer was faster.
	if i+1 < len(s.slots) && s.slots[i+1].at.Before(s.slots[i].at) {
		s.slots[i].at = s.slots[i+1].at
	}
	for ; i > 0 && s.slots[i].at.Before(s.slots[i-1].at); i-- {
		s.slots[i-1].at = s.slots[i].at
	}
}

// remove takes out a caller who leaves, and the last slot.
func (s *schedule) remove(c *sleeper) (spare slot, handedOver bool) {
	handedOver = c.element != s.callers.Back()
	s.callers.Remove(c.element)
	c.element = nil
	last := len(s.slots) - 1
	spare = s.slots[last]
	s.slots[last] = slot{}
	s.slots = s.slots[:last]
	return spare, handedOver
}

// release lets those go whose slots have come.
func (s *schedule) release(now time.Time) {
	for len(s.slots) > 0 && !s.slots[0].at.After(now) {
		s.pop(answer{released: true})
	}
}

// dismiss refuses everybody, and tells the slots that are free thereby.
func (s *schedule) dismiss(now time.Time) (spares []slot) {
	for len(s.slots) > 0 {
		spares = append(spares, s.slots[0])
		s.pop(answer{delay: s.slots[0].at.Sub(now)})
	}
	return spares
}

// pop answers the first caller and uses up the first slot.
func (s *schedule) pop(a answer) {
	c := s.callers.Remove(s.callers.Front()).(*sleeper)
	c.element = nil
	c.answer <- a
	s.slots[0] = slot{}
	s.slots = s.slots[1:]
}
