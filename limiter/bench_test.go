package limiter_test

import (
	"strconv"
	"testing"

	"github.com/weir-rls/weir/limiter"
)

func BenchmarkAllow(b *testing.B) {
	opts := []limiter.Option{limiter.WithCapacity(1_000_000), limiter.WithRate(1_000_000)}
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = "user:" + strconv.Itoa(i)
	}
	for _, c := range []struct {
		name string
		opts []limiter.Option
	}{{"allowed", opts}, {"refused", nil}} {
		b.Run(c.name, func(b *testing.B) {
			l := open(b, limiter.Options{})
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := l.Allow(b.Context(), keys[i%len(keys)], c.opts...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("parallel", func(b *testing.B) {
		l := open(b, limiter.Options{})
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				if _, err := l.Allow(b.Context(), keys[i%len(keys)], opts...); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

// What a program pays for each call must not grow unnoticed.
func TestAllowAllocatesLittle(t *testing.T) {
	l := open(t, limiter.Options{})
	opts := []limiter.Option{limiter.WithCapacity(1_000_000), limiter.WithRate(1000)}
	allow(t, l, "user:7", opts...)
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() { _, _ = l.Allow(ctx, "user:7", opts...) }); n > 10 {
		t.Errorf("a call allocates %v times, at most 10 are expected", n)
	}
}
