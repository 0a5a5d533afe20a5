package e2e

import (
	"sync"
	"testing"
	"time"
)

// Three APIs of weight 1, 2 and 3 share 100 tokens and 100/s: each is guaranteed
// 0.6 x 100 / 3 = 20 tokens/s, and keeps a reserve of 10.
const poolRules = `domain: e2e
pools: [{name: units, rate: 100/s, burst: 100}]
descriptors:
  - {key: api, value: a, draw: {pool: units, weight: 1}}
  - {key: api, value: b, draw: {pool: units, weight: 2}}
  - {key: api, value: c, draw: {pool: units, weight: 3}}
`

func TestC06_ALightAPIGetsItsGuaranteeBesideAHog(t *testing.T) {
	onBothStores(t, spec{rules: poolRules}, func(t *testing.T, top *topology) {
		began := time.Now()
		hog := top.load(t, 6, headers{"X-Api": "c"})
		hog.more(t, 200) // it has eaten what it can
		quiet := top.paced(t, 15, 30, headers{"X-Api": "a"})
		if quiet[200] != 30 {
			t.Errorf("A asked for 15/s of its 20/s and got %v", quiet)
		}
		second := time.Now()
		greedy := top.load(t, 2, headers{"X-Api": "a"})
		eventually(t, "A asks for two seconds", func() bool { return time.Since(second) > 2*time.Second })
		got := greedy.end()
		// 20/s and no less, with a tenth for where the seconds begin and end.
		if least := int(0.9 * 20 * time.Since(second).Seconds()); got[200] < least {
			t.Errorf("A got %d of %d in two seconds, guaranteed are %d", got[200], got.total(), least)
		}
		heavy := hog.end()
		took := time.Since(began)
		tokens := quiet[200] + got[200] + 3*heavy[200]
		if most := 100 + refilled(100, took); tokens > most || tokens < most*7/10 {
			t.Errorf("%d tokens in %v, want at most %d and most of them", tokens, took, most)
		}
		t.Logf("in %v: A %v at 15/s, %v greedy; C %v; %d tokens", took.Round(time.Millisecond), quiet, got, heavy, tokens)
	})
}

// paced sends n requests at a rate, each at its time whatever became of the others.
func (top *topology) paced(t *testing.T, perSecond, n int, h headers) tally {
	t.Helper()
	c := client(t, n)
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	var all sync.WaitGroup
	statuses := make([]int, n)
	for i := range n {
		<-tick.C
		all.Go(func() { statuses[i] = get(c, top.fronts[i%len(top.fronts)], h).status })
	}
	all.Wait()
	got := tally{}
	for _, status := range statuses {
		got[status]++
	}
	return got
}
