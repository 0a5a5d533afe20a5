// Package waiting holds callers until what they ask of a store is there.
//
// What asks a single token bucket reserves: the store tells when its tokens are
// there, first come first served over all replicas. Anything else that waits is
// asked for again, as a whole, first come first served within this replica, and
// holds and owes nothing meanwhile.
package waiting

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// Options are a room's settings. Only Store is required.
type Options struct {
	Store buckets.Store
	// Left is told what became of the reservation of a caller who left.
	Left func(limit string, fate Fate)
	// MaxWaiters is how many callers of all limits wait at a time, 0: each limit's own
	// bound is the only one. Full is told of each who is refused for it; it may be nil.
	MaxWaiters int
	Full       func()
}

// Fate is what becomes of a reservation whose caller left.
type Fate string

const (
	HandedOver Fate = "handed_over" // the callers behind moved up; what became of the last of their places is told as well
	GivenBack  Fate = "given_back"  // it was the bucket's last, and its tokens are back
	Lost       Fate = "lost"        // others reserved after it, or the store did not answer: its tokens pass unused
)

// Wait says which of a request's charges lets its caller wait, and how long.
type Wait struct {
	Charge  int           // the charge whose limit lets callers wait: an enforced [buckets.Take], or nobody waits
	Max     time.Duration // at most this long; 0 or less does not wait
	Waiters int           // at most this many callers of the charge's Limit wait in this replica

	// Changed is what [Room.Changed] was before the charges were made, nil for
	// charges that never change.
	Changed <-chan struct{}

	// Queued is called once the caller has his place among those who wait, and not
	// at all if he need not wait: who asks from then on comes after him. May be nil.
	Queued func()
}

func (w *Wait) queued() {
	if w.Queued != nil {
		w.Queued()
	}
}

// ErrChanged ends the wait of a caller who waits in a line when the rules change:
// his charges say what the rules said before, of more slots nothing. Nothing was
// taken; he is to ask anew.
var ErrChanged = errors.New("the rules have changed while a request waited")

// Room holds callers. Its memory is bounded by those it holds: nothing is kept
// for a bucket that nobody waits for.
type Room struct {
	options Options
	store   buckets.Store

	released atomic.Uint64 // calls of Released: one that comes while a newcomer is judged is not missed
	waiting  atomic.Int64
	drained  chan struct{}                 // closed by Drain
	changed  atomic.Pointer[chan struct{}] // closed by Change
	life     context.Context
	end      context.CancelFunc
	errands  chan struct{} // a place for each call that gives reservations back

	mu        sync.Mutex
	places    map[string]int // callers who wait or are about to, by limit
	taken     int            // places of all limits
	schedules map[scheduleKey]*schedule
	spares    map[string][]slot // reservations to be given back, by bucket; somebody does it while there is an entry
	returned  *sync.Cond        // an entry of spares is gone
	lines     map[string][]*line
}

// New returns an empty room.
func New(o Options) *Room {
	if o.Left == nil {
		o.Left = func(string, Fate) {}
	}
	if o.Full == nil {
		o.Full = func() {}
	}
	if o.MaxWaiters == 0 {
		o.MaxWaiters = math.MaxInt
	}
	r := &Room{
		options: o, store: o.Store,
		drained: make(chan struct{}), errands: make(chan struct{}, maxErrands),
		places: map[string]int{}, schedules: map[scheduleKey]*schedule{},
		spares: map[string][]slot{}, lines: map[string][]*line{},
	}
	r.life, r.end = context.WithCancel(context.Background())
	r.returned = sync.NewCond(&r.mu)
	changed := make(chan struct{})
	r.changed.Store(&changed)
	return r
}

// Take is [buckets.Store.Take] that may take a while: it answers when the request
// is admitted or cannot be within the wait. waited is how long its caller was
// held for it.
//
// A refusal that no waiting helps comes at once, and so does one when too many
// wait already; nothing was taken then, and nobody who waits was overtaken. An
// error of the store ends the wait, and ctx does too, with its own error: what
// is admitted then is taken all the same.
func (r *Room) Take(ctx context.Context, charges []buckets.Charge, w Wait) (outcomes []buckets.Outcome, waited time.Duration, err error) {
	if w.Max <= 0 || charges[w.Charge].Mode != buckets.Take || charges[w.Charge].Role != buckets.Enforce {
		outcomes, err = r.store.Take(ctx, charges)
		return outcomes, 0, err
	}
	if reservable(charges) && r.ahead(charges) == nobody {
		return r.reserve(ctx, charges, w)
	}
	return r.lineUp(ctx, charges, w)
}

// Changed is closed when the rules change next.
func (r *Room) Changed() <-chan struct{} { return *r.changed.Load() }

// Change tells those who wait in lines that the rules have changed. Who has
// reserved keeps what he was told.
func (r *Room) Change() {
	next := make(chan struct{})
	close(*r.changed.Swap(&next))
}

// Waiting is how many callers wait.
func (r *Room) Waiting() int { return int(r.waiting.Load()) }

// Released wakes who waits for the bucket of a charge's Key, of all classes where
// it is a pool: slots or tokens were given back to it in this replica.
func (r *Room) Released(key string) {
	r.released.Add(1)
	if r.waiting.Load() == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.lines[key] {
		l.callFirst()
	}
}

// ErrCannotForget is what [Room.Forget] answers if the store is no
// [buckets.Forgetter].
var ErrCannotForget = errors.New("the bucket store cannot forget single buckets")

// Forget makes buckets as if they were never seen, and lets those ask who wait in
// lines for them. Who has reserved keeps the instant that he was told.
func (r *Room) Forget(ctx context.Context, keys []string) error {
	store, ok := r.store.(buckets.Forgetter)
	if !ok {
		return ErrCannotForget
	}
	if err := store.Forget(ctx, keys); err != nil {
		return err
	}
	for _, key := range keys {
		r.Released(key)
	}
	return nil
}

// Drain refuses everybody who waits, with the delay that is left, and lets nobody
// wait from then on. It returns when the reservations are given back, which is
// tried for a second.
func (r *Room) Drain() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.draining() {
		close(r.drained)
		time.AfterFunc(patience, r.end)
		for _, s := range r.schedules {
			r.dismiss(s)
		}
	}
	for len(r.spares) > 0 {
		r.returned.Wait()
	}
}

func (r *Room) draining() bool {
	select {
	case <-r.drained:
		return true
	default:
		return false
	}
}

// enter counts a caller of a limit who may have to wait, if there is a place.
func (r *Room) enter(limit string, most int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining() || r.places[limit] >= most || r.taken >= r.options.MaxWaiters {
		return false
	}
	r.places[limit]++
	r.taken++
	return true
}

// enterOrTell is enter, and tells of a caller who would have found a place if the
// room had one.
func (r *Room) enterOrTell(limit string, most int) bool {
	if r.enter(limit, most) {
		return true
	}
	r.mu.Lock()
	full := !r.draining() && r.places[limit] < most && r.taken >= r.options.MaxWaiters
	r.mu.Unlock()
	if full {
		r.options.Full()
	}
	return false
}

func (r *Room) leave(limit string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken--
	if r.places[limit]--; r.places[limit] == 0 {
		delete(r.places, limit)
	}
}

// began and ended count a caller who waits.
func (r *Room) began() { r.waiting.Add(1) }

func (r *Room) ended(limit string) {
	r.waiting.Add(-1)
	r.leave(limit)
}
