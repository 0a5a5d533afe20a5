package waiting

import (
	"context"
	"time"

	"github.com/weir-rls/weir/buckets"
)

const (
	// poll is how often the first of a line asks for what may be given back on
	// another replica, which nobody here is told of. It adds 25 ms to a wait on
	// average, little beside calls long enough to be limited in number, and costs
	// 20 calls a second for each line: 1,000 lines on a replica half a Redis core.
	poll = 50 * time.Millisecond

	// beaten is how long the first of a line lets others be who took the tokens
	// that he was told of, where they come faster than the store should be asked.
	beaten = time.Millisecond

	// reply is what a caller's deadline leaves when the store is asked last. With
	// too little, whoever guards the store gives it up and decides without it, and
	// the last question of a wait would admit what the store has just refused.
	reply = 100 * time.Millisecond
)

// lineUp asks for all that a request needs in one step, and again when it may be
// there. Nothing is held or owed while its caller waits, so every bound of every
// bucket stands.
//
// Its caller waits in the line for the bucket that it lacks longest, and walks
// over to another when another is what it lacks: so it keeps nobody waiting who
// does not lack the same. Who comes from a line of another limit than the one
// that lets callers wait does not ask before those who wait for that one.
func (r *Room) lineUp(ctx context.Context, charges []buckets.Charge, w Wait) ([]buckets.Outcome, time.Duration, error) {
	seen := r.released.Load()
	ahead, first := r.ahead(charges), charges
	if ahead != nobody {
		first = looks(charges)
	}
	outcomes, err := r.store.Take(ctx, first)
	if err != nil {
		return nil, 0, err
	}
	need, mayWait := lacks(charges, outcomes, w.Charge, w.Max)
	admitted := mayWait && need.charge == nobody
	if admitted && ahead == nobody {
		return outcomes, 0, nil
	}
	began := time.Now()
	end := began.Add(w.Max)
	if deadline, ok := ctx.Deadline(); ok && deadline.Add(-reply).Before(end) {
		end = deadline.Add(-reply)
		need, mayWait = lacks(charges, outcomes, w.Charge, end.Sub(began))
	}
	if admitted {
		need.charge, mayWait = ahead, end.After(began)
	}
	limit := charges[w.Charge].Limit
	if !mayWait || !r.enterOrTell(limit, w.Waiters) {
		refuse(charges, outcomes, w.Charge)
		return outcomes, 0, nil
	}
	r.began()
	defer r.ended(limit)
	q := &request{room: r, charges: charges, wait: w, end: end, outcomes: outcomes, told: began}
	q.again, q.index = asksOf(charges)
	q.me = caller{call: make(chan struct{}, 1), seen: seen}
	if err := q.queue(ctx, need); err != nil {
		return nil, time.Since(began), err
	}
	return q.outcomes, time.Since(began), nil
}

// request is one whose caller waits in lines.
type request struct {
	room    *Room
	charges []buckets.Charge
	wait    Wait
	end     time.Time // of the wait
	me      caller

	outcomes []buckets.Outcome // of charges, as the store told last
	told     time.Time         // when it did

	// again is what the store is asked after the first time, and index where its
	// outcomes belong: what is given back or settled beside it was so at once.
	again []buckets.Charge
	index []int
}

// queue waits until the request is admitted or refused for good.
func (q *request) queue(ctx context.Context, need lack) error {
	r := q.room
	defer r.walkOut(&q.me)
	r.stand(&q.me, &q.charges[need.charge])
	q.wait.queued()
	next := q.told.Add(need.delay)
	timer := time.NewTimer(q.untilNext(next))
	defer timer.Stop()
	for {
		timed := false
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.drained:
			q.giveUp()
			return nil
		case <-q.wait.Changed:
			return ErrChanged
		case <-q.me.call:
			q.me.first = true
		case <-timer.C:
			if timed = true; !q.me.first {
				return q.look(ctx)
			}
		}
		over, err := q.turn(ctx, &next, timed)
		if over || err != nil {
			return err
		}
		timer.Reset(q.untilNext(next))
	}
}

// untilNext is how long until the first of a line asks, or a wait is over.
func (q *request) untilNext(next time.Time) time.Duration {
	if q.me.first && next.Before(q.end) {
		return time.Until(next)
	}
	return time.Until(q.end)
}

// turn is that of a first caller: he asks, or walks over to where the wait goes
// on. timed tells that he was told to ask now.
func (q *request) turn(ctx context.Context, next *time.Time, timed bool) (over bool, err error) {
	if gone := ctx.Err(); gone != nil {
		return true, gone
	}
	r := q.room
	if r.walkOver(&q.me, &q.charges[q.wait.Charge]) {
		*next = time.Now()
		return false, nil
	}
	q.me.seen = r.released.Load()
	if err := q.ask(ctx, q.again); err != nil {
		return true, err
	}
	need, mayWait := lacks(q.charges, q.outcomes, q.wait.Charge, q.end.Sub(q.told))
	if !mayWait || need.charge == nobody {
		return true, nil
	}
	if r.stand(&q.me, &q.charges[need.charge]); timed {
		need.delay = max(need.delay, Restraint(&q.charges[need.charge], &q.outcomes[need.charge]))
	}
	*next = q.told.Add(need.delay)
	return false, nil
}

// ask asks the store once more.
func (q *request) ask(ctx context.Context, charges []buckets.Charge) error {
	outcomes, err := q.room.store.Take(ctx, charges)
	if err != nil {
		return err
	}
	q.told = time.Now()
	for i, o := range outcomes {
		q.outcomes[q.index[i]] = o
	}
	return nil
}

// look ends the wait of a caller behind others, with the numbers of now.
func (q *request) look(ctx context.Context) error {
	err := q.ask(ctx, looks(q.again))
	refuse(q.charges, q.outcomes, q.wait.Charge)
	return err
}

// giveUp ends a wait with the numbers that were told last. It asks nobody: with
// 10,000 callers in a room that is drained that would be a burst on the store.
func (q *request) giveUp() {
	for i := range q.outcomes {
		if o := &q.outcomes[i]; !o.Admitted && o.Delay > 0 {
			o.Delay = max(o.Delay-time.Since(q.told), time.Microsecond)
		}
	}
	refuse(q.charges, q.outcomes, q.wait.Charge)
}
