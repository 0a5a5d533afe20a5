package buckets

import "time"

// FixedWindow admits Limit tokens in each window of a calendar. At a boundary it
// forgets: as many may pass in the last moment of one window and again in the
// first of the next, twice the limit within any time. It is for budgets, of a
// day, a month; see [SlidingWindow] for a bound on any window.
//
// What was refused is not counted. The zero FixedWindow refuses every token.
type FixedWindow struct {
	Limit    int64
	Debt     int64 // tokens beyond the limit that a settlement may take
	Calendar Calendar
}

// window is what is kept: tokens counted in the window that begins at start and
// ends before end, in microseconds since the epoch.
type window struct{ start, end, count int64 }

func (w *window) clone() otherState { c := *w; return &c }
func (w *window) empty() bool       { return w.count == 0 }

// Size, Unit, Full, Remaining and Deepest implement [Bucket]; a tick is a token.
func (f FixedWindow) Size() int64 { return f.Limit }

func (f FixedWindow) Unit() int64 { return 1 }

func (f FixedWindow) Full() int64 { return f.Limit }

func (f FixedWindow) Remaining(used int64) int64 { return max(0, f.Limit-used) }

func (f FixedWindow) Deepest() int64 { return f.Limit + f.Debt }

// level forgets a window that has ended. One that has not, although it is not the
// window that now is in, was counted under another calendar or on a clock that
// went back since: its count moves into this window.
func (f FixedWindow) level(s *State, now int64) int64 {
	w, _ := s.other.(*window)
	switch {
	case w == nil:
		return 0
	case w.end <= now || w.count == 0:
		s.other = nil
		return 0
	}
	w.start, w.end = f.Calendar.Bounds(now)
	return w.count
}

func (f FixedWindow) add(s *State, _ *Charge, ticks, now int64) {
	w, _ := s.other.(*window)
	if w == nil {
		w = &window{}
		w.start, w.end = f.Calendar.Bounds(now)
		s.other = w
	}
	w.count += ticks
}

// give finds the window that the tokens came from, or drops them.
func (f FixedWindow) give(s *State, c *Charge, ticks, _ int64) {
	w, _ := s.other.(*window)
	if w == nil || c.At != 0 && (c.At < w.start || c.At >= w.end) {
		return
	}
	w.count = max(0, w.count-ticks)
}

func (f FixedWindow) settle(s *State, c *Charge, ticks, now int64) (lost int64) {
	return settleDown(f, s, c, ticks, now)
}

func (f FixedWindow) delay(_ *State, _, now int64) time.Duration { return f.reset(nil, now) }

func (f FixedWindow) reset(_ *State, now int64) time.Duration {
	_, end := f.Calendar.Bounds(now)
	return time.Duration(end-now) * time.Microsecond
}

func (f FixedWindow) until(s *State) int64 {
	if w, _ := s.other.(*window); w != nil {
		return w.end
	}
	return 0
}

func (f FixedWindow) owe(s *State, until, now int64) {
	if lacks := f.Limit - f.level(s, now); lacks > 0 {
		f.add(s, nil, lacks, now)
	}
}
