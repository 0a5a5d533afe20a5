package simulate

import (
	"math"
	"time"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/internal/ruletest"
	"github.com/weir-rls/weir/service"
)

// Verdict is what became of one request.
type Verdict struct {
	Admitted bool
	Reason   string // of a refusal: limit, unmatched or excess
	Limit    string // that refused, or that held
	Waited   time.Duration
	At       int64 // when it was told, in microseconds since the epoch
}

// assumed is what is taken for true where a trace does not say how requests ended.
type assumed struct {
	status   int
	duration time.Duration
}

// replay is rules while a trace runs through them.
type replay struct {
	rules   *descriptors.Rules
	replica *ruletest.Replica
	waits   *waits
	events  queue[event]
	assumed assumed
	tally   tally
	// decided is told the verdict on a row, which is the caller's no more from then on.
	decided func(number int64, row *Row, v Verdict)
}

// newReplay returns rules with full buckets.
func newReplay(rules *descriptors.Rules, start int64, a assumed, decided func(int64, *Row, Verdict)) *replay {
	r := &replay{rules: rules, assumed: a, decided: decided}
	r.waits = newWaits(func() time.Time { return r.replica.Now() })
	r.tally.init(rules, start)
	observer := r.tally.observer()
	r.replica = ruletest.New(rules, ruletest.Options{Start: micros(start), Observe: &observer, Between: r.waits.between})
	return r
}

// ask judges a request at its time, after what happens before. Rows come in the order of
// their times.
func (r *replay) ask(number int64, row *Row) error {
	if err := r.until(row.At); err != nil {
		return err
	}
	r.replica.Move(micros(row.At))
	r.tally.came(row.At)
	return r.judge(&caller{row: row, number: number}, false)
}

// until lets everything happen that does up to a time.
func (r *replay) until(end int64) error {
	for {
		at, e, ok := r.events.next(end)
		if !ok {
			return nil
		}
		r.replica.Move(micros(at))
		if err := r.happen(at, &e); err != nil {
			return err
		}
	}
}

// finish lets everybody be admitted or refused who is held yet.
func (r *replay) finish() error { return r.until(math.MaxInt64) }

func (r *replay) happen(at int64, e *event) error {
	c := e.caller
	if c == nil {
		r.waits.begin()
		r.tally.begin()
		if err := r.replica.End(e.domain, e.receipt, int64(e.status)); err != nil {
			return err
		}
		for _, first := range r.waits.released() {
			first.wakes, first.called = at, true
			r.events.push(at, event{caller: first})
		}
		return nil
	}
	switch {
	case c.gone:
	case at >= c.end:
		return r.judge(c, c.line.first() != c)
	case c.line.first() == c && c.wakes == at:
		return r.judge(c, false)
	}
	return nil
}

// judge judges a caller, the first time or again. deny tells that his time is over and
// others were before him.
func (r *replay) judge(c *caller, deny bool) error {
	now := r.replica.Now().UnixMicro()
	left, turn := time.Duration(math.MaxInt64), (*caller)(nil)
	if c.line != nil {
		left, turn = time.Duration(max(0, c.end-now))*time.Microsecond, c
	}
	if deny {
		left = 0
	}
	r.waits.asks(&c.row.Request, left, turn, deny)
	r.tally.begin()
	judged, err := r.replica.Judge(&c.row.Request, left)
	switch {
	case r.waits.full:
		return r.judge(c, true)
	case r.waits.lack != nil:
		r.hold(c, now)
		return nil
	case err != nil:
		return err
	}
	line := c.line
	waited := time.Duration(now-c.row.At)*time.Microsecond + r.waits.slept
	if line == nil {
		waited = r.waits.slept
	} else {
		r.waits.leave(c)
	}
	r.settled(c, &judged, waited, now)
	if line != nil {
		r.callFirst(line, now)
	}
	return nil
}

// hold puts a caller in line.
func (r *replay) hold(c *caller, now int64) {
	w := r.waits
	before := c.line
	if before == nil {
		c.charged, c.end = w.name, now+w.limit.MaxWait.Microseconds()
		r.events.push(c.end, event{caller: c})
	}
	w.stand(c, w.lack)
	called := c.called
	c.wakes, c.called = 0, false
	if w.delay > 0 && c.line.first() == c {
		c.wakes = now + max(w.delay.Microseconds(), 1)
		if w.turn == c && !called { // others took what he was told of
			c.wakes = max(c.wakes, now+max(w.rests.Microseconds(), 1))
		}
		r.events.push(c.wakes, event{caller: c})
	}
	if before != nil && before != c.line {
		r.callFirst(before, now)
	}
}

// callFirst lets the first of a line ask, who was behind another until now.
func (r *replay) callFirst(l *line, now int64) {
	if first := l.first(); first != nil {
		first.wakes, first.called = now, true
		r.events.push(now, event{caller: first})
	}
}

// settled counts a verdict, and has the request end in its time.
func (r *replay) settled(c *caller, j *service.Judgement, waited time.Duration, now int64) {
	v := Verdict{Admitted: j.Admitted, Reason: j.Reason, Waited: waited, At: now}
	if j.Limit != nil {
		v.Limit = j.Limit.Name
	}
	if waited > 0 && j.Admitted {
		v.Limit = r.waits.limit.Name
	}
	r.tally.count(&v, c.row, r.waits.limit)
	if j.Receipt != "" {
		e, lasts := event{domain: c.row.Request.Domain, receipt: j.Receipt, status: r.assumed.status}, r.assumed.duration
		if c.row.HasTime {
			lasts = c.row.Duration
		} else {
			r.tally.noTime++
		}
		if c.row.HasStatus {
			e.status = c.row.Status
		} else if r.tally.asksStatus() {
			r.tally.noStatus++
		}
		r.events.push(now+(r.waits.slept+lasts).Microseconds(), e)
	}
	if r.decided != nil {
		r.decided(c.number, c.row, v)
	}
}
