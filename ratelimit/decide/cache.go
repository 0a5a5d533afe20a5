package decide

import (
	"strings"
	"sync"
	"time"

	"github.com/weir-rls/weir/ratelimit/stats"
)

// cache remembers which buckets are over their limit until their windows end, so that a
// client who is over costs the store nothing. It holds a bounded number of bytes: the
// entry that came first makes room.
//
// A library's cache would keep what is asked for most. Here all that is worth keeping is
// over and ends with its window, so the order in which entries came is as good, needs no
// goroutine of its own and is exact in bytes.
type cache struct {
	now func() time.Time
	max int // bytes

	mu      sync.Mutex
	entries map[string]*cached
	oldest  *cached // the ring of entries begins here; nil: there is none
	bytes   int
	seen    stats.Cache
}

// cached is a bucket whose count was above its limit.
type cached struct {
	key         string
	count       int64
	until       time.Time
	older, next *cached
}

// cachedBytes is what an entry takes beside its key: itself, and its place in the map.
const cachedBytes = 160

// newCache returns a cache of so many bytes, nil if none are given.
func newCache(bytes int, now func() time.Time) *cache {
	if bytes <= 0 {
		return nil
	}
	return &cache{now: now, max: bytes, entries: map[string]*cached{}}
}

// over tells that a bucket is known to have counted more than its limit in the window
// that has not ended yet, and how long that lasts.
func (c *cache) over(key string, limit int64) (left time.Duration, known bool) {
	if c == nil {
		return 0, false
	}
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen.Lookups++
	e := c.entries[key]
	if e != nil && !e.until.After(now) {
		c.drop(e)
		c.seen.Expired++
		e = nil
	}
	if e == nil || e.count <= limit { // the limit was raised since
		c.seen.Misses++
		return 0, false
	}
	c.seen.Hits++
	return e.until.Sub(now), true
}

// keep remembers a bucket's count, which is above its limit, until its window ends.
func (c *cache) keep(key string, count int64, until time.Time) {
	if c == nil || len(key)+cachedBytes > c.max {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[key]; e != nil {
		e.count, e.until = count, until
		c.seen.Overwritten++
		return
	}
	e := &cached{key: strings.Clone(key), count: count, until: until}
	for c.bytes += len(key) + cachedBytes; c.bytes > c.max; {
		c.drop(c.oldest)
		c.seen.Evacuated++
	}
	c.entries[e.key] = e
	if c.oldest == nil {
		e.older, e.next, c.oldest = e, e, e
		return
	}
	e.older, e.next = c.oldest.older, c.oldest
	e.older.next, e.next.older = e, e
}

// forget forgets a bucket that was given back to.
func (c *cache) forget(key string) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[key]; e != nil {
		c.drop(e)
	}
}

func (c *cache) drop(e *cached) {
	delete(c.entries, e.key)
	c.bytes -= len(e.key) + cachedBytes
	e.older.next, e.next.older = e.next, e.older
	if c.oldest == e {
		c.oldest = e.next
	}
	if e.next == e {
		c.oldest = nil
	}
}

// stats are what was counted since the start, and how many entries there are.
func (c *cache) stats() stats.Cache {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.seen
	seen.Entries = uint64(len(c.entries))
	return seen
}
