package buckets

// Judge decides the charges of one request and is the reference for every
// store. states[i] is what is kept of the bucket of charge i, and classes[i] of
// its class's, nil where it has none; charges with equal keys share one state.
// Judge brings the states to now, in microseconds since the epoch, and applies
// to them what stands.
//
// Judging is sequential: a bucket that is charged twice in one request is
// judged the second time after what was asked of it the first time, granted or
// not, for the request needs both. The request passes if every enforcing charge
// is admitted and, where it has quota charges, at least one of them; then each
// admitted charge stands. Otherwise nothing is taken, and only refunds and
// settlements stand: what somebody gives back is his, and what was used is used,
// whether or not what he asks for beside it is granted.
//
// A gate that refuses stops the judging: nothing in the call stands but what came
// before the gate, and what follows it is not admitted.
func Judge(charges []Charge, states, classes []*State, now int64) []Outcome {
	var cells [few]cell // on the stack: most requests have few charges
	var first [few]ask
	outcomes := make([]Outcome, len(charges))
	asks, met := first[:0], cells[:0]
	for i := range charges {
		a := ask{Charge: &charges[i], class: none}
		met, a.cell = meet(met, a.Key, a.Bucket, states[i], now)
		if a.Class != nil {
			met, a.class = meet(met, a.ClassKey, a.Class.Guarantee, classes[i], now)
		}
		asks = append(asks, a)
	}
	t := table{now: now, cells: met}
	closed := false
	for i := range asks {
		outcomes[i].Now = now
		if closed {
			continue
		}
		t.judge(&asks[i], &outcomes[i])
		closed = charges[i].Role == Gate && !outcomes[i].Admitted
	}
	if !closed && passes(charges, outcomes) {
		for i := range asks {
			if charges[i].Mode == Take && outcomes[i].Admitted {
				t.apply(&asks[i], outcomes[i].Borrowed)
			}
		}
	}
	for i := range asks {
		t.report(&asks[i], &outcomes[i])
	}
	return outcomes
}

// few is how many charges and buckets a call may have that Judge needs no heap for.
// Clearing room for [MaxCharges] would cost each call more than its judging.
const few = 4

// passes tells whether the request is admitted as a whole.
func passes(charges []Charge, outcomes []Outcome) bool {
	quotas, met := false, false
	for i := range charges {
		switch charges[i].Role {
		case Enforce:
			if !outcomes[i].Admitted && charges[i].Asks() {
				return false
			}
		case Quota:
			if charges[i].Asks() {
				quotas, met = true, met || outcomes[i].Admitted
			}
		}
	}
	return met || !quotas
}

// table is the buckets of one request while it is judged.
type table struct {
	now   int64
	cells []cell
}

// cell is one bucket. Takes are only counted while the request is judged, and
// applied if it passes; all else is applied at once.
type cell struct {
	key     string
	state   *State
	pending int64 // ticks asked for so far by the request
}

// ask is one charge and the cells that it is judged on.
type ask struct {
	*Charge
	cell, class int
}

const none = -1

// meet is the number of a key's cell among cells, a new one at their end if need be.
func meet(cells []cell, key string, b Bucket, s *State, now int64) ([]cell, int) {
	for i := range cells {
		if cells[i].key == key {
			return cells, i
		}
	}
	b.level(s, now)
	return append(cells, cell{key: key, state: s}), len(cells)
}

// used is the level of a cell with what the request has asked of it so far.
func (t *table) used(i int, b Bucket) int64 {
	level, pending := b.level(t.cells[i].state, t.now), t.cells[i].pending
	if pending > 0 {
		pending = min(pending, room(b, level))
	}
	return level + pending
}

// room is how many ticks a request may count for a bucket beyond its level. One that
// asks for more than a full bucket can never pass, so past that and the deepest
// level nothing counts, and the numbers stay exact.
func room(b Bucket, level int64) int64 { return max(0, b.Full()+b.Deepest()-level) }

// demand counts ticks that the request asks of a cell.
func (t *table) demand(i int, b Bucket, ticks int64) {
	c := &t.cells[i]
	c.pending = min(c.pending+ticks, room(b, b.level(c.state, t.now)))
}

func (t *table) judge(a *ask, o *Outcome) {
	state, ticks := t.cells[a.cell].state, a.Ticks()
	o.Admitted = true
	switch a.Mode {
	case Refund:
		// A class gets back what its pool does: more, and the pool would hold less than
		// what it guarantees.
		if b, ok := a.Bucket.(TokenBucket); ok {
			ticks = b.returnable(ticks, a.At, t.now)
		}
		a.Bucket.give(state, a.Charge, ticks, t.now)
		if a.class != none {
			a.Class.Guarantee.give(t.cells[a.class].state, a.Charge, ticks, t.now)
		}
	case Settle:
		o.Lost = a.Bucket.settle(state, a.Charge, ticks, t.now)
		if a.class != none {
			a.Class.Guarantee.settle(t.cells[a.class].state, a.Charge, ticks, t.now)
		}
	case Cancel:
		o.Admitted = cancel(a.Charge, state, ticks, t.now)
	default:
		t.take(a, o, ticks)
	}
}

// take judges what is asked of a bucket, or of a pool by one of its classes.
func (t *table) take(a *ask, o *Outcome, ticks int64) {
	if held(a, t) { // a lease that is renewed asks for nothing more
		return
	}
	used, hopeless := t.used(a.cell, a.Bucket), a.Hopeless()
	if a.class == none {
		over := used + ticks - a.Bucket.Full()
		o.Admitted = over <= a.MayOwe && !hopeless
		if over > 0 && !hopeless {
			o.Delay = a.Bucket.delay(t.cells[a.cell].state, over, t.now)
		}
	} else {
		mine := t.used(a.class, a.Class.Guarantee)
		o.Admitted, o.Borrowed = a.Class.admits(a.Bucket, used, mine, ticks)
		if !o.Admitted && !hopeless {
			o.Delay = a.Class.Delay(a.Bucket, used, mine, ticks)
		}
	}
	if a.Mode != Take || !o.Admitted && a.Role != Enforce {
		return
	}
	t.demand(a.cell, a.Bucket, ticks)
	if a.class != none && !o.Borrowed {
		t.demand(a.class, a.Class.Guarantee, ticks)
	}
}

// held tells that the charge names a lease that is held already.
func held(a *ask, t *table) bool {
	s, ok := a.Bucket.(Slots)
	return ok && a.Lease != "" && s.holds(t.cells[a.cell].state, a.Lease)
}

// apply takes what was admitted. A lease that is renewed keeps the accounts that
// it has.
func (t *table) apply(a *ask, borrowed bool) {
	ticks, renewed := a.Ticks(), held(a, t)
	a.Bucket.add(t.cells[a.cell].state, a.Charge, ticks, t.now)
	if a.class == none {
		return
	}
	class := t.cells[a.class].state
	if s, ok := a.Class.Guarantee.(Slots); ok && renewed && !s.holds(class, a.Lease) || borrowed {
		return
	}
	a.Class.Guarantee.add(class, a.Charge, ticks, t.now)
}

// report tells where the buckets stand once the request is decided.
func (t *table) report(a *ask, o *Outcome) {
	state := t.cells[a.cell].state
	o.Used = a.Bucket.level(state, t.now)
	o.Reset = a.Bucket.reset(state, t.now)
	if a.class != none {
		o.ClassUsed = a.Class.Guarantee.level(t.cells[a.class].state, t.now)
	}
}
