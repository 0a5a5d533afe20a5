package telemetry_test

import (
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/internal/telemetry"
)

// limitOf is a limit as new rules have it: nobody has counted it yet.
func limitOf(domain, name string) *descriptors.Limit {
	return &descriptors.Limit{Settings: &descriptors.Settings{Domain: domain}, Name: name}
}

// Counts that come from many requests at once are all served, each under its own
// limit and outcome, also of those that a reload has made anew, and what never happened is
// not.
func TestDecisionsAreCountedByLimitAndOutcome(t *testing.T) {
	m := telemetry.NewMetrics("v")
	outcomes := []string{"allowed", "denied", "not_charged", "shadow_denied", "refunded", "settled", "borrowed", "quota_denied", "waited"}
	want := map[string]int{}
	var mu sync.Mutex
	var group sync.WaitGroup
	shared := map[string]*descriptors.Limit{}
	for i := range 2 {
		for k := range 5 {
			shared[fmt.Sprintf("d%dl%d", i, k)] = limitOf(fmt.Sprint("d", i), fmt.Sprint("l", k))
		}
	}
	for worker := range 8 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(worker)))
			for range 2000 {
				domain, limit := fmt.Sprint("d", random.IntN(2)), fmt.Sprint("l", random.IntN(5))
				outcome, tokens := outcomes[random.IntN(len(outcomes)-1)], random.Int64N(3)
				l := shared[domain+limit]
				if random.IntN(100) == 0 {
					l = limitOf(domain, limit)
				}
				m.Decision(l, outcome, tokens, "")
				mu.Lock()
				want[fmt.Sprintf("weir_decisions_total{domain=%q,limit=%q,outcome=%q}", domain, limit, outcome)]++
				want[fmt.Sprintf("weir_charged_tokens_total{domain=%q,limit=%q}", domain, limit)] += int(tokens)
				mu.Unlock()
			}
		})
	}
	group.Wait()
	m.Decision(limitOf("d0", "only looked at"), outcomes[8], 0, "")
	want[`weir_decisions_total{domain="d0",limit="only looked at",outcome="waited"}`] = 1

	page := httptest.NewRecorder()
	m.Handler().ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
	served := 0
	for line := range strings.Lines(page.Body.String()) {
		series, value, found := strings.Cut(strings.TrimSpace(line), "} ")
		if !found || !strings.HasPrefix(series, "weir_decisions_total") && !strings.HasPrefix(series, "weir_charged_tokens_total") {
			continue
		}
		served++
		if fmt.Sprint(want[series+"}"]) != value {
			t.Errorf("%s} is %s, want %d", series, value, want[series+"}"])
		}
	}
	if served != len(want) {
		t.Errorf("%d series are served, want %d", served, len(want))
	}
}

func BenchmarkDecision(b *testing.B) {
	for _, limits := range []int{10, 100_000} {
		b.Run(fmt.Sprintf("limits=%d", limits), func(b *testing.B) {
			m, all, random := telemetry.NewMetrics("v"), make([]*descriptors.Limit, limits), rand.New(rand.NewPCG(1, 2))
			for i := range all {
				all[i] = limitOf("d", fmt.Sprintf("user=u%07d", i))
				m.Decision(all[i], "allowed", 1, "")
			}
			b.ReportAllocs()
			for b.Loop() {
				m.Decision(all[random.IntN(limits)], "allowed", 1, "")
			}
		})
	}
}
