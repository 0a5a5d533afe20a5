package traffic

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-rls/weir/descriptors"
)

// Options are what a [Traffic] looks at, each second. All are required.
type Options struct {
	Rules func() *descriptors.Rules // those now in force, nil if there are none
	// Counted is how often something became of a limit, by a word of metrics.
	Counted func(t *descriptors.Tally, outcome string) uint64
	Waiting func() int  // requests that are held
	StoreUp func() bool // whether the store is asked
}

// Traffic is what happened on this replica. What tells it something is on the way of a
// request, and pays a few nanoseconds; the rest is done once in a second by [Traffic.Run].
type Traffic struct {
	options Options
	places  [MaxLimits]atomic.Pointer[limit]
	full    atomic.Bool // there is no place for another limit
	service service
	streams streams

	mu         sync.Mutex
	started    time.Time
	second     int // seconds from then on, the last one that is complete
	limits     map[name]*limit
	rules      *descriptors.Rules // that the limits were last compared with
	everFull   bool
	unfollowed atomic.Bool // a limit was met that has no place
}

type name struct{ domain, limit string }

// New returns what nothing happened on yet.
func New(o Options) *Traffic {
	return &Traffic{options: o, service: newService(), streams: newStreams(), started: time.Now(), limits: map[name]*limit{}}
}

// Run counts seconds until ctx ends, and then ends all streams.
func (t *Traffic) Run(ctx context.Context) {
	defer t.EndStreams()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			t.tick(time.Now())
		}
	}
}

// tick ends a second. If the machine was too busy for some, what happened in them
// counts for the last.
func (t *Traffic) tick(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	second := int(now.Sub(t.started) / time.Second)
	if second <= t.second {
		return
	}
	for missed := min(second-t.second-1, max(Seconds, 10*Tens)); missed > 0; missed-- {
		t.service.skip(second - missed)
		for _, l := range t.limits {
			l.skip(second - missed)
		}
	}
	t.second = second
	t.service.tick(second)
	t.prune()
	for _, l := range t.limits {
		l.tick(second, t.options.Counted)
	}
	t.streams.tell(t.event)
}

// prune gives the places of limits free that the rules have no more, and if others need
// them of those that nobody meets.
func (t *Traffic) prune() {
	rules := t.options.Rules()
	if rules != t.rules && rules != nil {
		stated := make(map[name]bool, len(t.limits))
		for _, l := range rules.Limits() {
			if of := (name{l.Domain, l.Name}); t.limits[of] != nil {
				stated[of] = true
			}
		}
		for _, domain := range rules.Domains() {
			stated[name{domain, descriptors.OverrideName}] = true
		}
		for of := range t.limits {
			if !stated[of] {
				t.release(of)
			}
		}
	}
	t.rules = rules
	if !t.full.Load() {
		return
	}
	for of, l := range t.limits {
		if t.second-l.lastMet >= int(IdleAfter.Seconds()) {
			t.release(of)
		}
	}
}

// wasFollowed is the place of a limit that has none any more.
const wasFollowed = MaxLimits + 1

func (t *Traffic) release(of name) {
	l := t.limits[of]
	delete(t.limits, of)
	t.places[l.place].Store(nil)
	l.tally.Place.Store(wasFollowed)
	t.full.Store(false)
	t.unfollowed.Store(false)
}

// Use is what a request, or the end of one, did to a limit.
type Use uint8

const (
	Passed  Use = iota // the request was not refused by the limit
	Refused            // by the limit, or would have been if it were not in shadow mode
	Settled            // what had been used was charged later
)

// Met is told of a use of the bucket of a limit that has a key, after the limit's tally
// was told. The key is empty for a limit that has no buckets.
func (t *Traffic) Met(l *descriptors.Limit, key string, u Use, tokens int64) {
	tally := l.Tally.Load()
	if tally == nil {
		return
	}
	if place := tally.Place.Load(); place-1 < MaxLimits {
		if followed := t.places[place-1].Load(); followed != nil && followed.tally == tally {
			followed.met(key, u, tokens)
			return
		}
	}
	if followed := t.follow(l, tally); followed != nil {
		followed.met(key, u, tokens)
	}
}

// follow gives a limit a place, if there is one.
func (t *Traffic) follow(l *descriptors.Limit, tally *descriptors.Tally) *limit {
	if t.full.Load() {
		if !t.unfollowed.Load() {
			t.unfollowed.Store(true)
		}
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	of := name{l.Domain, l.Name}
	if known := t.limits[of]; known != nil {
		return known
	}
	if len(t.limits) == MaxLimits {
		t.full.Store(true)
		t.unfollowed.Store(true)
		t.everFull = true
		return nil
	}
	followed := newLimit(of, tally, t.second)
	if tally.Place.Load() != 0 || t.everFull { // it was met before, when nobody looked
		followed.begin(t.options.Counted)
	}
	for t.places[followed.place].Load() != nil {
		followed.place++
	}
	t.places[followed.place].Store(followed)
	tally.Place.Store(uint32(followed.place) + 1)
	t.limits[of] = followed
	return followed
}
