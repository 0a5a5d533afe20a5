package waiting

import (
	"container/list"
	"context"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// reservable tells whether a request may reserve: it asks a single token bucket.
// With others beside it, tokens would be debited now that are used later, which
// breaks the others' bounds, as it does the guarantees of a pool.
func reservable(charges []buckets.Charge) bool {
	b, ok := charges[0].Bucket.(buckets.TokenBucket)
	return ok && len(charges) == 1 && charges[0].Class == nil && b.Ahead > 0
}

// mayOwe is what a bucket refills in whole quanta of a wait, at most what may be
// reserved of it.
func mayOwe(b buckets.TokenBucket, wait time.Duration) int64 {
	quanta := wait.Microseconds() / b.Quantum
	if quanta > b.Ahead/b.TicksPerQuantum {
		return b.Ahead
	}
	return quanta * b.TicksPerQuantum
}

// reserve asks for the tokens now or later, in one step: the bucket is overdrawn
// by as much as refills during the wait, and by no more (the generic cell rate
// algorithm with a delay in place of a refusal, ITU-T I.371). At 10/s with a
// burst of 1 and a wait of 500 ms, seven callers at once are told 0, 100, ...,
// 500 ms, and the seventh a refusal of 600 ms.
func (r *Room) reserve(ctx context.Context, charges []buckets.Charge, w Wait) ([]buckets.Outcome, time.Duration, error) {
	limit := charges[0].Limit
	if !r.enter(limit, w.Waiters) {
		outcomes, err := r.store.Take(ctx, charges)
		// The places may have been those of calls under way, which needed none.
		if err != nil || outcomes[0].Admitted || !r.enterOrTell(limit, w.Waiters) {
			return outcomes, 0, err
		}
	}
	reserving := []buckets.Charge{charges[0]}
	reserving[0].MayOwe = mayOwe(charges[0].Bucket.(buckets.TokenBucket), w.Max)
	asking, stop := steadfast(ctx)
	defer stop()
	outcomes, err := r.store.Take(asking, reserving)
	if err != nil || !outcomes[0].Admitted || outcomes[0].Delay <= 0 {
		r.leave(limit)
		return outcomes, 0, err
	}
	r.began()
	defer r.ended(limit)
	return r.sleep(ctx, charges[0], outcomes, &w)
}

// steadfast is ctx without its end but for its deadline. A caller who leaves while
// the store is asked for his reservation must learn of it, to give it back: nobody
// else would, and its tokens would pass unused.
func steadfast(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(context.WithoutCancel(ctx), deadline)
	}
	return context.WithoutCancel(ctx), func() {}
}

// sleep holds the caller of a reservation until its instant has come.
func (r *Room) sleep(ctx context.Context, c buckets.Charge, outcomes []buckets.Outcome, w *Wait) ([]buckets.Outcome, time.Duration, error) {
	began, o := time.Now(), &outcomes[0]
	c.Mode, c.Place = buckets.Cancel, c.Bucket.(buckets.TokenBucket).State(o.Used, o.Now).Place
	s := &sleeper{charge: &c, answer: make(chan answer, 1)}
	r.schedule(s, slot{due: o.Now + o.Delay.Microseconds(), at: began.Add(o.Delay), give: &c})
	w.queued()
	var a answer
	select {
	case a = <-s.answer:
	case <-ctx.Done():
		if r.depart(s) {
			return nil, time.Since(began), ctx.Err()
		}
		a = <-s.answer
	}
	if !a.released {
		o.Admitted, o.Delay, o.Used = false, max(a.delay, time.Microsecond), max(0, o.Used-c.Ticks())
	}
	return outcomes, time.Since(began), nil
}

func (r *Room) schedule(c *sleeper, reserved slot) {
	key := scheduleKey{c.charge.Key, c.charge.Cost}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.schedules[key]
	if s == nil {
		s = &schedule{key: key, callers: list.New()}
		r.schedules[key] = s
	}
	s.add(c, reserved)
	if r.draining() {
		r.dismiss(s)
		return
	}
	r.arm(s)
}

// arm sets the timer for the first slot, and forgets a schedule that has none.
func (r *Room) arm(s *schedule) {
	switch {
	case len(s.slots) == 0:
		if s.timer != nil {
			s.timer.Stop()
		}
		if r.schedules[s.key] == s {
			delete(r.schedules, s.key)
		}
	case s.timer == nil:
		s.timer = time.AfterFunc(time.Until(s.slots[0].at), func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			s.release(time.Now())
			r.arm(s)
		})
	default:
		s.timer.Reset(time.Until(s.slots[0].at))
	}
}

// depart takes out a caller who leaves, if he was not answered meanwhile. His slot
// goes to the caller behind him, whose own goes to the next, and the last one is
// given back, if the store finds that it still is the bucket's last. To refund the
// tokens instead would let newcomers in for the times of callers who still wait:
// at 1/s with a burst of 1 and 200 callers, of whom the first 100 leave for 100
// newcomers, 22 instead of 11 are released within 10 s.
func (r *Room) depart(c *sleeper) bool {
	r.mu.Lock()
	if c.element == nil {
		r.mu.Unlock()
		return false
	}
	s := r.schedules[scheduleKey{c.charge.Key, c.charge.Cost}]
	spare, handedOver := s.remove(c)
	r.giveBack(spare)
	r.arm(s)
	r.mu.Unlock()
	if handedOver {
		r.options.Left(c.charge.Limit, HandedOver)
	}
	return true
}

// dismiss refuses everybody of a schedule and gives the slots back.
func (r *Room) dismiss(s *schedule) {
	r.giveBack(s.dismiss(time.Now())...)
	r.arm(s)
}
