package telemetry_test

import (
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/weir-rls/weir/internal/telemetry"
)

// Counts that come from many requests at once are all served, each under its own
// limit and outcome, and what never happened is not.
func TestDecisionsAreCountedByLimitAndOutcome(t *testing.T) {
	m := telemetry.NewMetrics("v")
	outcomes := []string{"allowed", "denied", "not_charged", "shadow_denied", "refunded", "settled", "borrowed", "quota_denied", "waited"}
	want := map[string]int{}
	var mu sync.Mutex
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(worker)))
			for range 2000 {
				domain, limit := fmt.Sprint("d", random.IntN(2)), fmt.Sprint("l", random.IntN(5))
				outcome, tokens := outcomes[random.IntN(len(outcomes)-1)], random.Int64N(3)
				m.Decision(domain, limit, outcome, tokens)
				mu.Lock()
				want[fmt.Sprintf("weir_decisions_total{domain=%q,limit=%q,outcome=%q}", domain, limit, outcome)]++
				want[fmt.Sprintf("weir_charged_tokens_total{domain=%q,limit=%q}", domain, limit)] += int(tokens)
				mu.Unlock()
			}
		})
	}
	group.Wait()
	m.Decision("d0", "only looked at", outcomes[8], 0)
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
			m, names, random := telemetry.NewMetrics("v"), make([]string, limits), rand.New(rand.NewPCG(1, 2))
			for i := range names {
				names[i] = fmt.Sprintf("user=u%07d", i)
				m.Decision("d", names[i], "allowed", 1)
			}
			b.ReportAllocs()
			for b.Loop() {
				m.Decision("d", names[random.IntN(limits)], "allowed", 1)
			}
		})
	}
}
