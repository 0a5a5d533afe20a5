package traffic

import (
	"sync/atomic"
	"time"
)

// kept is for how many seconds latencies are kept, of which those of the last minute
// are told.
const kept = 60

// service is what happened to all calls.
type service struct {
	took                                                     live
	admitted, refused, errors, waited, degraded, storeErrors atomic.Uint64

	before        ServiceCounts // the counts at the end of the last second
	tookBefore    histogram
	seconds, tens ring[ServiceCounts]
	latencies     ring[histogram] // of the last minute
	ten           ServiceCounts   // of the ten seconds that are not over
	tookTen       histogram
}

func newService() service {
	return service{seconds: newRing[ServiceCounts](Seconds), tens: newRing[ServiceCounts](Tens), latencies: newRing[histogram](kept)}
}

// Result is what became of a call.
type Result uint8

const (
	ResultAdmitted Result = iota
	ResultRefused
	ResultError
)

// Called is told of each call, and how long it took.
func (t *Traffic) Called(r Result, took time.Duration) {
	s := &t.service
	s.took.count(took)
	switch r {
	case ResultAdmitted:
		s.admitted.Add(1)
	case ResultRefused:
		s.refused.Add(1)
	default:
		s.errors.Add(1)
	}
}

// Waited is told of each call that was held.
func (t *Traffic) Waited() { t.service.waited.Add(1) }

// Degraded is told of each limit that was decided without the store.
func (t *Traffic) Degraded() { t.service.degraded.Add(1) }

// StoreFailed is told of each call to the store that failed.
func (t *Traffic) StoreFailed() { t.service.storeErrors.Add(1) }

func (s *service) tick(second int) {
	now := ServiceCounts{
		Admitted: int64(s.admitted.Load()), Refused: int64(s.refused.Load()), Errors: int64(s.errors.Load()),
		Waited: int64(s.waited.Load()), Degraded: int64(s.degraded.Load()), StoreErrors: int64(s.storeErrors.Load()),
	}
	step := now
	step.add(s.before, -1)
	s.before = now
	s.push(second, step, s.took.since(&s.tookBefore))
}

// skip is a second in which nobody counted.
func (s *service) skip(second int) { s.push(second, ServiceCounts{}, histogram{}) }

func (s *service) push(second int, step ServiceCounts, took histogram) {
	s.ten.add(step, 1)
	s.tookTen.add(&took)
	took.quantiles(&step)
	s.seconds.push(step)
	s.latencies.push(took)
	if second%10 == 0 {
		s.tookTen.quantiles(&s.ten)
		s.tens.push(s.ten)
		s.ten, s.tookTen = ServiceCounts{}, histogram{}
	}
}

// minute is what happened in the last one.
func (s *service) minute() (total ServiceCounts) {
	var took histogram
	for _, c := range s.seconds.last(kept) {
		total.add(c, 1)
	}
	for _, h := range s.latencies.last(kept) {
		took.add(&h)
	}
	took.quantiles(&total)
	return total
}

// add adds counts. Latencies are no counts.
func (c *ServiceCounts) add(other ServiceCounts, sign int64) {
	c.Admitted += sign * other.Admitted
	c.Refused += sign * other.Refused
	c.Errors += sign * other.Errors
	c.Waited += sign * other.Waited
	c.Degraded += sign * other.Degraded
	c.StoreErrors += sign * other.StoreErrors
}
