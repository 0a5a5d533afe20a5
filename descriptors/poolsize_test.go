package descriptors

import (
	"context"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/memory"
)

const elastic = `
domain: llm
pools: [{name: units, rate: 10/s, burst: 100, instances: {units_each: 20, min: 10, max: 400}}]
descriptors:
  - {key: api, value: a, draw: {pool: units}}
  - {key: api, value: b, draw: {pool: units, weight: 2}}
  - {key: api, value: c, draw: {pool: units, weight: 3, guarantee: 2/s, reserve: 20, headroom: 10}}
`

func ofUnits(size int64) map[PoolID]int64 { return map[PoolID]int64{{"llm", "units"}: size} }

// perSecond is a token bucket's exact rate.
func perSecond(b buckets.Bucket) *big.Rat {
	t := b.(buckets.TokenBucket)
	return big.NewRat(0, 1).Mul(big.NewRat(t.TicksPerQuantum, t.TicksPerToken), big.NewRat(int64(time.Second/time.Microsecond), t.Quantum))
}

// Twice the instances are twice of everything: capacity, rate, what each class is
// guaranteed and may save up, and the headroom. With fewer, reserves shrink to what
// the heaviest requests need, and no further.
func TestC13_APoolOfAnotherSizeIsInProportion(t *testing.T) {
	r := rulesOf(t, elastic)
	for _, want := range []struct {
		size, reserve, keep int64 // of class c; what it keeps are the reserves of a and b, and its headroom
	}{{200, 40, 20 + 20 + 20}, {50, 10, 5 + 5 + 4}, {10, 3, 1 + 2 + 0}, {6, 3, 1 + 2 + 0}} {
		r.resize(ofUnits(want.size))
		a, c := charge(t, r, "api=a"), charge(t, r, "api=c")
		if rate := big.NewRat(want.size, 10); a.Bucket.Size() != want.size || perSecond(a.Bucket).Cmp(rate) != 0 {
			t.Errorf("of 100 at 10/s, %d are %d at %v/s", want.size, a.Bucket.Size(), perSecond(a.Bucket))
		}
		if g := c.Class.Guarantee; g.Size() != want.reserve || perSecond(g).Cmp(big.NewRat(want.size, 50)) != 0 {
			t.Errorf("at %d, a reserve of 20 at 2/s is %d at %v/s", want.size, g.Size(), perSecond(g))
		}
		if keep := c.Class.Keep / a.Bucket.Unit(); keep != want.keep {
			t.Errorf("at %d, c leaves %d when it borrows, want %d", want.size, keep, want.keep)
		}
	}
	r.resize(nil)
	if again := charge(t, r, "api=a"); again.Bucket.Size() != 100 {
		t.Errorf("a pool that is not named holds %d, not what is stated", again.Bucket.Size())
	}
}

func TestC14_APoolOfSlotsIsResizedToo(t *testing.T) {
	r := rulesOf(t, `
domain: llm
pools: [{name: units, slots: 20, slot_ttl: 5m, instances: {units_each: 20, min: 10, max: 400}}]
descriptors: [{key: a, draw: {pool: units}}, {key: b, draw: {pool: units, weight: 3, reserve: 8}}]
`)
	r.resize(ofUnits(60))
	c := charge(t, r, "b=x")
	if slots := c.Bucket.(buckets.Slots); slots.Count != 60 || slots.TTL != (5*time.Minute).Microseconds() {
		t.Errorf("60 instances' slots are %+v", slots)
	}
	if g := c.Class.Guarantee.Size(); g != 24 {
		t.Errorf("three times a reserve of 8 is %d", g)
	}
}

// Whatever pool and whatever size: it holds that many, refills in proportion (a
// little slower where that is not exact), guarantees no more than it has, and
// admits each class's heaviest request.
func TestC13_EverySizeIsSound(t *testing.T) {
	resized := 0
	rapid.Check(t, func(t *rapid.T) {
		content, _ := anyPoolFile(t)
		a := assemble([]*file{parse(newText("test.yaml", []byte(content)))}, Options{})
		if a.faults.Failed() {
			return
		}
		r := newRules(a.domains)
		pool := r.Pools()[0]
		size := rapid.OneOf(rapid.Int64Range(0, 300), rapid.Int64Range(1, 1<<31)).Draw(t, "size")
		r.resize(map[PoolID]int64{pool.PoolID: size})
		size = max(size, pool.Least)
		var rate, reserves int64
		seen := map[*buckets.Class]bool{}
		stated := r.domains["d"].pools[0].plan.bucket
		for _, l := range r.Limits() {
			c := l.ChargeOn("key", "class")
			if c.Bucket.Size() != size {
				t.Fatalf("resized to %d it holds %d:\n%s", size, c.Bucket.Size(), content)
			}
			if c.Cost = l.Weight.Default; c.Hopeless() {
				t.Fatalf("of %d, the weight %d never passes:\n%s", size, c.Cost, content)
			}
			checkRate(t, stated, c.Bucket)
			if c.Class == nil || seen[c.Class] {
				continue
			}
			seen[c.Class] = true
			reserves += c.Class.Guarantee.Full()
			if g, ok := c.Class.Guarantee.(buckets.TokenBucket); ok {
				rate += g.TicksPerQuantum
			}
			if p, ok := c.Bucket.(buckets.TokenBucket); reserves > c.Bucket.Full() || ok && rate > p.TicksPerQuantum {
				t.Fatalf("%+v guarantees %d ticks a quantum and %d in all:\n%s", c.Bucket, rate, reserves, content)
			}
		}
		resized++
	})
	if resized == 0 {
		t.Error("no pool was resized")
	}
}

// checkRate wants a rate as large as the stated one in proportion to the sizes,
// at most a millionth smaller, and never larger.
func checkRate(t *rapid.T, stated, resized buckets.Bucket) {
	if _, tokens := stated.(buckets.TokenBucket); !tokens {
		return
	}
	want := new(big.Rat).Mul(perSecond(stated), big.NewRat(resized.Size(), stated.Size()))
	ratio := new(big.Rat).Quo(perSecond(resized), want)
	if ratio.Cmp(big.NewRat(1, 1)) > 0 || ratio.Cmp(big.NewRat(999_999, 1_000_000)) < 0 {
		t.Fatalf("%+v refills %v/s, in proportion to %+v it would be %v/s", resized, perSecond(resized), stated, want)
	}
}

// Numbers that are not exact in proportion: the rate is rounded down, and what the
// pool holds is as asked.
func TestC13_AnInexactProportionRefillsALittleSlower(t *testing.T) {
	r := rulesOf(t, `
domain: llm
pools: [{name: units, rate: 1000003/1001ms, burst: 2147483647}]
descriptors: [{key: api, draw: {pool: units}}]
`)
	stated := charge(t, r, "api=a").Bucket
	r.resize(ofUnits(2147483646))
	resized := charge(t, r, "api=a").Bucket
	if resized.Size() != 2147483646 || perSecond(resized).Cmp(perSecond(stated)) >= 0 {
		t.Errorf("%+v is %+v of one less", stated, resized)
	}
	ratio, _ := new(big.Rat).Quo(perSecond(resized), perSecond(stated)).Float64()
	if ratio < 0.999998 {
		t.Errorf("it refills at %v of the rate", ratio)
	}
}

// TestT1_ResizingAdmitsNoMoreThanTheLargestSize in any window: tokens used stay
// used when the pool shrinks, so that one that grows again hands out no fresh
// burst.
func TestT1_ResizingAdmitsNoMoreThanTheLargestSize(t *testing.T) {
	type admission struct{ at, cost int64 }
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
		store := memory.New(memory.Options{Now: func() time.Time { return now }})
		a := assemble([]*file{parse(newText("test.yaml", []byte(elastic)))}, Options{})
		r := newRules(a.domains)
		largest := int64(100)
		var all []admission
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			if rapid.IntRange(0, 2).Draw(t, "resize") == 0 {
				size := rapid.OneOf(rapid.Int64Range(10, 400), rapid.SampledFrom([]int64{10, 390, 400})).Draw(t, "size")
				largest = max(largest, size)
				r.resize(ofUnits(size))
			}
			now = now.Add(time.Duration(rapid.OneOf(rapid.SampledFrom([]int64{0, 0, 0, 1}), rapid.Int64Range(0, 1_000_000)).Draw(t, "pause")) * time.Microsecond)
			c := r.Resolve(request("api=" + rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "api"))).Matches[0].Charge
			c.Cost *= rapid.Int64Range(1, 40).Draw(t, "hits")
			o, err := store.Take(context.Background(), []buckets.Charge{c})
			if err != nil {
				t.Fatal(err)
			}
			if o[0].Admitted {
				all = append(all, admission{now.UnixMicro(), c.Cost})
			}
		}
		for i := range all {
			sum := int64(0)
			for _, a := range all[i:] {
				sum += a.cost
				// In millionths of a token; 10/s of 100 are size/10 a second.
				if bound := largest*1_000_000 + largest*(a.at-all[i].at+1)/10; sum*1_000_000 > bound {
					t.Fatalf("%d tokens admitted within %d us of a pool that held at most %d", sum, a.at-all[i].at, largest)
				}
			}
		}
	})
}

// Shrunk to a tenth and grown back at once, a pool that was used up is still used
// up; also after it was smaller than what it owed.
func TestT1_TokensUsedStayUsedWhateverTheSize(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	store := memory.New(memory.Options{Now: func() time.Time { return now }})
	r := rulesOf(t, elastic)
	take := func() (tokens int64) {
		for _, api := range []string{"api=a", "api=b", "api=c", "api=b", "api=a"} {
			for {
				c := charge(t, r, api)
				o, err := store.Take(t.Context(), []buckets.Charge{c})
				if err != nil {
					t.Fatal(err)
				}
				if !o[0].Admitted {
					break
				}
				tokens += c.Cost
			}
		}
		return tokens
	}
	r.resize(ofUnits(400))
	taken := take()
	if taken < 398 { // what is left is less than somebody's weight or reserve
		t.Fatalf("%d of 400 were taken", taken)
	}
	for _, size := range []int64{10, 100, 250, 400} {
		r.resize(ofUnits(size))
		if taken += take(); taken > 400 {
			t.Errorf("resized to %d, in one instant %d were taken of a pool that never held more than 400", size, taken)
		}
	}
	now = now.Add(time.Second)
	if taken += take(); taken < 438 || taken > 440 {
		t.Errorf("a second later %d were taken, want 440", taken)
	}
}

// A replica's sizes are those of the rules that it reads next, too, and requests
// under way meet one size or the other.
func TestC13_SizesOutliveAReload(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"llm.yaml": elastic})
	s := NewSource(dir, Options{})
	s.Resize(ofUnits(40)) // before there are any rules
	if report := s.Reload(); report.Faults.Failed() {
		t.Fatal(report.Faults.Text())
	}
	size := func() int64 { return charge(t, s.Rules(), "api=a").Bucket.Size() }
	if size() != 40 {
		t.Errorf("the pool holds %d, want 40", size())
	}
	old := s.Rules()
	put(t, dir, map[string]string{"llm.yaml": strings.Replace(elastic, "weight: 2", "weight: 4", 1)})
	if report := s.Reload(); !report.Changed || size() != 40 {
		t.Errorf("after a reload it holds %d, want 40", size())
	}
	var all sync.WaitGroup
	for i := range int64(4) {
		all.Go(func() {
			for n := range int64(50) {
				s.Resize(ofUnits(40 + n%2*i))
				if c := old.Resolve(request("api=c")).Matches[0].Charge; c.Class == nil {
					t.Error("a class was lost")
				}
			}
		})
	}
	all.Wait()
	s.Resize(nil)
	if size() != 100 {
		t.Errorf("without sizes it holds %d", size())
	}
}

func TestC13_PoolsSayWhatTheirSizesFollow(t *testing.T) {
	r := rulesOf(t, `
domain: llm
pools:
  - {name: plain, slots: 5}
  - name: units
    rate: 10/s
    burst: 100
    instances: {units_each: 20, min: 10, max: 400, stale_after: 30s, envoy: {admin: "http://127.0.0.1:9901", cluster: backend}}
    feedback: {bad_percent: 2, freeze: true}
descriptors: [{key: a, draw: {pool: plain, weight: 2}}, {key: b, draw: {pool: units}}, {key: c, draw: {pool: units, weight: 3}}]
`)
	got := ""
	for _, p := range r.Pools() {
		got += fmt.Sprintf("%s %d>=%d slots=%v", p.Name, p.Size, p.Least, p.Slots)
		if p.Instances != nil {
			got += fmt.Sprintf(" %+v %+v", *p.Instances, *p.Feedback)
		}
		got += "\n"
	}
	want := `plain 5>=2 slots=true
units 100>=4 slots=false {UnitsEach:20 Min:10 Max:400 Step:10 StaleAfter:30s EnvoyAdmin:http://127.0.0.1:9901 Cluster:backend} {BadPercent:2 MinPercent:30 Freeze:true}
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
