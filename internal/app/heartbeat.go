package app

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/weir-rls/weir/buckets/guard"
	"github.com/weir-rls/weir/buckets/redis"
)

// heartbeat tells Redis that this replica is alive, and learns how many are.
type heartbeat struct {
	guard.Replicas
	redis *redis.Store
	id    string
	start time.Time
}

func newHeartbeat(shared *redis.Store) *heartbeat {
	return &heartbeat{redis: shared, id: rand.Text(), start: time.Now()}
}

// now is the clock of leases and of heartbeats.
func (h *heartbeat) now() time.Duration { return time.Since(h.start) }

// run beats until ctx ends. One that fails is not told: the store's own calls fail then
// too, and are.
func (h *heartbeat) run(ctx context.Context) {
	ticks := time.NewTicker(guard.BeatEvery)
	defer ticks.Stop()
	for {
		h.beat(ctx)
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return
		}
	}
}

func (h *heartbeat) beat(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, guard.BeatEvery)
	defer cancel()
	sent := h.now()
	if count, err := h.redis.Alive(ctx, h.id); err == nil {
		h.Heard(sent, count)
	}
}
