package waiting

import (
	"container/list"
	"slices"

	"github.com/weir-rls/weir/buckets"
)

// line is the callers who wait for one bucket, or for what one class has of a
// pool: a class that lacks its guarantee keeps no other waiting. Only the first
// asks the store. A heavy caller at the head holds up lighter ones behind it, by
// design: they would take each token as it comes, and he would wait for ever.
type line struct {
	bucket, class string
	callers       list.List // of *caller
}

// caller is one who waits in a line. What follows the line is his alone.
type caller struct {
	line  *line
	place *list.Element
	call  chan struct{} // holds a call to the first of the line: he became it, or something was released

	first bool   // nobody is ahead
	seen  uint64 // calls of Released when the store was last asked
}

// callFirst tells the first caller to ask. A call that he has not taken yet
// serves for this one too.
func (l *line) callFirst() {
	if front := l.callers.Front(); front != nil {
		select {
		case front.Value.(*caller).call <- struct{}{}:
		default:
		}
	}
}

// nobody is the index of no charge.
const nobody = -1

// ahead is a charge for whose bucket somebody waits already.
func (r *Room) ahead(charges []buckets.Charge) int {
	if r.waiting.Load() == 0 {
		return nobody
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range charges {
		if c := &charges[i]; c.Role == buckets.Enforce && c.Asks() && r.find(c) != nil {
			return i
		}
	}
	return nobody
}

// find is the line of a charge, if there is one. r.mu is held.
func (r *Room) find(c *buckets.Charge) *line {
	for _, l := range r.lines[c.Key] {
		if l.class == c.ClassKey {
			return l
		}
	}
	return nil
}

// stand puts a caller at the end of the line for a charge, if he is not in it.
func (r *Room) stand(w *caller, c *buckets.Charge) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.standIn(r.find(c), w, c)
}

// walkOver puts a caller of another line at the end of the one for a charge, if
// somebody waits there.
func (r *Room) walkOver(w *caller, c *buckets.Charge) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.find(c)
	if l == nil || l == w.line {
		return false
	}
	r.standIn(l, w, c)
	return true
}

// walkOut takes a caller out of the line that he is in.
func (r *Room) walkOut(w *caller) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.walkOff(w)
}

// standIn puts a caller at the end of line l, a new one where there is none. r.mu
// is held, as in what follows.
func (r *Room) standIn(l *line, w *caller, c *buckets.Charge) {
	if l != nil && l == w.line {
		return
	}
	r.walkOff(w)
	if l == nil {
		l = &line{bucket: c.Key, class: c.ClassKey}
		r.lines[c.Key] = append(r.lines[c.Key], l)
	}
	w.line, w.place = l, l.callers.PushBack(w)
	w.first = l.callers.Len() == 1
	// What was released after the store had judged him woke nobody.
	if w.first && r.released.Load() != w.seen {
		l.callFirst()
	}
}

func (r *Room) walkOff(w *caller) {
	l := w.line
	if l == nil {
		return
	}
	wasFirst := l.callers.Front() == w.place
	l.callers.Remove(w.place)
	w.line, w.place, w.first = nil, nil, false
	select { // a call that he had was for the first of this line
	case <-w.call:
	default:
	}
	switch {
	case l.callers.Len() > 0 && wasFirst:
		l.callFirst()
	case l.callers.Len() == 0:
		others := slices.DeleteFunc(r.lines[l.bucket], func(other *line) bool { return other == l })
		if r.lines[l.bucket] = others; len(others) == 0 {
			delete(r.lines, l.bucket)
		}
	}
}
