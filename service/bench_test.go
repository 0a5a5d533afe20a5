package service

import (
	"context"
	"testing"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/protobuf/proto"
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
			wire, codec := wireOf(b, request(c.texts...)), testCodec(func() {})
			b.ReportAllocs()
			for b.Loop() {
				w.now = w.now.Add(c.pause)
				if _, err := w.exchange(context.Background(), codec, wire); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func wireOf(t interface{ Fatal(...any) }, r *rls.RateLimitRequest) []byte {
	wire, err := proto.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return wire
}

// allocations is how many a request makes, from its wire form to that of its
// answer, a second after the one before.
func (w *world) allocations(texts ...string) float64 {
	w.t.Helper()
	wire, codec := wireOf(w.t, request(texts...)), testCodec(func() {})
	return testing.AllocsPerRun(200, func() {
		w.now = w.now.Add(time.Second)
		if _, err := w.exchange(context.Background(), codec, wire); err != nil {
			w.t.Fatal(err)
		}
	})
}
