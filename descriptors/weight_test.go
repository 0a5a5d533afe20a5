package descriptors

import (
	"math"
	"strings"
	"testing"

	"github.com/weir-rls/weir/buckets"
)

const poolRules = `
domain: llm
passive: [api]
descriptors:
  - {key: pool, value: backend, limits: [{rate: 10/s, burst: 100, weight: {by: api, values: {a: 1, b: 2, c: 3}, default: 7}}]}
  - {key: client, limits: [{rate: 10/s, burst: 100, weight: {by: client, values: {big: 5}}}]}
  - {key: blank, limits: [{rate: 10/s, burst: 100, weight: {by: api, values: {"": 9}, default: 4}}]}
`

func costOf(t *testing.T, r *Rules, descriptors ...string) int64 {
	t.Helper()
	m := r.Resolve(request(descriptors...)).Matches
	if len(m) == 0 {
		t.Fatalf("%q meet nothing", descriptors)
	}
	return m[0].Charge.Cost
}

func TestC02_EveryAPIDeclaresItsWeight(t *testing.T) {
	r := rulesOf(t, poolRules)
	for _, c := range []struct {
		want        int64
		descriptors []string
	}{
		{1, []string{"pool=backend api=a"}},
		{2, []string{"pool=backend api=b"}},
		{3, []string{"pool=backend api=c"}},
		{7, []string{"pool=backend api=d"}},          // not in the table
		{7, []string{"pool=backend"}},                // absent
		{3, []string{"api=c pool=backend"}},          // passive entries stand anywhere
		{3, []string{"pool=backend", "x=y api=c"}},   // another descriptor's
		{3, []string{"pool=backend", "api=c"}},       // one of its own
		{2, []string{"pool=backend api=b", "api=c"}}, // its own first
		{2, []string{"pool=backend", "api=b", "api=c"}},
		{5, []string{"client=big"}}, // the rule's own entry
		{1, []string{"client=small"}},
		{4, []string{"blank=x"}}, // absent is not empty
		{9, []string{"blank=x api="}},
	} {
		if got := costOf(t, r, c.descriptors...); got != c.want {
			t.Errorf("%q cost %d, want %d", c.descriptors, got, c.want)
		}
	}
}

// What a client adds to its request comes after what the operator's route sends
// for the rule, and a value outside the table gets the default, never less.
func TestC02_ClientsCannotPickTheirWeight(t *testing.T) {
	r := rulesOf(t, poolRules)
	for _, descriptors := range [][]string{
		{"pool=backend api=c", "api=a"},
		{"pool=backend api=c api=a"},
		{"pool=backend api=c", "client=x api=a"},
	} {
		if got := costOf(t, r, descriptors...); got != 3 {
			t.Errorf("%q cost %d, want 3", descriptors, got)
		}
	}
	if got := costOf(t, r, "pool=backend api=0"); got != 7 {
		t.Errorf("an unknown value costs %d, want the default 7", got)
	}
}

func TestC08_FiftyAMinuteForEachConsumerWeightedByAPI(t *testing.T) {
	r := rulesOf(t, `
domain: llm
passive: [api]
descriptors:
  - key: consumer
    limits:
      - {name: units, rate: 50/min, weight: {by: api, values: {a: 1, b: 2, c: 3}}}
`)
	m := r.Resolve(request("consumer=x api=c", "consumer=y api=b")).Matches
	if len(m) != 2 || m[0].Charge.Cost != 3 || m[1].Charge.Cost != 2 || m[0].Charge.Bucket.Size() != 50 || m[0].Charge.Key == m[1].Charge.Key {
		t.Errorf("two consumers are charged %+v", m)
	}
}

func TestC16_AWeightAboveTheCapacityIsALoadError(t *testing.T) {
	for _, limit := range []string{
		"{rate: 10/s, weight: 11}",
		"{rate: 10/s, burst: 5, weight: 6}",
		"{rate: 10/s, weight: {by: api, values: {a: 1, b: 11}}}",
		"{rate: 10/s, weight: {by: api, values: {a: 1}, default: 11}}",
	} {
		f := parse(newText("test.yaml", []byte("domain: llm\ndescriptors:\n  - {key: a, limits: ["+limit+"]}\n")))
		if f.faults.Count(Error) != 1 || !strings.Contains(f.faults.Text(), "more than the bucket's capacity of") {
			t.Errorf("%s: %s", limit, f.faults.Text())
		}
	}
	rulesOf(t, "domain: llm\ndescriptors:\n  - {key: a, limits: [{rate: 10/s, burst: 11, weight: 11}]}\n")
}

func TestC16_ACostAboveTheCapacityIsHopelessAtRunTime(t *testing.T) {
	r := rulesOf(t, poolRules)
	req := request("pool=backend api=c")
	req.Hits = 34
	if c := r.Resolve(req).Matches[0].Charge; c.Cost != 102 || !c.Hopeless() {
		t.Errorf("34 hits of weight 3 on a capacity of 100 are charged %+v", c)
	}
}

func TestG06_CapacityHundredRefilledWithTenASecond(t *testing.T) {
	r := rulesOf(t, "domain: llm\ndescriptors: [{key: user, limits: [{rate: 10/s, burst: 100}]}]")
	want, err := buckets.Terms{Tokens: 10, Period: 1e9, Capacity: 100, MaxDebt: 100}.TokenBucket()
	if err != nil {
		t.Fatal(err)
	}
	if c := r.Resolve(request("user=x")).Matches[0].Charge; c.Bucket != want || c.Cost != 1 {
		t.Errorf("charged %+v, want one token of %+v", c, want)
	}
}

func TestWeight_CostSaturatesInsteadOfOverflowing(t *testing.T) {
	for _, c := range []struct {
		weight int64
		hits   uint64
		want   int64
	}{
		{0, math.MaxUint64, 0},
		{1, math.MaxInt64, math.MaxInt64},
		{1, math.MaxInt64 + 1, math.MaxInt64},
		{2, 1 << 62, math.MaxInt64},
		{3, 5, 15},
		{math.MaxInt64, math.MaxUint64, math.MaxInt64},
	} {
		if got := cost(c.weight, c.hits); got != c.want {
			t.Errorf("%d x %d = %d, want %d", c.weight, c.hits, got, c.want)
		}
	}
}
