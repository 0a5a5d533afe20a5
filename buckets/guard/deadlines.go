package guard

import (
	"sync"
	"time"
)

// deadlines ends the waits of calls whose time is over, with one timer for all: one
// for each call would wake a thread that waits for the network each time that it is set,
// some 20 us. It is left alone while calls come and go, and set again when it fires: with
// waits of 10 ms that is a hundred times a second, however many calls there are.
type deadlines struct {
	mu    sync.Mutex
	calls []*call // that wait, in no order
	timer *time.Timer
	fires time.Time // zero: it is not set
}

func newDeadlines() *deadlines {
	d := &deadlines{}
	d.timer = time.AfterFunc(time.Hour, d.fire)
	d.timer.Stop()
	return d
}

// add is told of a call that waits until c.until.
func (d *deadlines) add(c *call) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c.place = len(d.calls)
	d.calls = append(d.calls, c)
	if d.fires.IsZero() || c.until.Before(d.fires) {
		d.set(c.until)
	}
}

func (d *deadlines) set(at time.Time) {
	d.fires = at
	d.timer.Reset(time.Until(at))
}

// remove is told of a call that does not wait any more, also of one that fire told so.
func (d *deadlines) remove(c *call) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drop(c)
}

func (d *deadlines) drop(c *call) {
	if c.place < 0 {
		return
	}
	last := len(d.calls) - 1
	d.calls[c.place] = d.calls[last]
	d.calls[c.place].place = c.place
	d.calls[last], d.calls, c.place = nil, d.calls[:last], -1
}

// fire ends the waits that are over, and sleeps until the next one is.
func (d *deadlines) fire() {
	d.mu.Lock()
	defer d.mu.Unlock()
	now, next := time.Now(), time.Time{}
	for i := len(d.calls) - 1; i >= 0; i-- {
		switch c := d.calls[i]; {
		case !c.until.After(now):
			d.drop(c)
			c.expire()
		case next.IsZero() || c.until.Before(next):
			next = c.until
		}
	}
	d.fires = time.Time{}
	if !next.IsZero() {
		d.set(next)
	}
}
