package redis_test

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-rls/weir/buckets/redis"
	"github.com/weir-rls/weir/buckets/storetest"
)

// What leases may hand out is divided by the number of replicas, so one that is
// alive must never be missed, and one that is gone not be counted for ever.
func TestAliveCountsWhoBeatWithinThreeSeconds(t *testing.T) {
	onServers(t, func(t *testing.T, s *redis.Store, _ *goredis.Client) {
		clock := storetest.NewClock()
		s.SetNow(clock.Micros)
		const seed = 6
		random := rand.New(rand.NewPCG(seed, seed))
		last := map[string]int64{} // the millisecond of each replica's last heartbeat
		for step := range 500 {
			clock.Advance(time.Duration(random.IntN(4)) * 500 * time.Millisecond) // so that the third second is met exactly
			now := clock.Micros() / 1000
			id := strconv.Itoa(random.IntN(5))
			last[id] = now
			want := int64(0)
			for _, beat := range last {
				if now-beat < 3000 {
					want++
				}
			}
			if got, err := s.Alive(t.Context(), id); err != nil || got != want {
				t.Fatalf("seed %d, step %d: %d replicas are alive, %v, want %d", seed, step, got, err, want)
			}
		}
	})
}

// On the server's own clock, after its scripts were lost, and with nothing left when
// nobody beats any more.
func TestHeartbeatsRunOnTheServersClockAndExpire(t *testing.T) {
	onServers(t, func(t *testing.T, s *redis.Store, admin *goredis.Client) {
		before := admin.Time(t.Context()).Val().UnixMilli()
		for i, id := range []string{"a", "b", "a"} {
			want := int64(min(i+1, 2))
			if got, err := s.Alive(t.Context(), id); err != nil || got != want {
				t.Errorf("heartbeat %d: %d replicas are alive, %v, want %d", i, got, err, want)
			}
			admin.ScriptFlush(t.Context())
		}
		after := admin.Time(t.Context()).Val().UnixMilli()
		keys := admin.Keys(t.Context(), "*").Val()
		if len(keys) != 1 {
			t.Fatalf("the keys are %q, want one", keys)
		}
		for _, beat := range admin.ZRangeWithScores(t.Context(), keys[0], 0, -1).Val() {
			if at := int64(beat.Score); at < before || at > after {
				t.Errorf("%v beat at %d, want a time of the server's between %d and %d", beat.Member, at, before, after)
			}
		}
		if ttl := admin.PTTL(t.Context(), keys[0]).Val(); ttl <= 0 || ttl > 3*time.Second {
			t.Errorf("heartbeats live %v, want 3s", ttl)
		}
	})
}
