package guard

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// call is a call to the store whose caller may leave. It serves one call after
// another, and has its own copy of the charges: the store may still read them when
// the caller has left, whose memory then serves his next request.
type call struct {
	guard    *Guard
	charges  []buckets.Charge
	outcomes []buckets.Outcome
	err      error
	trace    buckets.Trace // nil: nothing follows it
	state    atomic.Uint32
	woken    chan struct{} // the caller is, once: the answer is there, or his time is over
	until    time.Time     // when that is
	place    int           // among the deadlines, -1: it is not there
}

// The states of a call. It ends with whom leaves it last: the caller if the answer
// came first, else the answer.
const (
	waiting  uint32 = iota // the caller waits for the answer
	answered               // it is there for him
	expired                // his time is over
	left                   // he has gone
)

// ask waits for the store's answer, from start on, and leaves the call to itself when
// the wait is over.
func (g *Guard) ask(ctx context.Context, trace buckets.Trace, start time.Time, wait time.Duration, charges []buckets.Charge) ([]buckets.Outcome, error) {
	if wait <= 0 {
		return nil, context.DeadlineExceeded
	}
	if n := g.underWay.Add(1); n > maxUnderWay && (n > maxOwed || !buckets.Owed(charges)) {
		g.underWay.Add(-1)
		return nil, ErrBusy
	}
	c, ok := g.calls.Get().(*call)
	if !ok {
		c = &call{guard: g, woken: make(chan struct{}, 1)}
	}
	c.charges, c.until, c.trace = append(c.charges, charges...), start.Add(wait), trace
	g.deadlines.add(c)
	c.start()
	select {
	case <-c.woken:
	case <-ctx.Done():
		g.deadlines.remove(c) // before he leaves: the call may serve another caller right after
		if c.leave(waiting) {
			return nil, ctx.Err()
		}
		<-c.woken // it happened at the same moment
	}
	if c.leave(expired) {
		return nil, context.DeadlineExceeded
	}
	g.deadlines.remove(c)
	return c.take()
}

// leave leaves the call to its answer, unless that is there.
func (c *call) leave(from uint32) bool { return c.state.CompareAndSwap(from, left) }

// expire ends the caller's wait.
func (c *call) expire() {
	if c.state.CompareAndSwap(waiting, expired) {
		c.woken <- struct{}{}
	}
}

// start asks the store. A panic in it becomes its error, so that it ends like every
// other call.
func (c *call) start() {
	defer func() {
		if cause := recover(); cause != nil {
			c.Answer(nil, panicked(cause))
		}
	}()
	c.guard.store.Start(c.charges, c)
}

func panicked(cause any) error { return fmt.Errorf("the bucket store panicked: %v", cause) }

// take is the answer, after which nobody knows of the call.
func (c *call) take() ([]buckets.Outcome, error) {
	outcomes, err := c.outcomes, c.err
	c.end()
	return outcomes, err
}

// end makes the call ready to serve another caller.
func (c *call) end() {
	clear(c.charges)
	c.charges, c.outcomes, c.err, c.trace = c.charges[:0], nil, nil, nil
	c.state.Store(waiting)
	c.guard.underWay.Add(-1)
	c.guard.calls.Put(c)
}

// Trace implements [buckets.Traced].
func (c *call) Trace() buckets.Trace { return c.trace }

// Answer implements [buckets.Asker].
func (c *call) Answer(outcomes []buckets.Outcome, err error) {
	c.outcomes, c.err = outcomes, err
	if c.state.CompareAndSwap(waiting, answered) {
		c.woken <- struct{}{}
		return
	}
	if c.state.CompareAndSwap(expired, answered) { // before he woke, who finds it now
		return
	}
	if c.toHandBack() {
		c.start() // what is not given back is free when its time is over
		return
	}
	c.end()
}

// toHandBack leaves the charges that give back what a call holds whose caller had
// left: nobody knows of it, and a slot would stay taken until its time is over.
// Whoever connects and leaves at once could so empty a pool of slots.
func (c *call) toHandBack() bool {
	held := c.charges[:0]
	for i, charge := range c.charges {
		if charge.Mode == buckets.Take && charge.Lease != "" && i < len(c.outcomes) && c.outcomes[i].Admitted {
			charge.Mode, charge.Role, charge.At = buckets.Refund, buckets.Enforce, c.outcomes[i].Now
			held = append(held, charge)
		}
	}
	c.charges = held
	return len(held) > 0
}

// waiter makes a store that has to be waited for one that need not: it waits in a
// goroutine for each call.
type waiter struct {
	buckets.Store
	patience time.Duration
}

func (w waiter) Start(charges []buckets.Charge, asker buckets.Asker) {
	go func() { asker.Answer(w.wait(charges)) }()
}

// wait runs outside of the handler's recovery, so a panic becomes an error here.
func (w waiter) wait(charges []buckets.Charge) (outcomes []buckets.Outcome, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), w.patience)
	defer cancel()
	defer func() {
		if cause := recover(); cause != nil {
			outcomes, err = nil, panicked(cause)
		}
	}()
	return w.Take(ctx, charges)
}
