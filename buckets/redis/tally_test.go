package redis_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-rls/weir/buckets/redis"
)

// Replicas add at the same time, and a server loses its scripts: nothing is lost or
// counted twice, and the sums do not stay for ever.
func TestC13_TallySumsWhatAllReplicasCount(t *testing.T) {
	onServers(t, func(t *testing.T, s *redis.Store, admin *goredis.Client) {
		const replicas, times = 4, 50
		var all sync.WaitGroup
		for range replicas {
			all.Go(func() {
				for i := range times {
					if _, err := s.Tally(t.Context(), "shop/{units}", []int64{3, 1, 0}); err != nil {
						t.Error(err)
					}
					if i == times/2 {
						admin.ScriptFlush(t.Context())
					}
				}
			})
		}
		all.Wait()
		sums, err := s.Tally(t.Context(), "shop/{units}", []int64{0, 0, 7})
		if want := []int64{3 * replicas * times, replicas * times, 7}; err != nil || !slices.Equal(sums, want) {
			t.Errorf("the sums are %v, %v, want %v", sums, err, want)
		}
		if other, err := s.Tally(t.Context(), "shop/other", []int64{1}); err != nil || other[0] != 1 {
			t.Errorf("another name's sum is %v, %v", other, err)
		}
		keys := admin.Keys(t.Context(), "*").Val()
		for _, key := range keys {
			if ttl := admin.PTTL(t.Context(), key).Val(); ttl <= 0 || ttl > time.Minute {
				t.Errorf("%s lives %v", key, ttl)
			}
		}
		if len(keys) != 2 {
			t.Errorf("the keys are %q", keys)
		}
	})
}
