package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// Benchmark measures requests of one, two and four charges, one after another
// and in parallel.
func Benchmark(b *testing.B, s Subject) {
	bucket, err := buckets.NewTokenBucket(1_000_000, time.Second, 1_000_000)
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1, 2, 4} {
		charges := make([]buckets.Charge, n)
		for i := range charges {
			charges[i] = buckets.Charge{Key: fmt.Sprintf("{bench}%d", i), Limit: "bench", Bucket: bucket, Cost: 1}
		}
		b.Run(fmt.Sprintf("charges=%d", n), func(b *testing.B) {
			store := s.Open(b, 1, nil)[0]
			for b.Loop() {
				if _, err := store.Take(b.Context(), charges); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("charges=%d,parallel", n), func(b *testing.B) {
			store := s.Open(b, 1, nil)[0]
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := store.Take(b.Context(), charges); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
