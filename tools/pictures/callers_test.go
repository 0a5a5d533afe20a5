package pictures

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/guard"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/waiting"
)

// A pool of two classes, one of which comes later.
func pool(t *testing.T) picture {
	p := picture{
		file: "pool", title: "A pool: rate: 10/s, burst: 60; two classes with guarantee: 3/s, reserve: 15",
		load: "reports (weight 1): 30 requests a second until 45 s. checkout (weight 3): 3 requests a second from 15 s on.",
		desc: "While reports are alone they take the whole rate: 3 tokens a second as guaranteed and the rest borrowed. When checkout comes it gets its reserve and its guarantee at once, and reports borrow what is left. When reports stop, checkout borrows. The pool is never emptied below what the classes are guaranteed.",
		from: 0, to: 60, tick: 5, shade: [2]float64{15, 45}, shaded: "both ask",
	}
	names, costs := []string{"reports", "checkout"}, []int64{1, 3}
	terms := buckets.ClassTerms{Guarantee: 3, Period: time.Second, Reserve: 15, Borrow: true}
	whole, classes, err := buckets.NewPool(buckets.Terms{Tokens: 10, Period: time.Second, Capacity: 60}, []buckets.ClassTerms{terms, terms})
	if err != nil {
		t.Fatal(err)
	}
	s := newScene(t)
	taken := map[string]*count{}
	var left []point
	for at := 0.0; at < p.to; at += 1.0 / 60 {
		s.until(at)
		tick := int(at*60 + .5)
		for i, name := range names {
			if i == 0 && (tick%2 != 0 || at >= 45) || i == 1 && (tick%20 != 1 || at < 15) {
				continue
			}
			o := s.take(buckets.Charge{Key: "pool", Bucket: whole, Cost: costs[i], Class: &classes[i], ClassKey: name})
			if !o.Admitted {
				continue
			}
			kind := name + map[bool]string{true: ", borrowed", false: ", guaranteed"}[o.Borrowed]
			if taken[kind] == nil {
				taken[kind] = every(1)
			}
			taken[kind].add(at, float64(costs[i]))
		}
		if tick%15 == 0 {
			left = append(left, point{x: at, y: s.left(buckets.Charge{Key: "pool", Bucket: whole})})
		}
	}
	used := panel{name: "taken in a second", unit: "tokens", high: 30, step: 10, height: 160}
	for _, k := range []struct{ kind, class string }{
		{"reports, guaranteed", "a"}, {"reports, borrowed", "a pale"}, {"checkout, guaranteed", "b"}, {"checkout, borrowed", "b pale"},
	} {
		if taken[k.kind] != nil {
			used.series = append(used.series, series{k.kind, k.class, bars, taken[k.kind].points(p.from, p.to)})
		}
	}
	p.panels = []panel{used, {name: "in the pool", unit: "tokens", high: 60, step: 20, height: 90, series: []series{{"tokens left", "c", lines, left}, level(p, "reserve of one class", 15)}}}
	return p
}

// Waiting or refusing: the same callers before the same bucket.
func wait(t *testing.T) picture {
	p := picture{
		file: "waiting", title: "Refuse, or let wait: rate: 2/s, burst: 3",
		load: "12 callers, one each 0.2 s. Without max_wait; and with max_wait: 2s.",
		desc: "Without waiting the first four callers pass at once, and later those who come when a token happens to be there; the others are refused. With max_wait: 2s callers are held in the order in which they came and pass half a second apart; who would wait for longer than 2 s is refused at once.",
		from: 0, to: 5, tick: .5,
	}
	for _, most := range []float64{0, 2} {
		b := bucket(t, buckets.Terms{Tokens: 2, Period: time.Second, Capacity: 3, MaxWait: seconds(most)})
		s := newScene(t)
		room := waiting.New(waiting.Options{Store: s.store})
		var mu sync.Mutex
		var callers sync.WaitGroup
		var passed, refused []point
		for i := range 12 {
			at := .2 + .2*float64(i)
			s.until(at)
			callers.Go(func() {
				charge := buckets.Charge{Key: "b", Limit: "b", Bucket: b, Cost: 1}
				outcomes, _, err := room.Take(context.Background(), []buckets.Charge{charge}, waiting.Wait{Max: seconds(most), Waiters: 100})
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				} else if outcomes[0].Admitted {
					passed = append(passed, point{x: at, y: float64(12 - i), to: s.now()})
				} else {
					refused = append(refused, point{x: at, y: float64(12 - i)})
				}
			})
		}
		callers.Wait()
		name, shown := "max_wait: 2s", "from asking to passing"
		if most == 0 {
			name, shown = "without max_wait", "passes"
		}
		p.panels = append(p.panels, panel{name: name, unit: "callers", high: 13, height: 150, series: []series{
			{shown, "a", spans, passed}, {"refused", "no", crosses, refused},
		}})
	}
	return p
}

// Slots: what counts is what runs, however long.
func slots(t *testing.T) picture {
	p := picture{
		file: "slots", title: "Slots: algorithm: concurrency, slots: 4",
		load: "A call each 0.5 s. It takes 1.5 s, and from 6 s to 12 s, when the service is slow, 5 s.",
		desc: "While calls are short three are under way and all pass. When they become slow four are under way and the others are refused, so that the service never has more than four at once. No rate is configured: it follows from how long calls take.",
		from: 0, to: 20, tick: 2, shade: [2]float64{6, 12}, shaded: "calls are slow",
	}
	s := newScene(t)
	limit := buckets.Slots{Count: 4, TTL: time.Minute.Microseconds()}
	ends := map[int]float64{}
	var calls, refused, held []point
	for tick := 1; tick < 40; tick++ {
		at := float64(tick) / 2
		s.until(at)
		for i := range tick {
			if end, ok := ends[i]; ok && at >= end {
				s.take(buckets.Charge{Key: "b", Bucket: limit, Cost: 1, Lease: lease(i), Mode: buckets.Refund})
				delete(ends, i)
			}
		}
		row := float64(tick%11) + 1
		if s.take(buckets.Charge{Key: "b", Bucket: limit, Cost: 1, Lease: lease(tick)}).Admitted {
			ends[tick] = at + 1.5
			if at >= 6 && at < 12 {
				ends[tick] = at + 5
			}
			calls = append(calls, point{x: at, y: row, to: min(ends[tick], p.to)})
		} else {
			refused = append(refused, point{x: at, y: row})
		}
		held = append(held, point{x: at, y: 4 - s.left(buckets.Charge{Key: "b", Bucket: limit}), to: at + .5})
	}
	p.panels = []panel{
		{name: "calls", unit: "", high: 13, height: 160, series: []series{{"a call", "a", spans, calls}, {"refused", "no", crosses, refused}}},
		{name: "under way", unit: "slots", high: 5, step: 1, height: 80, series: []series{{"slots held", "c", bars, held}, level(p, "the limit", 4)}},
	}
	return p
}

var errDown = errors.New("the store is down")

// faulty is a store that is down for a while.
type faulty struct {
	buckets.Store
	down func() bool
}

func (f faulty) Take(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
	if f.down() {
		return nil, errDown
	}
	return f.Store.Take(ctx, charges)
}

// An outage of the store, of three replicas that judge by their shares meanwhile.
func outage(t *testing.T) picture {
	p := picture{
		file: "outage", title: "Redis away for 3 s: rate: 100/s, burst: 300, three replicas",
		load: "450 requests a second, a third to each replica. on_store_error: local, the default.",
		desc: "The number admitted follows the limit, 300 at once and 100 a second, through the outage: each replica goes on with a third of the bucket from where it saw it last. When Redis is back some dozens more pass, until all have told it what they admitted. Were each replica to begin with a full bucket of its own, all that is asked in these three seconds would pass, 1050 more.",
		from: 0, to: 8, tick: 1, within: 10, shade: [2]float64{2, 5}, shaded: "Redis does not answer",
	}
	b := bucket(t, buckets.Terms{Tokens: 100, Period: time.Second, Capacity: 300})
	charge := []buckets.Charge{{Key: "b", Limit: "b", Bucket: b, Cost: 1}}
	s := newScene(t)
	away := func() bool { return s.now() >= 2 && s.now() < 5 }
	shares, alone, others := make([]*guard.Guard, 3), make([]buckets.Store, 3), newScene(t).store
	for i := range shares {
		store := faulty{s.store, away}
		shares[i] = guard.New(guard.Options{
			Store: store, Local: memory.New(memory.Options{Now: time.Now}), Timeout: 10 * time.Millisecond,
			Observe:  func(context.Context, time.Duration, error) {},
			Probe:    func(ctx context.Context) error { _, err := store.Take(ctx, nil); return err },
			Replicas: func() int64 { return 3 },
		})
		defer shares[i].Close()
		alone[i] = memory.New(memory.Options{Now: time.Now})
	}
	var totals [2]float64
	var admitted [2][]point
	for i, at := range arrivals(stretch{.5, p.to, 450}) {
		s.until(at)
		anew := others // replicas that would know nothing of each other while Redis is away
		if away() {
			anew = alone[i%3]
		}
		for j, store := range []buckets.Store{shares[i%3], anew} {
			outcomes, err := store.Take(context.Background(), charge)
			if err != nil {
				t.Fatal(err)
			}
			if outcomes[0].Admitted {
				totals[j]++
			}
			if i%9 == 0 {
				admitted[j] = append(admitted[j], point{x: at, y: totals[j]})
			}
		}
	}
	limit := []point{{x: .5}, {x: .5, y: 300}, {x: 8, y: 1050}}
	p.panels = []panel{{name: "admitted since the start", unit: "requests", high: 2500, step: 500, height: 220, series: []series{
		{"weir", "a", lines, admitted[0]}, {"300 + 100/s", "lim", lines, limit}, {"if each had a full bucket of its own", "no", lines, admitted[1]},
	}}}
	return p
}
