package buckets_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/weir-rls/weir/buckets"
)

// unit is a bucket whose token is one tick, so that ticks read as tokens.
func unit(capacity int64) buckets.TokenBucket {
	return buckets.TokenBucket{Capacity: capacity, TicksPerToken: 1, TicksPerQuantum: 1, Quantum: 1}
}

func TestJudgeTellsTheseStories(t *testing.T) {
	take := func(key string, cost int64) buckets.Charge {
		return buckets.Charge{Key: key, Bucket: unit(10), Cost: cost}
	}
	with := func(c buckets.Charge, mode buckets.Mode, role buckets.Role) buckets.Charge {
		c.Mode, c.Role = mode, role
		return c
	}
	passed := func(used int64) buckets.Outcome { return buckets.Outcome{Admitted: true, Used: used, Now: 7} }
	lacked := func(short, used int64) buckets.Outcome { return buckets.Outcome{Short: short, Used: used, Now: 7} }

	for _, c := range []struct {
		name    string
		charges []buckets.Charge
		used    []int64
		want    []buckets.Outcome
	}{
		{
			"the last token passes",
			[]buckets.Charge{take("a", 1)},
			[]int64{9},
			[]buckets.Outcome{passed(10)},
		},
		{
			"one refusal leaves all as it was",
			[]buckets.Charge{take("a", 3), take("b", 3)},
			[]int64{0, 8},
			[]buckets.Outcome{passed(0), lacked(1, 8)},
		},
		{
			"a refund stands beside a refusal",
			[]buckets.Charge{with(take("a", 3), buckets.Refund, 0), take("b", 3)},
			[]int64{4, 8},
			[]buckets.Outcome{passed(1), lacked(1, 8)},
		},
		{
			"a take before a refund of the same bucket falls, the refund stands",
			[]buckets.Charge{take("a", 6), with(take("a", 3), buckets.Refund, 0), take("b", 11)},
			[]int64{4, 4, 0},
			[]buckets.Outcome{passed(1), passed(1), lacked(1, 0)},
		},
		{
			"a refund first makes room",
			[]buckets.Charge{with(take("a", 3), buckets.Refund, 0), take("a", 3)},
			[]int64{10, 10},
			[]buckets.Outcome{passed(10), passed(10)},
		},
		{
			"the second charge of a bucket sees the first",
			[]buckets.Charge{take("a", 6), take("a", 6)},
			[]int64{0, 0},
			[]buckets.Outcome{passed(0), lacked(2, 0)},
		},
		{
			"what was refused is asked for all the same",
			[]buckets.Charge{take("a", 4), take("a", 4)},
			[]int64{8, 8},
			[]buckets.Outcome{lacked(2, 8), lacked(6, 8)},
		},
		{
			"what asks for far too much says so in bounded numbers",
			[]buckets.Charge{take("a", 99), take("a", 99), take("a", 99)},
			[]int64{8, 8, 8},
			[]buckets.Outcome{lacked(9, 8), lacked(20, 8), lacked(20, 8)},
		},
		{
			"a refused shadow charge is not asked for",
			[]buckets.Charge{with(take("a", 4), buckets.Take, buckets.Shadow), take("a", 2)},
			[]int64{8, 8},
			[]buckets.Outcome{lacked(2, 10), passed(10)},
		},
		{
			"a refused shadow charge takes nothing and refuses nobody",
			[]buckets.Charge{take("a", 1), with(take("b", 3), buckets.Take, buckets.Shadow)},
			[]int64{0, 8},
			[]buckets.Outcome{passed(1), lacked(1, 8)},
		},
		{
			"an admitted shadow charge falls with the request",
			[]buckets.Charge{take("a", 11), with(take("b", 3), buckets.Take, buckets.Shadow)},
			[]int64{0, 1},
			[]buckets.Outcome{lacked(1, 0), passed(1)},
		},
		{
			"a look takes nothing and refuses like a take",
			[]buckets.Charge{with(take("a", 2), buckets.Look, 0), with(take("b", 3), buckets.Look, 0), take("c", 1)},
			[]int64{8, 8, 0},
			[]buckets.Outcome{passed(8), lacked(1, 8), passed(0)},
		},
		{
			"a closed bucket lacks nothing that time could bring",
			[]buckets.Charge{{Key: "a", Cost: 1}, {Key: "b", Cost: 0}, {Key: "c", Cost: 5, Mode: buckets.Refund}},
			[]int64{0, 0, 0},
			[]buckets.Outcome{lacked(0, 0), passed(0), passed(0)},
		},
		{
			"any cost above the capacity lacks one token",
			[]buckets.Charge{take("a", 11), take("b", math.MaxInt64)},
			[]int64{4, 4},
			[]buckets.Outcome{lacked(5, 4), lacked(5, 4)},
		},
		{
			"a refund of any size fills",
			[]buckets.Charge{with(take("a", math.MaxInt64), buckets.Refund, 0)},
			[]int64{10},
			[]buckets.Outcome{passed(0)},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			levels := slices.Clone(c.used)
			got := buckets.Judge(c.charges, levels, 7)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
			for i := range levels {
				if levels[i] != got[i].Used {
					t.Errorf("the level of charge %d stands at %d, its outcome says %d", i, levels[i], got[i].Used)
				}
			}
		})
	}
}

// TestC17_RefusedTakesNothing: for any request, either every enforcing charge
// was admitted, or each level is what it was less its refunds.
func TestC17_RefusedTakesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		charges := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) buckets.Charge {
			return buckets.Charge{
				Key:    rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key"),
				Bucket: unit(20), Cost: rapid.Int64Range(0, 25).Draw(t, "cost"),
				Mode: rapid.SampledFrom([]buckets.Mode{buckets.Take, buckets.Take, buckets.Look, buckets.Refund}).Draw(t, "mode"),
				Role: rapid.SampledFrom([]buckets.Role{buckets.Enforce, buckets.Enforce, buckets.Shadow}).Draw(t, "role"),
			}
		}), 1, buckets.MaxCharges).Draw(t, "charges")
		level := map[string]int64{}
		used := make([]int64, len(charges))
		for i, c := range charges {
			if _, known := level[c.Key]; !known {
				level[c.Key] = rapid.Int64Range(0, 20).Draw(t, "level")
			}
			used[i] = level[c.Key]
		}
		outcomes := buckets.Judge(charges, used, 0)

		passes := true
		for i, o := range outcomes {
			passes = passes && (o.Admitted || charges[i].Role != buckets.Enforce)
		}
		for i, c := range charges {
			switch {
			case c.Mode == buckets.Refund:
				level[c.Key] = max(0, level[c.Key]-c.Cost)
			case passes && c.Mode == buckets.Take && outcomes[i].Admitted:
				level[c.Key] += c.Cost
			}
		}
		for i, c := range charges {
			if used[i] != level[c.Key] || used[i] < 0 || used[i] > 20 {
				t.Fatalf("bucket %s stands at %d, want %d (passes: %v)", c.Key, used[i], level[c.Key], passes)
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
	} {
		charge := buckets.Charge{Bucket: b, Cost: c.cost, Mode: c.mode}
		if charge.Hopeless() != c.hopeless || charge.Tokens() != c.tokens {
			t.Errorf("%+v: hopeless %v with %d tokens, want %v with %d", charge, charge.Hopeless(), charge.Tokens(), c.hopeless, c.tokens)
		}
	}
}
