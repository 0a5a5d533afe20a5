// Package storetest is the one conformance suite that every store of buckets
// passes: told stories, properties, a long comparison with an exact model, and
// concurrent histories that must be linearizable.
//
// The model counts in math/big.Rat from what a rule says (tokens, period,
// capacity), keeps windows as lists of single hits and slots as lists of leases,
// and shares no code with the product but its vocabulary.
package storetest

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// Subject is how the suite reaches one kind of store.
type Subject struct {
	// Open returns n stores that share one fresh state, as n replicas do. They
	// run on clock, or on their own where it is nil. They are closed when the
	// test ends.
	Open func(tb testing.TB, n int, clock *Clock) []buckets.Store

	// Held reads what is stored for a key of the stores opened last, and whether
	// anything is. Nil where nobody can see it.
	Held func(tb testing.TB, key string) (Record, bool)

	// MayNotAsk tells that buckets beside one that refuses need not be asked: their
	// outcomes may be admitted and Blind.
	MayNotAsk bool

	// Brief compares a tenth of the histories with the model and has a quarter of the
	// concurrent ones: what judges is that of another subject, and what is new is the way
	// to it.
	Brief bool

	// Disturb does to the stores opened last what operators do and no caller may
	// notice. It runs again and again beside concurrent calls. May be nil.
	Disturb func(tb testing.TB)
}

// Record is a stored bucket.
type Record struct {
	Value   string        // whatever changes when the bucket is written
	Expires int64         // the instant at which the store will forget it, in any unit
	TTL     time.Duration // the time until then, without what tests on an injected clock add
}

// Run runs the whole suite, about 100,000 operations of each kind of bucket.
func Run(t *testing.T, s Subject) {
	t.Run("stories", func(t *testing.T) { runStories(t, s) })
	t.Run("properties", func(t *testing.T) { runProperties(t, s) })
	t.Run("M-11 same answers as the model", func(t *testing.T) { runDifferential(t, s) })
	t.Run("M-13 linearizable", func(t *testing.T) { runConcurrent(t, s) })
}

// Clock is virtual time: it moves when a test says so.
type Clock struct{ micros atomic.Int64 }

// NewClock returns a clock that stands somewhere in 2026, at no round instant.
func NewClock() *Clock {
	c := &Clock{}
	c.Set(1_795_318_383_855_013)
	return c
}

// Micros is the time in microseconds since the epoch.
func (c *Clock) Micros() int64 { return c.micros.Load() }

// Now is the same instant.
func (c *Clock) Now() time.Time { return time.UnixMicro(c.Micros()) }

// Set moves the clock to an instant, forth or back.
func (c *Clock) Set(micros int64) { c.micros.Store(micros) }

// Advance moves the clock by d, which is rounded down to a microsecond.
func (c *Clock) Advance(d time.Duration) { c.micros.Add(d.Microseconds()) }
