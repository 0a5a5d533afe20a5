package guard_test

import (
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/guard"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/storetest"
)

// A store behind leases gives the same answers as the model, to the last tick, for
// requests of any kind, for nothing there may be leased: no bucket is large enough.
func TestConformanceBehindLeases(t *testing.T) {
	storetest.Run(t, storetest.Subject{
		Brief: true,
		Open: func(tb testing.TB, n int, clock *storetest.Clock) []buckets.Store {
			o, m := guard.LeasesOptions{Replicas: func(time.Duration) int64 { return int64(n) }}, memory.Options{}
			if clock != nil {
				m.Now = clock.Now
				o.Now = func() time.Duration { return time.Duration(clock.Micros()) * time.Microsecond }
			}
			o.Store = memory.New(m)
			var stores []buckets.Store
			for range n {
				leases := guard.NewLeases(o)
				tb.Cleanup(leases.Close)
				stores = append(stores, leases)
			}
			return stores
		},
	})
}
