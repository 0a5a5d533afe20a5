package simulate

import (
	"container/list"
	"slices"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/descriptors"
)

// caller is one who is held in a line until he may ask again.
type caller struct {
	row     *Row
	number  int64
	charged string // the limit of the charge that lets him be held
	end     int64  // of his time, microseconds
	line    *line
	place   *list.Element
	wakes   int64 // when he asks next, if he is the first; 0: when something is given back
	called  bool  // he asks because he became the first, or something was given back
	gone    bool
}

// full tells that as many are held as may be.
func (d *dues) full(l *descriptors.Limit, now int64) bool {
	for len(d.due) > 0 && d.due[0] <= now {
		d.pop()
	}
	return d.held+len(d.due) >= l.MaxWaiters
}

func (d *dues) push(at int64) {
	d.due = append(d.due, at)
	for i := len(d.due) - 1; i > 0 && d.due[(i-1)/2] > d.due[i]; i = (i - 1) / 2 {
		d.due[i], d.due[(i-1)/2] = d.due[(i-1)/2], d.due[i]
	}
}

func (d *dues) pop() {
	last := len(d.due) - 1
	d.due[0] = d.due[last]
	d.due = d.due[:last]
	for i := 0; ; {
		least := i
		for _, child := range [...]int{2*i + 1, 2*i + 2} {
			if child < last && d.due[child] < d.due[least] {
				least = child
			}
		}
		if least == i {
			return
		}
		d.due[i], d.due[least] = d.due[least], d.due[i]
		i = least
	}
}

// stand puts a caller at the end of the line for what he lacks, if he is not in it.
func (w *waits) stand(c *caller, lack *buckets.Charge) {
	key := lineKey{lack.Key, lack.ClassKey}
	if c.line != nil && c.line.key == key {
		return
	}
	if c.line == nil {
		w.duesOf(c.charged).held++
	}
	w.walkOff(c)
	l := w.lines[key]
	if l == nil {
		l = &line{key: key}
		w.lines[key] = l
	}
	c.line, c.place = l, l.callers.PushBack(c)
}

// leave takes a caller out who is held no more.
func (w *waits) leave(c *caller) {
	w.duesOf(c.charged).held--
	w.walkOff(c)
	c.gone = true
}

func (w *waits) walkOff(c *caller) {
	if c.line == nil {
		return
	}
	c.line.callers.Remove(c.place)
	if c.line.callers.Len() == 0 {
		delete(w.lines, c.line.key)
	}
	c.line, c.place = nil, nil
}

func (l *line) first() *caller {
	if front := l.callers.Front(); front != nil {
		return front.Value.(*caller)
	}
	return nil
}

// released are the first callers of the lines for buckets that were given something
// back. Few wait for classes of pools, so all lines of a bucket are found by looking.
func (w *waits) released() (first []*caller) {
	if len(w.freed) == 0 || len(w.lines) == 0 {
		return nil
	}
	for _, l := range w.lines {
		if c := l.first(); c != nil && slices.Contains(w.freed, l.key.bucket) {
			first = append(first, c)
		}
	}
	slices.SortFunc(first, func(a, b *caller) int { return int(a.number - b.number) })
	return first
}

// micros is an instant in microseconds since the epoch.
func micros(at int64) time.Time { return time.UnixMicro(at).UTC() }
