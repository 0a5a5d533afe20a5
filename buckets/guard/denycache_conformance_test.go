package guard_test

import (
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/guard"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/storetest"
)

// A store behind the cache gives the same answers as the model, to the last tick,
// for requests of any kind. Replicas that share a cache learn of all changes.
func TestConformanceBehindTheDenyCache(t *testing.T) {
	var caches []*guard.DenyCache
	storetest.Run(t, storetest.Subject{
		MayNotAsk: true,
		Open: func(_ testing.TB, n int, clock *storetest.Clock) []buckets.Store {
			o, m := guard.DenyCacheOptions{}, memory.Options{}
			if clock != nil {
				m.Now = clock.Now
				o.Now = func() time.Duration { return time.Duration(clock.Micros()) * time.Microsecond }
			}
			o.Store = memory.New(m)
			cache := guard.NewDenyCache(o)
			caches = append(caches, cache)
			var stores []buckets.Store
			for range n {
				stores = append(stores, cache)
			}
			return stores
		},
	})
	answered := uint64(0)
	for _, cache := range caches {
		answered += cache.Answered()
	}
	t.Logf("%d calls were answered by a cache", answered)
	if answered < 1000 {
		t.Errorf("the cache answered %d calls only", answered)
	}
}
