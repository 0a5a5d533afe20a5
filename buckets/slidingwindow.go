package buckets

import (
	"slices"
	"time"
)

// DefaultParts is how many sub-windows a sliding window has: tokens come back up
// to a 60th of the window late.
const DefaultParts = 60

// SlidingWindow admits at most Limit tokens in any stretch of time as long as
// Window. It counts by sub-windows, of which it adds up the current one and as
// many before it as cover the window: never too few, and what left the window
// is free at most one sub-window late.
//
// A sub-window is Window/Parts, rounded up to a microsecond. What is kept of a
// bucket is one number for each sub-window in which something was taken, at most
// Parts+1 of them. The zero SlidingWindow must not be used.
type SlidingWindow struct {
	Limit  int64
	Debt   int64 // tokens beyond the limit that a settlement may take
	Window int64 // microseconds, positive
	Parts  int64 // sub-windows, positive
}

// Part is the length of a sub-window in microseconds.
func (w SlidingWindow) Part() int64 { return (w.Window-1)/w.Parts + 1 }

// ring is what is kept: the sub-windows in which something was taken, oldest
// first, numbered from the epoch.
type ring struct {
	part  int64 // microseconds a sub-window
	parts int64 // sub-windows a window
	spans []span
	total int64
}

type span struct{ number, count int64 }

func (r *ring) clone() otherState {
	return &ring{r.part, r.parts, slices.Clone(r.spans), r.total}
}
func (r *ring) empty() bool { return r.total == 0 }

// Size, Unit, Full, Remaining and Deepest implement [Bucket]; a tick is a token.
func (w SlidingWindow) Size() int64 { return w.Limit }

func (w SlidingWindow) Unit() int64 { return 1 }

func (w SlidingWindow) Full() int64 { return w.Limit }

func (w SlidingWindow) Remaining(used int64) int64 { return max(0, w.Limit-used) }

func (w SlidingWindow) Deepest() int64 { return w.Limit + w.Debt }

func (w SlidingWindow) level(s *State, now int64) int64 {
	r, _ := s.other.(*ring)
	if r == nil {
		return 0
	}
	current := now / w.Part()
	if r.part != w.Part() || r.parts != w.Parts || len(r.spans) > 0 && r.spans[len(r.spans)-1].number > current {
		r.leave(now / r.part) // what had left does not come back with a longer window, whoever looked in between
		r.renumber(w.Part(), current)
		r.parts = w.Parts
	}
	r.leave(current)
	if r.total == 0 {
		s.other = nil
		return 0
	}
	return r.total
}

// leave drops the sub-windows that have left the window.
func (r *ring) leave(current int64) {
	for len(r.spans) > 0 && r.spans[0].number < current-r.parts {
		r.total -= r.spans[0].count
		r.spans = r.spans[1:]
	}
}

// renumber rewrites sub-windows of another length, each into the one that its end
// falls into, and those that lie ahead, because the clock went back, into the
// current one: what was taken is never free too early, and at most a window late.
func (r *ring) renumber(part, current int64) {
	var spans []span
	for _, s := range r.spans {
		number := min(((s.number+1)*r.part-1)/part, current)
		if last := len(spans) - 1; last >= 0 && spans[last].number == number {
			spans[last].count += s.count
		} else {
			spans = append(spans, span{number, s.count})
		}
	}
	r.part, r.spans = part, spans
}

func (w SlidingWindow) add(s *State, _ *Charge, ticks, now int64) {
	if ticks == 0 {
		return
	}
	r, _ := s.other.(*ring)
	if r == nil {
		r = &ring{part: w.Part(), parts: w.Parts}
		s.other = r
	}
	current := now / w.Part()
	if last := len(r.spans) - 1; last >= 0 && r.spans[last].number == current {
		r.spans[last].count += ticks
	} else {
		r.spans = append(r.spans, span{current, ticks})
	}
	r.total += ticks
}

// give goes to the sub-window that the tokens came from, as far as it still has
// them; without an instant to the newest first.
func (w SlidingWindow) give(s *State, c *Charge, ticks, _ int64) {
	r, _ := s.other.(*ring)
	if r == nil {
		return
	}
	for i := len(r.spans) - 1; i >= 0 && ticks > 0; i-- {
		if c.At == 0 || r.spans[i].number == c.At/w.Part() {
			given := min(ticks, r.spans[i].count)
			r.spans[i].count, r.total, ticks = r.spans[i].count-given, r.total-given, ticks-given
		}
	}
	r.spans = slices.DeleteFunc(r.spans, func(s span) bool { return s.count == 0 })
}

func (w SlidingWindow) settle(s *State, c *Charge, ticks, now int64) (lost int64) {
	return settleDown(w, s, c, ticks, now)
}

// delay is when so many sub-windows have left that over tokens are free.
func (w SlidingWindow) delay(s *State, over, now int64) time.Duration {
	r, _ := s.other.(*ring)
	if r == nil {
		return 0
	}
	last := now
	for _, span := range r.spans {
		last = (span.number + w.Parts + 1) * w.Part()
		if over -= span.count; over <= 0 {
			break
		}
	}
	return time.Duration(last-now) * time.Microsecond
}

func (w SlidingWindow) reset(s *State, now int64) time.Duration {
	return time.Duration(max(0, w.until(s)-now)) * time.Microsecond
}

func (w SlidingWindow) until(s *State) int64 {
	r, _ := s.other.(*ring)
	if r == nil || len(r.spans) == 0 {
		return 0
	}
	return (r.spans[len(r.spans)-1].number + w.Parts + 1) * w.Part()
}

func (w SlidingWindow) owe(s *State, _, now int64) {
	if lacks := w.Limit - w.level(s, now); lacks > 0 {
		w.add(s, nil, lacks, now)
	}
}
