// Package limiter limits how often a Go program does something: for each key, as
// often as a token bucket allows. A [Limiter] keeps its buckets in the program's
// own memory, or in Redis or Valkey, where all processes share them.
//
// A bucket holds at most its capacity of tokens, and tokens come back at its rate,
// each as soon as it is due. A call that asks for tokens gets all of them or none:
// within any time W a key gets at most its capacity and what comes back in W.
// Where a limit must never be exceeded in any window, capacity and rate have to
// fit into it together: at most 60 in any minute is a capacity of 30 and 30 a
// minute.
//
// A key names one bucket, whoever asks and whatever numbers he asks with. Two
// limits on the same user need two keys, such as "login user:7" and "api user:7".
// When the numbers of a key change, the tokens used stay used, as many as the new
// capacity holds.
//
// The counting is exact, in whole numbers on one clock: the machine's, or that of
// the Redis server. Package limiter/grpclimit has the interceptors for gRPC.
package limiter

import (
	"cmp"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/guard"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/redis"
	"github.com/weir-rls/weir/buckets/waiting"
)

// DefaultTimeout is how long a call waits for Redis where [Options] do not say:
// enough to open a connection within a region.
const DefaultTimeout = 100 * time.Millisecond

// Options are a [Limiter]'s settings. The zero value keeps buckets in this process.
type Options struct {
	// RedisURL names a Redis (7 or later) or Valkey server, as in
	// redis://user:password@host:6379/0, or rediss://... for TLS. Limiters with the
	// same URL share their buckets, with each other and with no rule of a weir that
	// uses the same database. The server must not evict keys (maxmemory-policy
	// noeviction). Log lines of go-redis cease in the whole program: all they say is in
	// the errors. Empty: this process's memory.
	RedisURL string

	// Timeout is how long a call waits for an answer of Redis, at most until its
	// context's deadline. 0: [DefaultTimeout].
	Timeout time.Duration

	// OnStoreError decides when Redis does not answer in time.
	OnStoreError OnStoreError

	// StoreFailed is told of each call that Redis did not answer, and why. It is
	// called by many goroutines at a time and must not block. May be nil.
	StoreFailed func(error)

	// MaxKeys bounds the buckets in this process's memory, each of some 220 bytes. A
	// full bucket is not kept. Beyond the bound new keys share one bucket for each
	// capacity and rate, so that whoever invents keys gains nothing.
	// 0: 1,000,000.
	MaxKeys int
}

// OnStoreError is what a call is told when Redis does not answer in time. The
// tokens may have been taken there all the same; nothing is asked twice.
type OnStoreError = buckets.OnStoreError

const (
	JudgeLocally OnStoreError = buckets.Local // judge in this process's memory, where each process has the whole limit; the default
	AdmitAll     OnStoreError = buckets.Allow // admit
	RefuseAll    OnStoreError = buckets.Deny  // refuse; nobody knows for how long
	ReturnError  OnStoreError = buckets.Fail  // return the error
)

// Limiter limits by key. It is safe for use by many goroutines.
type Limiter struct {
	onStoreError OnStoreError
	store        buckets.Store
	room         *waiting.Room
	shared       *redis.Store // nil: buckets are in this process
	guard        *guard.Guard // of shared
	closed       atomic.Bool
}

// New returns a limiter. It does not connect to Redis, the first call does; the
// error names the field of the options that cannot be used.
func New(o Options) (*Limiter, error) {
	switch {
	case o.Timeout < 0:
		return nil, fmt.Errorf("limiter: Options.Timeout is %v: give a time above 0, or 0 for %v", o.Timeout, DefaultTimeout)
	case o.MaxKeys < 0:
		return nil, fmt.Errorf("limiter: Options.MaxKeys is %d: give a number above 0, or 0 for %d", o.MaxKeys, memory.DefaultMaxBuckets)
	case o.OnStoreError > ReturnError:
		return nil, fmt.Errorf("limiter: Options.OnStoreError is %d: choose JudgeLocally, AdmitAll, RefuseAll or ReturnError", o.OnStoreError)
	}
	local := memory.New(memory.Options{MaxBuckets: o.MaxKeys})
	l := &Limiter{onStoreError: o.OnStoreError, store: local}
	if o.RedisURL != "" {
		shared, err := redis.Open(o.RedisURL)
		if err != nil {
			return nil, fmt.Errorf("limiter: Options.RedisURL: %w", err)
		}
		l.shared = shared
		l.guard = guard.New(guard.Options{
			Store: shared, Local: local, Timeout: cmp.Or(o.Timeout, DefaultTimeout), Observe: o.observe,
			Probe: shared.Probe, Outage: redis.Outage,
		})
		l.store = l.guard
	}
	l.room = waiting.New(waiting.Options{Store: steadfast{l.store}})
	return l, nil
}

// steadfast is a store whose answers are waited for, also by who has left: only who
// knows what he has reserved can give it back. The guard bounds the time.
type steadfast struct{ buckets.Store }

func (s steadfast) Take(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
	return s.Store.Take(context.WithoutCancel(ctx), charges)
}

func (o Options) observe(_ context.Context, _ time.Duration, err error) {
	if err != nil && o.StoreFailed != nil {
		o.StoreFailed(err)
	}
}

// Close refuses those who wait, gives back what they have reserved, which takes a
// second at most, and closes the connections to Redis. Nothing is to be asked of
// the limiter from then on.
func (l *Limiter) Close() error {
	if l.closed.Swap(true) {
		return nil
	}
	l.room.Drain()
	if l.shared == nil {
		return nil
	}
	l.guard.Close()
	return l.shared.Close()
}
