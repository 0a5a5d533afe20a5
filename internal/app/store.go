package app

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/guard"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/redis"
	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/internal/telemetry"
	"github.com/weir-rls/weir/traffic"
)

// store is the bucket store as the settings want it: memory alone, or Redis
// behind a guard that falls back on memory.
type store struct {
	buckets.Store
	redis   *redis.Store
	guard   *guard.Guard
	denials *guard.DenyCache // nil: there is none
	leases  *guard.Leases    // nil: there are none
	beats   *heartbeat
	missing atomic.Bool // it is waited for, and has not answered yet
}

func openStore(s config.Settings, metrics *telemetry.Metrics, seen *traffic.Traffic, tracing *telemetry.Tracing, log *slog.Logger) (*store, error) {
	local := memory.New(memory.Options{MaxBuckets: s.MemoryMaxBuckets})
	metrics.Buckets(local.Held, local.Overflowed)
	if s.Store != config.StoreRedis {
		return &store{Store: traced(tracing, s.Store, local)}, nil
	}
	shared, err := openRedis(s, tracing, log)
	if err != nil {
		return nil, err
	}
	watch := &storeWatch{metrics: metrics, traffic: seen, log: log}
	beats := newHeartbeat(shared)
	options := guard.Options{
		Store: shared, Local: local, Timeout: s.StoreTimeout, Observe: watch.observe, Probe: shared.Probe, Outage: redis.Outage,
		Replicas: func() int64 { return cmp.Or(beats.Last(), int64(s.Replicas)) },
		Degraded: func(by buckets.OnStoreError) {
			metrics.Degraded(by.String())
			seen.Degraded()
		},
	}
	if tracing != nil {
		options.Trace = tracing.StoreCall
	}
	guarded := guard.New(options)
	metrics.Replicas(func() int64 { return beats.Count(beats.now()) })
	metrics.StoreAsked(func() bool { return !guarded.Open() })
	opened := &store{Store: traced(tracing, s.Store, guarded), redis: shared, guard: guarded, beats: beats}
	opened.missing.Store(s.WaitForStore)
	if s.DenyCache { // before the guard, whose timer an answer of this replica's does not need
		opened.denials = guard.NewDenyCache(guard.DenyCacheOptions{Store: opened.Store})
		opened.Store = opened.denials
		metrics.DeniedFromCache(opened.denials.Answered)
	}
	if s.Leases {
		opened.leases = guard.NewLeases(guard.LeasesOptions{Store: opened.Store, Replicas: beats.Count, Now: beats.now})
		opened.Store = opened.leases
		metrics.Leases(opened.leases.Answered, opened.leases.Held)
	}
	return opened, nil
}

// traced makes spans of the calls to a store, if there are traces.
func traced(t *telemetry.Tracing, kind string, s telemetry.ForgettingStore) buckets.Store {
	if t == nil {
		return s
	}
	return t.Store(kind, s)
}

// rulesChanged ends what is remembered of refusals by other rules, and taken ahead by them.
func (s *store) rulesChanged() {
	if s.leases != nil {
		s.leases.Drop()
	}
	if s.denials != nil {
		s.denials.Drop()
	}
}

// greet asks Redis whether it is there and keeps what it is told, so that a wrong address is in the log
// before the first request meets it. It is no error: limits are judged without
// Redis until it answers, or, if it is waited for, this replica is not ready until then.
func (s *store) greet(ctx context.Context, log *slog.Logger) {
	if s.redis == nil {
		return
	}
	policy, err := s.eviction(ctx)
	if err != nil && s.missing.Load() {
		log.Warn("the bucket store does not answer, and is waited for", "error", err.Error(), "remedy", remedy(err))
		for err != nil && ctx.Err() == nil {
			time.Sleep(greetAgain)
			policy, err = s.eviction(ctx)
		}
	}
	s.missing.Store(false)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		log.Warn("the bucket store does not answer; limits are judged by their on_store_error until it does", "error", err.Error(), "remedy", remedy(err))
	case policy != "" && policy != redis.NoEviction:
		log.Warn("the bucket store may evict buckets, and an evicted bucket is a full one", "maxmemory_policy", policy, "remedy", "set maxmemory-policy "+redis.NoEviction)
	}
}

// greetAgain is the pause between greetings of a store that is waited for.
const greetAgain = 100 * time.Millisecond

func (s *store) eviction(ctx context.Context) (policy string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return s.redis.Eviction(ctx)
}

// Close gives back what was taken ahead, and ends the connections to Redis.
func (s *store) Close() error {
	if s.leases != nil {
		s.leases.Close()
	}
	if s.redis == nil {
		return nil
	}
	s.guard.Close()
	return s.redis.Close()
}

// storeWatch counts the calls to the shared store, and logs when it begins and
// ceases to fail.
type storeWatch struct {
	metrics *telemetry.Metrics
	traffic *traffic.Traffic
	log     *slog.Logger
	spell   guard.Spell
}

func (w *storeWatch) observe(ctx context.Context, took time.Duration, err error) {
	w.metrics.Store(took, kindOf(err), telemetry.TraceOf(ctx))
	if err != nil {
		w.traffic.StoreFailed()
	}
	switch began, ceased := w.spell.Note(err); {
	case began:
		w.log.Error("the bucket store fails; limits are judged by their on_store_error", "error", err.Error())
	case ceased:
		w.log.Info("the bucket store answers again")
	}
}

// kindOf is an error's word in the metrics, "" for none.
func kindOf(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, guard.ErrOpen): // whatever it failed with before
		return "open"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, guard.ErrBusy):
		return "busy"
	}
	return "error"
}
