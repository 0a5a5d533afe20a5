package buckets_test

import (
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/weir-rls/weir/buckets"
)

// unit is a bucket whose token is one tick and takes a microsecond to refill, so
// that ticks read as tokens and as microseconds.
func unit(capacity int64) buckets.TokenBucket {
	return buckets.TokenBucket{Capacity: capacity, TicksPerToken: 1, TicksPerQuantum: 1, Quantum: 1}
}

// bench judges requests on states that it keeps, at an instant that a test moves.
type bench struct {
	now    int64
	states map[string]*buckets.State
}

func newBench(now int64) *bench { return &bench{now: now, states: map[string]*buckets.State{}} }

func (b *bench) ask(charges ...buckets.Charge) []buckets.Outcome {
	of := func(key string) *buckets.State {
		if b.states[key] == nil {
			b.states[key] = &buckets.State{}
		}
		return b.states[key]
	}
	states, classes := make([]*buckets.State, len(charges)), make([]*buckets.State, len(charges))
	for i := range charges {
		states[i] = of(charges[i].Key)
		if charges[i].Class != nil {
			classes[i] = of(charges[i].ClassKey)
		}
	}
	return buckets.Judge(charges, states, classes, b.now)
}

// one judges a request of one charge.
func (b *bench) one(c buckets.Charge) buckets.Outcome { return b.ask(c)[0] }

// used takes so many tokens of a bucket in any case.
func (b *bench) used(key string, bucket buckets.Bucket, tokens int64) {
	b.one(buckets.Charge{Key: key, Bucket: bucket, Cost: tokens, Mode: buckets.Settle})
}

func TestJudgeTellsTheseStories(t *testing.T) {
	take := func(key string, cost int64) buckets.Charge {
		return buckets.Charge{Key: key, Bucket: unit(10), Cost: cost}
	}
	with := func(c buckets.Charge, mode buckets.Mode, role buckets.Role) buckets.Charge {
		c.Mode, c.Role = mode, role
		return c
	}
	quota := func(key string, cost int64) buckets.Charge { return with(take(key, cost), buckets.Take, buckets.Quota) }
	micros := func(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
	passed := func(used int64) buckets.Outcome {
		return buckets.Outcome{Admitted: true, Used: used, Reset: micros(used), Now: 7}
	}
	lacked := func(short, used int64) buckets.Outcome {
		return buckets.Outcome{Delay: micros(short), Used: used, Reset: micros(used), Now: 7}
	}
	lost := func(tokens, used int64) buckets.Outcome {
		o := passed(used)
		o.Lost = tokens
		return o
	}
	type levels map[string]int64
	for _, c := range []struct {
		name    string
		charges []buckets.Charge
		used    levels
		want    []buckets.Outcome
	}{
		{
			"the last token passes",
			[]buckets.Charge{take("a", 1)},
			levels{"a": 9},
			[]buckets.Outcome{passed(10)},
		},
		{
			"one refusal leaves all as it was",
			[]buckets.Charge{take("a", 3), take("b", 3)},
			levels{"b": 8},
			[]buckets.Outcome{passed(0), lacked(1, 8)},
		},
		{
			"a refund stands beside a refusal",
			[]buckets.Charge{with(take("a", 3), buckets.Refund, 0), take("b", 3)},
			levels{"a": 4, "b": 8},
			[]buckets.Outcome{passed(1), lacked(1, 8)},
		},
		{
			"a settlement stands beside a refusal",
			[]buckets.Charge{with(take("a", 3), buckets.Settle, 0), take("b", 3)},
			levels{"a": 4, "b": 8},
			[]buckets.Outcome{passed(7), lacked(1, 8)},
		},
		{
			"what a settlement finds no room for is lost",
			[]buckets.Charge{with(take("a", 9), buckets.Settle, 0)},
			levels{"a": 4},
			[]buckets.Outcome{lost(3, 10)},
		},
		{
			"a take before a refund of the same bucket falls, the refund stands",
			[]buckets.Charge{take("a", 6), with(take("a", 3), buckets.Refund, 0), take("b", 11)},
			levels{"a": 4},
			[]buckets.Outcome{passed(1), passed(1), lacked(0, 0)},
		},
		{
			"a refund gives back what was stored, not what the same call takes",
			[]buckets.Charge{take("a", 6), with(take("a", 5), buckets.Refund, 0)},
			levels{"a": 2},
			[]buckets.Outcome{passed(6), passed(6)},
		},
		{
			"a refund first makes room",
			[]buckets.Charge{with(take("a", 3), buckets.Refund, 0), take("a", 3)},
			levels{"a": 10},
			[]buckets.Outcome{passed(10), passed(10)},
		},
		{
			"the second charge of a bucket sees the first",
			[]buckets.Charge{take("a", 6), take("a", 6)},
			nil,
			[]buckets.Outcome{passed(0), lacked(2, 0)},
		},
		{
			"what was refused is asked for all the same",
			[]buckets.Charge{take("a", 4), take("a", 4)},
			levels{"a": 8},
			[]buckets.Outcome{lacked(2, 8), lacked(6, 8)},
		},
		{
			"what asks for far too much says so in bounded numbers",
			[]buckets.Charge{take("a", 10), take("a", 10), take("a", 10), take("a", 10)},
			levels{"a": 8},
			[]buckets.Outcome{lacked(8, 8), lacked(18, 8), lacked(20, 8), lacked(20, 8)},
		},
		{
			"a refused shadow charge is not asked for",
			[]buckets.Charge{with(take("a", 4), buckets.Take, buckets.Shadow), take("a", 2)},
			levels{"a": 8},
			[]buckets.Outcome{lacked(2, 10), passed(10)},
		},
		{
			"a refused shadow charge takes nothing and refuses nobody",
			[]buckets.Charge{take("a", 1), with(take("b", 3), buckets.Take, buckets.Shadow)},
			levels{"b": 8},
			[]buckets.Outcome{passed(1), lacked(1, 8)},
		},
		{
			"an admitted shadow charge falls with the request",
			[]buckets.Charge{take("a", 11), with(take("b", 3), buckets.Take, buckets.Shadow)},
			levels{"b": 1},
			[]buckets.Outcome{lacked(0, 0), passed(1)},
		},
		{
			"a look takes nothing and refuses like a take",
			[]buckets.Charge{with(take("a", 2), buckets.Look, 0), with(take("b", 3), buckets.Look, 0), take("c", 1)},
			levels{"a": 8, "b": 8},
			[]buckets.Outcome{passed(8), lacked(1, 8), passed(0)},
		},
		{
			"one quota is enough, and only what admits is charged",
			[]buckets.Charge{take("a", 1), quota("b", 3), quota("c", 3)},
			levels{"b": 8, "c": 2},
			[]buckets.Outcome{passed(1), lacked(1, 8), passed(5)},
		},
		{
			"every quota that admits is charged",
			[]buckets.Charge{quota("b", 3), quota("c", 3)},
			levels{"b": 1, "c": 2},
			[]buckets.Outcome{passed(4), passed(5)},
		},
		{
			"without any quota nothing passes",
			[]buckets.Charge{take("a", 1), quota("b", 3), quota("c", 4)},
			levels{"b": 8, "c": 7},
			[]buckets.Outcome{passed(0), lacked(1, 8), lacked(1, 7)},
		},
		{
			"a quota does not buy off who enforces",
			[]buckets.Charge{take("a", 3), quota("b", 3)},
			levels{"a": 8},
			[]buckets.Outcome{lacked(1, 8), passed(0)},
		},
		{
			"a refused quota is not asked for",
			[]buckets.Charge{quota("a", 4), take("a", 2), quota("b", 1)},
			levels{"a": 8},
			[]buckets.Outcome{lacked(2, 10), passed(10), passed(1)},
		},
		{
			"a refund or settlement in the quota role is no quota to meet",
			[]buckets.Charge{with(take("a", 3), buckets.Refund, buckets.Quota), take("b", 1)},
			levels{"a": 4},
			[]buckets.Outcome{passed(1), passed(1)},
		},
		{
			"any cost above the capacity is refused without a delay",
			[]buckets.Charge{take("a", 11), take("b", math.MaxInt64)},
			levels{"a": 4, "b": 4},
			[]buckets.Outcome{lacked(0, 4), lacked(0, 4)},
		},
		{
			"a refund of any size fills",
			[]buckets.Charge{with(take("a", math.MaxInt64), buckets.Refund, 0)},
			levels{"a": 10},
			[]buckets.Outcome{passed(0)},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(7)
			for key, used := range c.used {
				b.used(key, unit(10), used)
			}
			if diff := cmp.Diff(c.want, b.ask(c.charges...)); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
			for i, charge := range c.charges {
				if o := b.one(with(charge, buckets.Look, 0)); o.Used != c.want[i].Used {
					t.Errorf("the level of charge %d stands at %d, its outcome says %d", i, o.Used, c.want[i].Used)
				}
			}
		})
	}
}

// TestJudgeAClosedBucketLacksNothingThatTimeCouldBring, and owes nothing.
func TestJudgeAClosedBucketLacksNothingThatTimeCouldBring(t *testing.T) {
	var closed buckets.TokenBucket
	got := newBench(7).ask(
		buckets.Charge{Key: "a", Bucket: closed, Cost: 1},
		buckets.Charge{Key: "b", Bucket: closed, Cost: 0},
		buckets.Charge{Key: "c", Bucket: closed, Cost: 5, Mode: buckets.Refund},
		buckets.Charge{Key: "d", Bucket: closed, Cost: 5, Mode: buckets.Settle},
	)
	want := []buckets.Outcome{{Now: 7}, {Admitted: true, Now: 7}, {Admitted: true, Now: 7}, {Admitted: true, Lost: 1, Now: 7}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

// TestJudgeAClosedGateStopsWhatFollows: a receipt is redeemed once. What came
// before the gate stands, and an open gate leaves everything to the request.
func TestJudgeAClosedGateStopsWhatFollows(t *testing.T) {
	b := newBench(7)
	gate := func(lease string) buckets.Charge {
		return buckets.Charge{Key: "receipt", Bucket: buckets.Slots{Count: 1, TTL: 1000}, Cost: 1, Lease: lease, Role: buckets.Gate}
	}
	refund := func(key string) buckets.Charge {
		return buckets.Charge{Key: key, Bucket: unit(10), Cost: 3, Mode: buckets.Refund}
	}
	settle := buckets.Charge{Key: "c", Bucket: unit(10), Cost: 2, Mode: buckets.Settle}
	for _, key := range []string{"a", "b", "c"} {
		b.used(key, unit(10), 8)
	}
	first := b.ask(refund("a"), gate("one"), refund("b"), settle)
	if !first[1].Admitted || first[0].Used != 5 || first[2].Used != 5 || first[3].Used != 10 {
		t.Fatalf("an open gate: %+v", first)
	}
	again := b.ask(refund("a"), gate("two"), refund("b"), settle, buckets.Charge{Key: "d", Bucket: unit(10), Cost: 1})
	for i, want := range []buckets.Outcome{
		{Admitted: true, Used: 2}, {Used: 1}, {Used: 5}, {Used: 10}, {},
	} {
		if again[i].Admitted != want.Admitted || again[i].Used != want.Used || again[i].Delay != 0 || again[i].Lost != 0 {
			t.Errorf("charge %d at a closed gate: %+v, want %+v", i, again[i], want)
		}
	}
	b.now += 1000
	if later := b.ask(gate("three"), refund("b")); !later[0].Admitted || later[1].Used != 0 {
		t.Errorf("the gate stays closed beyond its time to live: %+v", later)
	}
}

// TestC17_RefusedTakesNothing: for any request, what an enforcing charge or all
// quotas refuse takes nothing, and what passes takes exactly what was admitted;
// refunds and settlements stand either way.
func TestC17_RefusedTakesNothing(t *testing.T) {
	kinds := map[string]buckets.Bucket{
		"a": unit(20), "b": unit(20), "c": buckets.FixedWindow{Limit: 20, Calendar: buckets.Calendar{Length: time.Minute}},
		"d": buckets.SlidingWindow{Limit: 20, Window: 60_000_000, Parts: 60},
	}
	rapid.Check(t, func(t *rapid.T) {
		charges := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) buckets.Charge {
			key := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "key")
			return buckets.Charge{
				Key: key, Bucket: kinds[key], Cost: rapid.Int64Range(0, 25).Draw(t, "cost"),
				Mode: rapid.SampledFrom([]buckets.Mode{buckets.Take, buckets.Take, buckets.Take, buckets.Look, buckets.Refund, buckets.Settle}).Draw(t, "mode"),
				Role: rapid.SampledFrom([]buckets.Role{buckets.Enforce, buckets.Enforce, buckets.Shadow, buckets.Quota}).Draw(t, "role"),
			}
		}), 1, buckets.MaxCharges).Draw(t, "charges")
		b, level := newBench(60_000_000), map[string]int64{}
		for _, key := range slices.Sorted(maps.Keys(kinds)) {
			level[key] = rapid.Int64Range(0, 20).Draw(t, "level")
			b.used(key, kinds[key], level[key])
		}
		outcomes := b.ask(charges...)

		passes, quotas, met := true, 0, 0
		for i, c := range charges {
			switch asks := c.Mode == buckets.Take || c.Mode == buckets.Look; {
			case c.Mode == buckets.Refund:
				level[c.Key] = max(0, level[c.Key]-c.Cost)
			case c.Mode == buckets.Settle:
				level[c.Key] = min(20, level[c.Key]+c.Cost)
			case asks && c.Role == buckets.Enforce:
				passes = passes && outcomes[i].Admitted
			case asks && c.Role == buckets.Quota && outcomes[i].Admitted:
				quotas, met = quotas+1, met+1
			case asks && c.Role == buckets.Quota:
				quotas++
			}
		}
		for i, c := range charges {
			if passes && (quotas == 0 || met > 0) && c.Mode == buckets.Take && outcomes[i].Admitted {
				level[c.Key] += c.Cost
			}
		}
		for i, c := range charges {
			want := level[c.Key]
			if _, owes := c.Bucket.(buckets.TokenBucket); owes {
				want = min(want, 20) // a settlement after the take it stands beside finds the room still free
			}
			if outcomes[i].Used != want {
				t.Fatalf("bucket %s stands at %d, want %d", c.Key, outcomes[i].Used, want)
			}
		}
	})
}

// TestC16_CostAboveTheCapacityIsHopeless, but a refund never is.
func TestC16_CostAboveTheCapacityIsHopeless(t *testing.T) {
	b, err := buckets.NewTokenBucket(10, time.Second, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		cost, tokens int64
		mode         buckets.Mode
		hopeless     bool
	}{
		{100, 100, buckets.Take, false},
		{101, 101, buckets.Take, true},
		{math.MaxInt64, 101, buckets.Take, true},
		{math.MaxInt64, 101, buckets.Look, true},
		{math.MaxInt64, 100, buckets.Refund, false},
		{math.MaxInt64, 101, buckets.Settle, false},
	} {
		charge := buckets.Charge{Bucket: b, Cost: c.cost, Mode: c.mode}
		if charge.Hopeless() != c.hopeless || charge.Ticks() != c.tokens*b.TicksPerToken {
			t.Errorf("%+v: hopeless %v with %d ticks, want %v with %d tokens", charge, charge.Hopeless(), charge.Ticks(), c.hopeless, c.tokens)
		}
	}
}
