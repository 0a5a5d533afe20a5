package memory_test

import (
	"testing"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/storetest"
)

func TestConformance(t *testing.T) { storetest.Run(t, subject()) }

func BenchmarkTake(b *testing.B) { storetest.Benchmark(b, subject()) }

// subject hands out one store as often as it is asked for: what replicas share
// in memory can only be the store itself.
func subject() storetest.Subject {
	return storetest.Subject{
		Open: func(_ testing.TB, n int, clock *storetest.Clock) []buckets.Store {
			options := memory.Options{}
			if clock != nil {
				options.Now = clock.Now
			}
			store := memory.New(options)
			var stores []buckets.Store
			for range n {
				stores = append(stores, store)
			}
			return stores
		},
	}
}
