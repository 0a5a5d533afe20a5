package events

import (
	"sync"
	"time"
)

// maxSampled bounds the limits that a [Sampler] knows at a time. Their names are
// those of the rules, of which reloads can bring ever new ones.
const maxSampled = 10_000

// Sampler lets the first few events of each limit pass in each second, so that a
// flood of refusals is no flood of events; or of all together.
type Sampler struct {
	perSecond int64
	now       func() time.Time

	mu   sync.Mutex
	seen map[limit]*sample
}

type limit struct{ domain, name string }

// sample is what happened at one limit.
type sample struct {
	second     int64
	passed     int64 // in that second
	suppressed int64 // since the last that passed
}

// NewSampler returns a sampler that lets so many events of each limit pass in a
// second. A nil now is the machine's clock.
func NewSampler(perSecond int, now func() time.Time) *Sampler {
	if now == nil {
		now = time.Now
	}
	return &Sampler{perSecond: int64(perSecond), now: now, seen: map[limit]*sample{}}
}

// SampleAll is [Sampler.Sample] of events that are bounded all together, whichever limit
// they are of.
func (s *Sampler) SampleAll() (suppressed int64, tell bool) { return s.Sample("", "") }

// Sample tells whether an event of a limit is to be told, and how many were not
// since the last one that was. It allocates nothing for a limit that it knows.
func (s *Sampler) Sample(domain, name string) (suppressed int64, tell bool) {
	second := s.now().Unix()
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.seen[limit{domain, name}]
	if known == nil {
		if len(s.seen) >= maxSampled {
			clear(s.seen)
		}
		known = &sample{}
		s.seen[limit{domain, name}] = known
	}
	if known.second != second {
		known.second, known.passed = second, 0
	}
	if known.passed >= s.perSecond {
		known.suppressed++
		return 0, false
	}
	known.passed++
	suppressed, known.suppressed = known.suppressed, 0
	return suppressed, true
}
