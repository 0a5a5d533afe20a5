package descriptors

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/weir-rls/weir/buckets"
)

const everyKind = `
domain: llm
pools: [{name: p, rate: 10/s}, {name: s, slots: 20}]
descriptors:
  - key: a
    limits:
      - {name: token, rate: 10/s, weight: 3}
      - {name: fixed, rate: 10/day}
      - {name: sliding, rate: 10/min, algorithm: sliding_window, count: success}
      - {name: slots, algorithm: concurrency, slots: 5}
    draw: {pool: p, class: drawn}
    breaker: {name: breaker}
  - {key: b, draw: {pool: p}}
  - {key: c, draw: {pool: s, class: held}}
`

// modes are what a descriptor is charged: limit, mode and cost of each.
func modes(r *Rules, desc Descriptor) string {
	var parts []string
	for _, m := range r.Resolve(&Request{Domain: "llm", Descriptors: []Descriptor{desc}}).Matches {
		mode := []string{"take", "look", "refund", "settle", "cancel"}[m.Charge.Mode]
		parts = append(parts, fmt.Sprintf("%s %s %d", m.Limit.Name, mode, m.Charge.Cost))
	}
	return strings.Join(parts, ", ")
}

// What a stream has used is known when it ends, and charged whatever is left; what
// was held while it lasted is given back by its receipt and no matter of hits.
func TestEnd_SettlesWhatIsNotHeld(t *testing.T) {
	r := rulesOf(t, everyKind)
	end := entries("a=x weir.end=1")
	for _, c := range []struct {
		desc Descriptor
		want string
	}{
		{Descriptor{Entries: entries("a=x"), HasHits: true, Hits: 2}, "token take 6, fixed take 2, sliding take 2, slots take 2, drawn take 2, breaker take 1"},
		{Descriptor{Entries: entries("a=x"), HasHits: true}, "token look 3, fixed look 1, sliding look 1, slots look 1, drawn look 1, breaker look 1"},
		{Descriptor{Entries: end, HasHits: true, Hits: 700}, "token settle 2100, fixed settle 700, sliding settle 700, drawn settle 700"},
		{Descriptor{Entries: end}, "token settle 3, fixed settle 1, sliding settle 1, drawn settle 1"},
		{Descriptor{Entries: end, HasHits: true}, "token settle 0, fixed settle 0, sliding settle 0, drawn settle 0"},
		{Descriptor{Entries: end, HasHits: true, Hits: 2, Negative: true}, "token refund 6, fixed refund 2, sliding refund 2, drawn refund 2"},
		{Descriptor{Entries: entries("c=x weir.end=1"), HasHits: true, Hits: 2}, ""},
		{Descriptor{Entries: end, Override: &Override{5, Minute, 1}, HasHits: true, Hits: 9}, "override settle 9"},
		{Descriptor{Entries: end, HasHits: true, Hits: math.MaxUint64}, fmt.Sprintf("token settle %d, fixed settle %[1]d, sliding settle %[1]d, drawn settle %[1]d", math.MaxInt64)},
	} {
		if got := modes(r, c.desc); got != c.want {
			t.Errorf("%+v is charged\n%s, want\n%s", c.desc, got, c.want)
		}
	}
}

// The end is charged where the beginning was, and the mark is no way around a
// domain that denies what its rules do not know.
func TestEnd_MeetsTheBucketsOfTheBeginning(t *testing.T) {
	r := rulesOf(t, everyKind)
	begin, end := r.Resolve(request("a=x")).Matches, r.Resolve(request("weir.end=1 a=x")).Matches
	for i := range 3 {
		if begin[i].Charge.Key != end[i].Charge.Key || begin[i].Charge.Limit != end[i].Charge.Limit {
			t.Errorf("begun at %+v, ended at %+v", begin[i].Charge, end[i].Charge)
		}
	}
	b, e := begin[4].Charge, end[3].Charge
	if b.Key != e.Key || b.ClassKey != e.ClassKey || b.Class == nil || b.Class != e.Class {
		t.Errorf("begun at %+v, ended at %+v", b, e)
	}
	if res := r.Resolve(request("z=x weir.end=1")); len(res.Unmatched) != 1 {
		t.Errorf("an end that no rule meets: %+v", res)
	}
}

// Loose success counting looks at request time and counts at the end; the charges
// are judged as they stand.
func TestEnd_LooseSuccessCounting(t *testing.T) {
	r := rulesOf(t, "domain: llm\ndescriptors: [{key: m, limits: [{rate: 2/min, algorithm: sliding_window, count: success}]}]")
	var state buckets.State
	judge := func(desc Descriptor) bool {
		c := r.Resolve(&Request{Domain: "llm", Descriptors: []Descriptor{desc}}).Matches[0].Charge
		return buckets.Judge([]buckets.Charge{c}, []*buckets.State{&state}, []*buckets.State{nil}, 1)[0].Admitted
	}
	look, success := Descriptor{Entries: entries("m=x"), HasHits: true}, Descriptor{Entries: entries("m=x weir.end=1")}
	for i := range 2 {
		if !judge(look) {
			t.Errorf("refused after %d successes", i)
		}
		judge(success)
	}
	if judge(look) {
		t.Error("admitted after two successes of two")
	}
	if !rulesOf(t, everyKind).Limits()[2].CountSuccess {
		t.Error("count: success is not told")
	}
}
