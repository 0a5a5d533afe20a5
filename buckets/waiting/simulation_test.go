package waiting_test

import (
	"context"
	"flag"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/waiting"
)

// seed replays one simulation: go test ./buckets/waiting -run Simulation -seed 17
var seed = flag.Int("seed", -1, "replay the simulation of this seed alone")

// visit is one caller of a simulation.
type visit struct {
	at     time.Duration // after the start
	room   int
	cost   int64
	wait   time.Duration
	leaves time.Duration // after it came, 0: never
}

// release is a caller who was let go.
type release struct {
	visit
	index int
	at    time.Duration
}

// taker is the room, or what is tried instead of it.
type taker func(ctx context.Context, v visit, charge buckets.Charge) ([]buckets.Outcome, error)

// naive is the mutant of the safe rule that refunds the tokens of whoever leaves.
func naive(store buckets.Store) taker {
	return func(ctx context.Context, v visit, charge buckets.Charge) ([]buckets.Outcome, error) {
		b := charge.Bucket.(buckets.TokenBucket)
		charge.MayOwe = min(b.Ahead, v.wait.Microseconds()/b.Quantum*b.TicksPerQuantum)
		outcomes, err := store.Take(ctx, []buckets.Charge{charge})
		if err != nil || !outcomes[0].Admitted {
			return outcomes, err
		}
		select {
		case <-time.After(outcomes[0].Delay):
			return outcomes, nil
		case <-ctx.Done():
			charge.Mode, charge.MayOwe = buckets.Refund, 0
			_, err := store.Take(context.WithoutCancel(ctx), []buckets.Charge{charge})
			if err != nil {
				return nil, err
			}
			return nil, ctx.Err()
		}
	}
}

// safe is the room.
func safe(rooms []*waiting.Room) taker {
	return func(ctx context.Context, v visit, charge buckets.Charge) ([]buckets.Outcome, error) {
		outcomes, _, err := rooms[v.room].Take(ctx, []buckets.Charge{charge}, waiting.Wait{Max: v.wait, Waiters: 1_000_000})
		return outcomes, err
	}
}

// play sends the visits, which are in order of time, and tells who was let go when.
// late is how late an answer may be on its way.
func play(t *testing.T, visits []visit, charge buckets.Charge, take taker, late time.Duration) (out []release) {
	var mu sync.Mutex
	var all sync.WaitGroup
	start := time.Now()
	for i, v := range visits {
		elapse(time.Until(start.Add(v.at)))
		charge.Cost = v.cost
		all.Go(func() {
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			if v.leaves > 0 {
				defer time.AfterFunc(v.leaves, leave).Stop()
			}
			outcomes, err := take(ctx, v, charge)
			if err != nil || !outcomes[0].Admitted {
				return
			}
			at := time.Since(start)
			if at > v.at+v.wait+late {
				t.Errorf("visit %d waited %v, at most %v were asked for", i, at-v.at, v.wait)
			}
			mu.Lock()
			defer mu.Unlock()
			out = append(out, release{v, i, at})
		})
		synctest.Wait()
	}
	all.Wait()
	slices.SortStableFunc(out, func(a, b release) int { return int(a.at - b.at) })
	return out
}

// excess is by how many ticks, at most, the releases of any closed window exceed
// the burst and what refills in it and in one quantum of the clock, up to which a
// delay is rounded.
func excess(out []release, b buckets.TokenBucket) int64 {
	most := int64(0)
	for i := range out {
		sum := int64(0)
		for _, r := range out[i:] {
			sum += r.cost * b.TicksPerToken
			refilled := ((r.at-out[i].at).Microseconds()/b.Quantum + 1) * b.TicksPerQuantum
			most = max(most, sum-refilled-b.Full())
		}
	}
	return most
}

// The counter-example of algorithms.md (d): a refund to a bucket with callers
// waiting lets newcomers in for the times of those who wait.
func TestW13_HandingOverNeverReleasesTooMany(t *testing.T) {
	charge := tokens(t, 1, time.Second, 1)
	var visits []visit
	for i := range 200 {
		visits = append(visits, visit{at: time.Duration(i) * time.Microsecond, cost: 1, wait: time.Hour})
		if i < 100 {
			visits[i].leaves = 500 * time.Millisecond
		}
	}
	for i := range 100 {
		visits = append(visits, visit{at: 600*time.Millisecond + time.Duration(i)*time.Microsecond, cost: 1, wait: time.Hour})
	}
	within10s := func(take func(buckets.Store) taker) (most, all int) {
		synctest.Test(t, func(t *testing.T) {
			out := play(t, visits, charge, take(memory.New(memory.Options{})), 0)
			for i := range out {
				n := 0
				for _, r := range out[i:] {
					if r.at-out[i].at <= 10*time.Second {
						n++
					}
				}
				most = max(most, n)
			}
			all = len(out)
		})
		return most, all
	}
	most, all := within10s(func(store buckets.Store) taker { return safe([]*waiting.Room{newRoom(store)}) })
	if most > 11 || all != 201 { // the first needs no waiting and does not leave
		t.Errorf("%d of 201 callers were let go, %d of them within 10 s, at most 11 may be", all, most)
	}
	if most, _ := within10s(naive); most <= 11 {
		t.Errorf("a naive refund let %d go within 10 s: the example shows nothing", most)
	}
}

// draw makes up a bucket, its replicas and its callers.
func draw(t *testing.T, seed int) (charge buckets.Charge, rooms int, visits []visit) {
	random := rand.New(rand.NewPCG(uint64(seed), 0))
	burst := random.Int64N(5) + 1
	charge = terms(t, buckets.Terms{
		Tokens: random.Int64N(12) + 1, Period: time.Duration(random.IntN(1_000_000)+1_000) * time.Microsecond, Capacity: burst,
		Missing: random.Int64N(2) * burst, MaxWait: time.Hour,
	})
	perToken := charge.Bucket.(buckets.TokenBucket).Refill(charge.Bucket.Unit())
	rooms = random.IntN(3) + 1
	equal := random.IntN(2) == 0
	at := time.Duration(0)
	for range random.IntN(60) + 20 {
		at += time.Duration(random.Int64N(perToken.Microseconds())+1) * time.Microsecond
		v := visit{at: at, room: random.IntN(rooms), cost: 1, wait: time.Duration(random.Int64N(40*perToken.Microseconds())) * time.Microsecond}
		if !equal {
			v.cost = random.Int64N(burst) + 1
		}
		if seed%4 > 0 && random.IntN(3) == 0 {
			v.leaves = time.Duration(random.Int64N(v.wait.Microseconds()+1)+1) * time.Microsecond
		}
		visits = append(visits, v)
	}
	return charge, rooms, visits
}

const simulations = 3000

func TestW03_W13_Simulation(t *testing.T) {
	let, letNaively, naiveExcess := 0, 0, 0
	for n := range simulations {
		if *seed >= 0 && n != *seed {
			continue
		}
		charge, count, visits := draw(t, n)
		bucket := charge.Bucket.(buckets.TokenBucket)
		synctest.Test(t, func(t *testing.T) {
			store := memory.New(memory.Options{})
			var rooms []*waiting.Room
			for range count {
				rooms = append(rooms, newRoom(store))
			}
			out := play(t, visits, charge, safe(rooms), 0)
			if over := excess(out, bucket); over > 0 {
				t.Errorf("seed %d: %d ticks more than the burst and the rate allow", n, over)
			}
			inOrder(t, n, n%4 > 0, out)
			empty(t, rooms...)
			for _, r := range out {
				let += int(r.cost)
			}
		})
		synctest.Test(t, func(t *testing.T) {
			out := play(t, visits, charge, naive(memory.New(memory.Options{})), 0)
			if excess(out, bucket) > 0 {
				naiveExcess++
			}
			for _, r := range out {
				letNaively += int(r.cost)
			}
		})
	}
	t.Logf("%d tokens were used, with a naive refund %d, %d of %d runs beyond the bound", let, letNaively, naiveExcess, simulations)
	if *seed < 0 && (naiveExcess < simulations/20 || float64(let) < 0.9*float64(letNaively)) {
		t.Error("the naive refund breaks nothing here, or the safe rule loses too much")
	}
}

// inOrder holds that callers of one cost in one replica are let go in the order in
// which they came, and over all costs and replicas if nobody leaves.
func inOrder(t *testing.T, seed int, leaving bool, out []release) {
	t.Helper()
	type queue struct {
		room int
		cost int64
	}
	last := map[queue]release{}
	for _, r := range out {
		var q queue
		if leaving {
			q = queue{r.room, r.cost}
		}
		if before, ok := last[q]; ok && before.index > r.index && before.at < r.at {
			t.Errorf("seed %d: visit %d was let go at %v, after number %d at %v, who came later", seed, r.index, r.at, before.index, before.at)
		}
		last[q] = r
	}
}

// Answers that are on their way for some time, and overtake each other, shift what
// is released by no more than that time, whoever leaves meanwhile.
func TestW13_SimulationOfASlowStore(t *testing.T) {
	const slow = 20 * time.Millisecond
	for n := range simulations / 3 {
		if *seed >= 0 && n != *seed {
			continue
		}
		charge, count, visits := draw(t, n)
		synctest.Test(t, func(t *testing.T) {
			store, random := memory.New(memory.Options{}), rand.New(rand.NewPCG(uint64(n), 1))
			var mu sync.Mutex
			late := func() {
				mu.Lock()
				d := time.Duration(random.Int64N(slow.Microseconds()/2)) * time.Microsecond
				mu.Unlock()
				elapse(d)
			}
			var rooms []*waiting.Room
			for range count {
				rooms = append(rooms, newRoom(storeFunc(func(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
					late()
					defer late()
					return store.Take(ctx, charges)
				})))
			}
			take := safe(rooms)
			out := play(t, visits, charge, func(ctx context.Context, v visit, charge buckets.Charge) ([]buckets.Outcome, error) {
				start := time.Now()
				outcomes, err := take(ctx, v, charge)
				if err == nil && outcomes[0].Admitted && time.Since(start) > outcomes[0].Delay+slow {
					t.Errorf("seed %d: held for %v, told %v", n, time.Since(start), outcomes[0].Delay)
				}
				return outcomes, err
			}, slow)
			bucket := charge.Bucket.(buckets.TokenBucket)
			if over := excess(out, bucket); over > slow.Microseconds()/bucket.Quantum*bucket.TicksPerQuantum {
				t.Errorf("seed %d: %d ticks more than the burst and the rate allow", n, over)
			}
			elapse(time.Second)
			empty(t, rooms...)
		})
	}
}
