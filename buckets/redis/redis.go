// Package redis keeps buckets in Redis or Valkey, where all replicas share them.
//
// Each call is one Lua script on the server's own clock, so that it is atomic
// and no replica's clock matters. Nothing is ever sent twice: a call whose
// answer was lost may have been charged, and sending it again would charge
// again.
//
// The server must not evict (maxmemory-policy noeviction): an evicted bucket is
// a full one.
package redis

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-rls/weir/buckets"
)

// ErrFormat is wrapped by the error of a call that met a bucket written in a
// format this version does not know, as a newer version or another program may
// have left it. Nothing was charged. To take it for a full bucket would hand
// out a burst, so it stays until it expires or is deleted.
var ErrFormat = errors.New("a bucket is stored in a format that this version of weir cannot read")

// Outage tells that an error of a call is one of the server or of the way to it. Others
// are those of a bucket that the call named: the next call may be answered.
func Outage(err error) bool {
	return !errors.Is(err, ErrFormat) && !goredis.HasErrorPrefix(err, "WRONGTYPE") && !goredis.IsTryAgainError(err)
}

// Client is the part of a go-redis client that a [Store] needs. It must not
// retry: MaxRetries: -1.
type Client interface {
	Process(ctx context.Context, cmd goredis.Cmder) error
	Pipeline() goredis.Pipeliner
	Close() error
}

// Store keeps buckets on a Redis or Valkey server, or a Cluster of them.
type Store struct {
	client  *caller
	cluster bool // the server is a Cluster: no call spans several of them
	clock   clock
	queue   *queue
	traced  func(Flight) (landed func()) // nil: nobody wants to know
	probe   []buckets.Charge
	now     func() int64 // microseconds since the epoch, nil: the server's clock; only tests set it
}

var (
	_ buckets.Starter   = (*Store)(nil)
	_ buckets.Forgetter = (*Store)(nil)
)

// New returns a store on client, which it owns from then on.
func New(client Client) *Store {
	_, cluster := client.(*goredis.ClusterClient)
	s := &Store{client: &caller{Client: client}, cluster: cluster, clock: clock{local: steadyClock()}, probe: probeOf("")}
	s.queue = newQueue(s.takeOff)
	return s
}

// NoEviction is the only eviction policy that keeps all buckets.
const NoEviction = "noeviction"

// Eviction asks the server, of a Cluster one of them, which keys it evicts when it has no memory
// left: its maxmemory-policy, empty if it does not say.
func (s *Store) Eviction(ctx context.Context) (policy string, err error) {
	cmd := goredis.NewStringCmd(ctx, "info", "memory")
	if err := s.client.Process(ctx, cmd); err != nil {
		return "", fmt.Errorf("ask Redis what it evicts: %w", withDeadline(ctx, err))
	}
	for line := range strings.Lines(cmd.Val()) {
		if policy, found := strings.CutPrefix(line, "maxmemory_policy:"); found {
			return strings.TrimSpace(policy), nil
		}
	}
	return "", nil
}

// probeOf is admitted a million times a second, for what is refused is not written.
func probeOf(prefix string) []buckets.Charge {
	return []buckets.Charge{{
		Key: prefix + "{weir.probe}", Limit: "probe", Bucket: buckets.TokenBucket{Capacity: 1_000_000, TicksPerToken: 1, TicksPerQuantum: 1, Quantum: 1}, Cost: 1,
	}}
}

// Probe asks the server whether it judges and writes, by a bucket of its own: one that
// answers a ping may still load its data, be a replica, or have no memory left.
func (s *Store) Probe(ctx context.Context) error {
	_, err := s.Take(ctx, s.probe)
	return err
}

// Connections are those of a store, to Sentinels too.
type Connections struct {
	Open         int
	Made, Closed uint64 // since the store was opened
}

// Connections counts those of a store that [Open] made.
func (s *Store) Connections() Connections { return s.client.way.connections() }

// Close closes the connections. Calls under way fail.
func (s *Store) Close() error {
	s.queue.close()
	return s.client.Close()
}

// mostAttempts bounds how often a call is made that is told that its windows are
// over: twice is right, once more where a boundary lies between.
const mostAttempts = 3

// Take implements [buckets.Store]. Calls that are made at the same moment are judged
// together, see [queue]; when ctx ends its caller leaves, and the call is made all the
// same.
func (s *Store) Take(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("take from Redis: %w", err)
	}
	w := &waiter{answered: make(chan struct{})}
	s.Start(charges, w)
	select {
	case <-w.answered:
		return w.outcomes, w.err
	case <-ctx.Done():
		return nil, fmt.Errorf("take from Redis: %w", ctx.Err())
	}
}

// waiter is an asker who waits.
type waiter struct {
	answered chan struct{}
	outcomes []buckets.Outcome
	err      error
}

// Answer implements [buckets.Asker].
func (w *waiter) Answer(outcomes []buckets.Outcome, err error) {
	w.outcomes, w.err = outcomes, err
	close(w.answered)
}

// Start implements [buckets.Starter]. A call fails that takes longer than a second, or
// [Options.Patience].
func (s *Store) Start(charges []buckets.Charge, asker buckets.Asker) {
	switch {
	case len(charges) == 0:
		asker.Answer(nil, nil)
		return
	case len(charges) > buckets.MaxCharges:
		asker.Answer(nil, fmt.Errorf("%d charges in one call, at most %d are allowed", len(charges), buckets.MaxCharges))
		return
	}
	if err := s.start(charges, asker); err != nil {
		asker.Answer(nil, fmt.Errorf("take from Redis: %w", err))
	}
}

func (s *Store) start(charges []buckets.Charge, asker buckets.Asker) error {
	if s.cluster && spans(charges) {
		return s.startSplit(charges, asker)
	}
	r, err := newRequest(charges, asker)
	if err != nil {
		return err
	}
	return s.queue.add(r)
}

// Forget implements [buckets.Forgetter].
func (s *Store) Forget(ctx context.Context, keys []string) error {
	var errs []error
	for _, together := range bySlot(keys) {
		args := []any{"del"}
		for _, key := range together {
			args = append(args, key)
		}
		if err := s.client.Process(ctx, goredis.NewIntCmd(ctx, args...)); err != nil {
			errs = append(errs, fmt.Errorf("forget %d buckets in Redis: %w", len(together), withDeadline(ctx, err)))
		}
	}
	return errors.Join(errs...)
}

// withDeadline makes a time-out of the connection that ctx caused an error of
// ctx: go-redis passes the deadline on to the socket, and reports the socket's.
func withDeadline(ctx context.Context, err error) error {
	deadline, ok := ctx.Deadline()
	if ok && !time.Now().Before(deadline) && errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
	}
	return err
}
