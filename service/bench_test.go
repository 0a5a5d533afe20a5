package service

import (
	"context"
	"testing"
	"time"
)

// One decision on the memory store without the network: what weir adds to the
// cost of gRPC.
func BenchmarkShouldRateLimit(b *testing.B) {
	for _, c := range []struct {
		name  string
		texts []string
		pause time.Duration // virtual time between requests; without it nearly all are refused
	}{
		{"admitted", []string{"pool=backend,api=a"}, time.Second},
		{"admitted by three descriptors", []string{"pool=backend,api=a", "user=u", "free=x"}, time.Minute},
		{"refused", []string{"pool=backend,api=a"}, 0},
	} {
		b.Run(c.name, func(b *testing.B) {
			w := newWorld(b, weighted)
			r := request(c.texts...)
			b.ReportAllocs()
			for b.Loop() {
				w.now = w.now.Add(c.pause)
				if _, err := w.ShouldRateLimit(context.Background(), r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
