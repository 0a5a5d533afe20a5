package decide

import (
	"context"
	"testing"
	"time"
)

// One decision on the memory store without the network, from the wire form of the request
// to the answer.
func BenchmarkShouldRateLimit(b *testing.B) {
	for _, c := range []struct {
		name   string
		asked  []string
		change func(*Options)
	}{
		{"one limit", []string{"most=v"}, nil},
		{"one limit refused", []string{"none=v"}, nil},
		{"one limit refused by the cache", []string{"none=v"}, func(o *Options) { o.Settings.LocalCacheBytes = 1 << 20 }},
		{"three limits", []string{"most=v", "ten=v", "five=v"}, nil},
		{"three limits, stop", []string{"most=v", "ten=v", "five=v"}, func(o *Options) { o.Settings.StopIncrement = true }},
		{"headers and metadata", []string{"most=v"}, func(o *Options) {
			o.Settings.Headers, o.Settings.DynamicMetadata = Headers{true, "L", "M", "S"}, true
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			w, asked := newWorld(b, several, c.change), request(c.asked...)
			b.ReportAllocs()
			for b.Loop() {
				w.clock.advance(time.Microsecond)
				if _, err := w.ShouldRateLimit(context.Background(), asked); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
