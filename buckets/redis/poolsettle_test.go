package redis_test

import (
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/redis"
)

// What is told of a pool after an outage names no class: it counts for the pool that the
// classes draw from.
func TestWhatIsSettledOfAPoolCountsForItsClasses(t *testing.T) {
	onServers(t, func(t *testing.T, s *redis.Store, _ *goredis.Client) {
		pool, classes, err := buckets.NewPool(buckets.Terms{Tokens: 20, Period: 24 * time.Hour, Capacity: 20},
			[]buckets.ClassTerms{{Guarantee: 5, Period: 24 * time.Hour, Reserve: 5, Borrow: true}})
		if err != nil {
			t.Fatal(err)
		}
		take := buckets.Charge{Key: "{pool}", Limit: "l", Bucket: pool, Cost: 4, Class: &classes[0], ClassKey: "{pool}/class"}
		told := take
		told.Class, told.ClassKey, told.Mode, told.Cost = nil, "", buckets.Settle, 10
		if o, err := s.Take(t.Context(), []buckets.Charge{take}); err != nil || !o[0].Admitted {
			t.Fatal(o, err)
		}
		if o, err := s.Take(t.Context(), []buckets.Charge{told}); err != nil || o[0].Lost != 0 {
			t.Fatal(o, err)
		}
		o, err := s.Take(t.Context(), []buckets.Charge{take})
		if err != nil || !o[0].Admitted || pool.Remaining(o[0].Used) != 2 {
			t.Errorf("%+v, %v: %d of 20 are left, want 2", o, err, pool.Remaining(o[0].Used))
		}
		if o, err = s.Take(t.Context(), []buckets.Charge{take}); err != nil || o[0].Admitted {
			t.Errorf("%+v, %v: more was admitted than the pool has", o, err)
		}
	})
}
