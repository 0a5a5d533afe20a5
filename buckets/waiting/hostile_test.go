package waiting_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/waiting"
)

// Clients who come, choose keys and costs, and leave must leave nothing behind:
// no memory, no goroutine, no count, and no reservation that could be given back.
func TestTenThousandWhoJoinAndLeaveLeaveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New(memory.Options{})
		var left, moved atomic.Int64
		r := waiting.New(waiting.Options{
			Store: store,
			Left: func(_ string, fate waiting.Fate) {
				if fate == waiting.HandedOver {
					moved.Add(1)
				} else {
					left.Add(1)
				}
			},
		})
		random := rand.New(rand.NewPCG(1, 4))
		charge, other := tokens(t, 1, 30*time.Second, 3), tokens(t, 1, time.Hour, 3)
		other.Key = "{k}other"
		charge.Cost = 3
		call(t.Context(), r, 0, slots(1, "held"))
		call(t.Context(), r, 0, charge)
		ctx, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for i := range 10_000 {
			charge.Cost = random.Int64N(3) + 1
			asked := [][]buckets.Charge{{charge}, {slots(1, fmt.Sprint(i))}, {other, slots(1, fmt.Sprint(i))}}[random.IntN(3)]
			if i%3 == 0 {
				asked[0].Key = fmt.Sprint("{k}", i) // nobody else's
			}
			mine, leaveAlone := context.WithCancel(ctx)
			if random.IntN(2) == 0 {
				time.AfterFunc(time.Duration(random.IntN(1000))*time.Millisecond, leaveAlone)
			}
			all.Go(func() {
				defer leaveAlone()
				call(mine, r, 24*time.Hour, asked...)
			})
		}
		elapse(time.Second)
		if r.Waiting() == 0 {
			t.Error("nobody waits")
		}
		leave()
		all.Wait()
		empty(t, r)
		if r.Waiting() != 0 {
			t.Errorf("%d are counted as waiting", r.Waiting())
		}
		if left.Load() < 1000 || moved.Load() < 500 {
			t.Errorf("only %d reservations were given back or lost, %d handed over", left.Load(), moved.Load())
		}
	})
}

// Everything at once, for the race detector: callers of all kinds, releases, those
// who leave, and a drain in the middle.
func TestEverythingAtOnce(t *testing.T) {
	for n := range 20 {
		synctest.Test(t, func(t *testing.T) {
			store := memory.New(memory.Options{})
			rooms := []*waiting.Room{newRoom(store), newRoom(store)}
			charge := tokens(t, 2000, time.Second, 2)
			var all sync.WaitGroup
			for i := range 300 {
				all.Go(func() {
					r, slot := rooms[i%2], slots(4, fmt.Sprint(i))
					asked := [][]buckets.Charge{{charge}, {slot}, {charge, slot}}[i%3]
					ctx, leave := context.WithCancel(t.Context())
					defer leave()
					if i%5 == 0 {
						time.AfterFunc(time.Duration(i/10)*time.Millisecond, leave)
					}
					if v := call(ctx, r, time.Second, asked...); v.passed() && i%3 > 0 {
						giveBack(t, r, store, slot)
					}
				})
			}
			if n%2 == 0 {
				all.Go(func() {
					elapse(2 * time.Millisecond)
					rooms[0].Drain()
					rooms[0].Drain()
				})
			}
			all.Wait()
			empty(t, rooms...)
		})
	}
}

// BenchmarkTake tells what a room costs callers who need not wait: of nothing, of
// a token bucket that they would wait for, and of two limits.
func BenchmarkTake(b *testing.B) {
	one, two := []buckets.Outcome{{Admitted: true}}, []buckets.Outcome{{Admitted: true}, {Admitted: true}}
	r := newRoom(storeFunc(func(_ context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
		if len(charges) == 1 {
			return one, nil
		}
		return two, nil
	}))
	charge := tokens(b, 1, time.Second, 1)
	wait := waiting.Wait{Max: time.Second, Waiters: 10}
	for name, run := range map[string]struct {
		charges []buckets.Charge
		wait    waiting.Wait
	}{
		"no wait":       {[]buckets.Charge{charge}, waiting.Wait{}},
		"reserving":     {[]buckets.Charge{charge}, wait},
		"of two limits": {[]buckets.Charge{charge, slots(1, "a")}, wait},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := r.Take(b.Context(), run.charges, run.wait); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
