package simulate

import (
	"container/list"
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/waiting"
	"github.com/weir-rls/weir/descriptors"
)

// errHeld ends the judging of a request whose caller is held, or would be: nothing was
// taken.
var errHeld = errors.New("the caller is held")

// waits stands between a room and its store and has the room hold nobody, for that
// would take real time. Who reserves tokens is admitted at once, and how long he is held
// is told; of anybody else who would be held that is told in place of a verdict. Its
// memory is bounded by those who are held.
type waits struct {
	rules *descriptors.Rules
	store buckets.Store
	room  *waiting.Room // foresees who would be held
	now   func() time.Time

	any bool // some limit lets callers wait

	// Of the request that is asked.
	at    int                // its charge whose limit lets it wait
	limit *descriptors.Limit // that limit
	name  string             // as charges name it
	left  time.Duration      // that it may still be held, math.MaxInt64: as its limits say
	turn  *caller            // who asks again, nil: a newcomer
	deny  bool               // nobody is held or admitted: the caller's time is over

	// What became of it.
	slept time.Duration   // he is held for what he reserved
	lack  *buckets.Charge // what he is held for otherwise
	delay time.Duration   // until he may have it, 0: until somebody gives it back
	rests time.Duration   // that he lets others be if he was told of it before
	full  bool            // he would be held if fewer were
	freed []string        // keys of buckets that were given something back

	asleep map[string]*dues // by the limit of charges: that of a pool is one, whoever draws
	lines  map[lineKey]*line
}

// lineKey names a bucket that callers stand in line for, of a pool what a class has of it.
type lineKey struct{ bucket, class string }

// line is those who wait for one bucket, first come first.
type line struct {
	key     lineKey
	callers list.List // of *caller
}

// dues is when those who have reserved go, the soonest first: all of a limit's buckets
// together, so not in the order of their coming.
type dues struct {
	held int     // in lines
	due  []int64 // a heap
}

func newWaits(now func() time.Time) *waits {
	return &waits{now: now, room: waiting.New(waiting.Options{}), asleep: map[string]*dues{}, lines: map[lineKey]*line{}}
}

// between is given to the replica.
func (w *waits) between(rules *descriptors.Rules, store buckets.Store) buckets.Store {
	w.rules, w.store = rules, store
	w.any = slices.ContainsFunc(rules.Limits(), func(l *descriptors.Limit) bool { return l.MaxWait > 0 })
	return w
}

// begin forgets what became of the request before.
func (w *waits) begin() {
	w.at, w.limit, w.left, w.turn, w.deny = nobody, nil, 0, nil, false
	w.slept, w.lack, w.delay, w.rests, w.full, w.freed = 0, nil, 0, 0, false, w.freed[:0]
}

// asks is begin for a request that may be held: for the first of its limits that lets
// callers wait.
func (w *waits) asks(request *descriptors.Request, left time.Duration, turn *caller, deny bool) {
	w.begin()
	w.left, w.turn, w.deny = left, turn, deny
	if !w.any {
		return
	}
	found, charge := w.rules.Resolve(request), 0
	for i := range found.Matches {
		m := &found.Matches[i]
		if m.Limit.Unlimited {
			continue
		}
		if m.Limit.MaxWait > 0 && m.Charge.Mode == buckets.Take && m.Charge.Role == buckets.Enforce {
			w.at, w.limit, w.name = charge, m.Limit, m.Charge.Limit
			return
		}
		charge++
	}
}

// Take implements [buckets.Store].
func (w *waits) Take(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
	for i := range charges {
		if c := &charges[i]; c.Mode == buckets.Refund || c.Mode == buckets.Settle {
			w.freed = append(w.freed, c.Key)
		}
	}
	if w.turn != nil || w.deny {
		charges = asksOnly(charges)
	}
	at := w.at
	if at == nobody || w.left == 0 && !w.deny || at >= len(charges) || charges[at].Mode != buckets.Take {
		return w.store.Take(ctx, charges)
	}
	ahead := w.ahead(charges)
	if charges[0].MayOwe > 0 && ahead == nobody {
		return w.reserve(ctx, charges)
	}
	return w.lineUp(ctx, charges, at, ahead)
}

// asksOnly are charges of which those that give back or settle do nothing: they were made
// when the caller asked first.
func asksOnly(charges []buckets.Charge) []buckets.Charge {
	asked := slices.Clone(charges)
	for i := range asked {
		if c := &asked[i]; !c.Asks() {
			c.Cost = 0
		}
	}
	return asked
}

// nobody is the index of no charge.
const nobody = -1

// reserve has the caller of a reservation admitted at once.
func (w *waits) reserve(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
	d := w.duesOf(charges[0].Limit)
	if d.full(w.limit, w.now().UnixMicro()) {
		charges = []buckets.Charge{charges[0]}
		charges[0].MayOwe = 0
	}
	outcomes, err := w.store.Take(ctx, charges)
	if err == nil && outcomes[0].Admitted && outcomes[0].Delay > 0 {
		w.slept, outcomes[0].Delay = outcomes[0].Delay, 0
		d.push(outcomes[0].Now + w.slept.Microseconds())
	}
	return outcomes, err
}

// lineUp asks for all that a request needs, and tells who would be held for it.
func (w *waits) lineUp(ctx context.Context, charges []buckets.Charge, at, ahead int) ([]buckets.Outcome, error) {
	asked := make([]buckets.Charge, len(charges))
	for i, c := range charges {
		c.MayOwe = 0
		if (ahead != nobody || w.deny) && c.Mode == buckets.Take {
			c.Mode = buckets.Look
		}
		asked[i] = c
	}
	outcomes, err := w.store.Take(ctx, asked)
	if err != nil {
		return nil, err
	}
	lack := lackOf(charges, outcomes)
	switch {
	case lack == nobody && ahead == nobody && !w.deny:
		return outcomes, nil
	case lack == nobody && w.deny:
		outcomes[at].Admitted, outcomes[at].Borrowed, outcomes[at].Delay = false, false, poll
		return outcomes, nil
	case w.deny:
		return outcomes, nil
	case lack != nobody:
		most := waiting.Wait{Charge: at, Max: min(w.left, w.limit.MaxWait), Waiters: math.MaxInt}
		delay, held := w.room.Foresee(charges, outcomes, most)
		if !held {
			return outcomes, nil
		}
		w.delay, w.rests = delay, waiting.Restraint(&charges[lack], &outcomes[lack])
	default:
		lack = ahead
	}
	if w.turn == nil && w.duesOf(charges[at].Limit).full(w.limit, w.now().UnixMicro()) {
		w.full = true
		return nil, errHeld
	}
	w.lack = &charges[lack]
	if _, slots := w.lack.Bucket.(buckets.Slots); !slots && w.delay == 0 {
		w.delay = poll
	}
	return nil, errHeld
}

// poll is what a caller is told who was not judged, as a room tells him.
const poll = 50 * time.Millisecond

// lackOf is the charge that keeps a request waiting longest.
func lackOf(charges []buckets.Charge, outcomes []buckets.Outcome) int {
	worst, quota, met := nobody, nobody, false
	for i := range charges {
		c, o := &charges[i], &outcomes[i]
		switch {
		case !c.Asks() || c.Role == buckets.Shadow:
		case c.Role == buckets.Quota:
			met = met || o.Admitted
			if !o.Admitted && (quota == nobody || o.Delay < outcomes[quota].Delay) {
				quota = i
			}
		case !o.Admitted && (worst == nobody || o.Delay > outcomes[worst].Delay):
			worst = i
		}
	}
	if quota != nobody && !met && (worst == nobody || outcomes[quota].Delay > outcomes[worst].Delay) {
		return quota
	}
	return worst
}

// ahead is a charge for whose bucket somebody waits who came before. Who has waited comes
// after those alone who wait for the limit that lets callers wait.
func (w *waits) ahead(charges []buckets.Charge) int {
	if len(w.lines) == 0 {
		return nobody
	}
	for i := range charges {
		if w.turn != nil && i != w.at {
			continue
		}
		c := &charges[i]
		if c.Role != buckets.Enforce || !c.Asks() {
			continue
		}
		if l := w.lines[lineKey{c.Key, c.ClassKey}]; l != nil && (w.turn == nil || w.turn.line != l) {
			return i
		}
	}
	return nobody
}

func (w *waits) duesOf(charged string) *dues {
	d := w.asleep[charged]
	if d == nil {
		d = &dues{}
		w.asleep[charged] = d
	}
	return d
}
