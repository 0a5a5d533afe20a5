//go:build !race

package service

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-rls/weir/descriptors"
)

// A request of up to four descriptors makes at most twelve allocations from its wire form to that of its answer,
// whatever gRPC makes beside them: each is some 30 ns, and as much again when garbage
// is collected. The race detector's pools forget, so this runs without it.
func TestBudget_ARequestMakesAtMostTwelveAllocations(t *testing.T) {
	const ofTheTest = 3 // which hands the request over, and what decodes it, as gRPC does
	w := newWorld(t, `
domain: d
descriptors:
  - {key: a, limits: [{rate: 10/s}]}
  - {key: b, limits: [{rate: 10/s}]}
  - {key: c, limits: [{rate: 10/s}]}
  - {key: d, limits: [{rate: 10/s}]}
  - {key: none, limits: [{rate: 0/s}]}
`)
	w.options.Observe = Observer{
		Request: func(Result, time.Duration, string) {}, Decision: func(*descriptors.Limit, Outcome, int64, string) {}, Unmatched: func(string, int) {},
		Waited: func(time.Duration) {}, Limited: func(string, string) {}, Refusal: func(Refusal) {}, Answer: func(Answer) {},
	}
	for _, c := range []struct {
		most  float64
		texts []string
	}{
		{8, []string{"a=x"}},
		{12, []string{"a=x", "b=x", "c=x", "d=x"}},
		{14, []string{"none=x"}}, // whose caller reads why
	} {
		if made := w.allocations(c.texts...) - ofTheTest; made > c.most {
			t.Errorf("%q makes %v allocations, more than %v", c.texts, made, c.most)
		}
	}
}

// What a rule states for answers is encoded once.
func TestBudget_MetadataOfOneRuleCostsNoAllocation(t *testing.T) {
	w := newWorld(t, `
domain: d
descriptors:
  - {key: a, limits: [{rate: 1000/s}]}
  - {key: b, limits: [{rate: 1000/s}], metadata: {team: search, of: {a: [1, 2, 3], b: {c: d}}}}
`)
	if plain, stated := w.allocations("a=x"), w.allocations("b=x"); stated > plain {
		t.Errorf("%v allocations, %v with metadata", plain, stated)
	}
}

// Hashing the values of a descriptor costs one allocation, however many values and
// limits it has.
func TestBudget_HashedValuesCostOneAllocationForEachDescriptor(t *testing.T) {
	const rules = `
descriptors:
  - {key: a, limits: [{rate: 1000/s}, {rate: 9000/day}]}
  - {key: b, descriptors: [{key: c, limits: [{rate: 1000/s}]}]}
`
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("s", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	plain, hashed := newWorld(t, "domain: d"+rules), newWorld(t, "domain: d\nkeys: {hash: hmac-sha256, secret_file: "+secret+"}"+rules)
	texts := []string{"a=x", "b=y,c=z"}
	if before, after := plain.allocations(texts...), hashed.allocations(texts...); after > before+2 {
		t.Errorf("%v allocations, %v with hashed values", before, after)
	}
}

// Who is told, and does not look, pays nothing.
func TestBudget_WhoDoesNotLookAtARefusalPaysNothing(t *testing.T) {
	w := newWorld(t, observedRules)
	r := request("user=u", "service=s")
	allocs := func() float64 { return testing.AllocsPerRun(100, func() { w.ask(r) }) }
	allocs()
	before := allocs()
	w.options.Observe.Refusal = func(Refusal) {}
	w.options.Observe.Breaker = func(_, _, _, _ string, _ int64) {}
	if after := allocs(); after > before {
		t.Errorf("%v allocations of a refusal, %v when somebody is told", before, after)
	}
}
