package events

import (
	"sync"
	"time"
)

const (
	// maxBreakers bounds the breakers that [Breakers] remember: there is one for each
	// value of a descriptor, and clients choose values. Of more at a time than this
	// nobody is told.
	maxBreakers = 10_000

	// forgotten is how long a breaker that is not closed is remembered when it is
	// full, and settled is how long one is that has closed.
	forgotten = int64(time.Hour / time.Microsecond)
	settled   = int64(time.Minute / time.Microsecond)

	// skew is the most by which calls under way can overtake one another. What seems
	// to come from longer ago comes from a clock that was set back.
	skew = int64(10 * time.Second / time.Microsecond)
)

const closed = "closed"

// Breakers find out when circuit breakers move, from what this replica is told of
// their states. The zero value is ready.
type Breakers struct {
	mu    sync.Mutex
	known map[string]*breaker
	swept int64 // when it was last looked for what can be forgotten
}

// breaker is the last that was seen of one breaker; one that is not known is
// closed.
type breaker struct {
	state string
	at    int64
}

// Moved tells whether the breaker with a key is in another state than when it was
// last seen, and in which it was. at is when it was seen, in microseconds since the
// epoch on the store's clock: what is told late, of a time before, moves nothing.
func (b *Breakers) Moved(key, state string, at int64) (from string, moved bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.known[key]
	switch {
	case k == nil && state == closed:
		return "", false
	case k == nil:
		if !b.room(at) {
			return "", false
		}
		k = &breaker{state: closed}
		b.known[key] = k
	case at < k.at && k.at-at < skew:
		return "", false
	}
	from, k.at = k.state, at
	k.state = state
	return from, from != state
}

// room makes room for one more, and tells whether there is any. It looks for it
// once a second: requests wait for that.
func (b *Breakers) room(now int64) bool {
	if b.known == nil {
		b.known = map[string]*breaker{}
	}
	if len(b.known) < maxBreakers {
		return true
	}
	if now-b.swept < int64(time.Second/time.Microsecond) && now >= b.swept {
		return false
	}
	b.swept = now
	for key, k := range b.known {
		if age := now - k.at; age > forgotten || age > settled && k.state == closed {
			delete(b.known, key)
		}
	}
	return len(b.known) < maxBreakers
}
