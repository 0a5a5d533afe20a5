package guard_test

import (
	"context"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/guard"
	"github.com/weir-rls/weir/buckets/memory"
)

// connection is a store that one goroutine answers for, like a connection that
// serves many callers.
type connection chan question

type question struct {
	charges []buckets.Charge
	asker   buckets.Asker
}

func (c connection) Start(charges []buckets.Charge, asker buckets.Asker) {
	c <- question{charges, asker}
}

type waits chan []buckets.Outcome

func (w waits) Answer(outcomes []buckets.Outcome, _ error) { w <- outcomes }

func (c connection) Take(_ context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
	w := make(waits, 1)
	c.Start(charges, w)
	return <-w, nil
}

func newConnection(b *testing.B) connection {
	c, outcomes := make(connection, 1024), make([]buckets.Outcome, 1)
	b.Cleanup(func() { close(c) })
	go func() {
		for q := range c {
			q.asker.Answer(outcomes, nil)
		}
	}()
	return c
}

// What the guard adds to a call: bare is what it is measured against.
func BenchmarkTake(b *testing.B) {
	stores := map[string]func(b *testing.B) buckets.Store{
		"memory":     func(*testing.B) buckets.Store { return memory.New(memory.Options{}) },
		"connection": func(b *testing.B) buckets.Store { return newConnection(b) },
	}
	for name, open := range stores {
		for _, guarded := range []bool{false, true} {
			way := map[bool]string{false: "/bare", true: "/guarded"}[guarded]
			b.Run(name+way, func(b *testing.B) {
				store := open(b)
				if guarded {
					store = guard.New(guard.Options{
						Store: store, Local: memory.New(memory.Options{}), Timeout: time.Second,
						Observe: func(context.Context, time.Duration, error) {},
					})
				}
				charges := []buckets.Charge{charge("{a}", 1, buckets.Allow)}
				ctx, cancel := context.WithCancel(b.Context())
				defer cancel()
				b.ReportAllocs()
				b.SetParallelism(16)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if _, err := store.Take(ctx, charges); err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
	}
}
