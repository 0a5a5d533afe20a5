package telemetry_test

import (
	"fmt"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/weir-rls/weir/internal/telemetry"
)

var detailSeries = regexp.MustCompile(`(?m)^weir_detailed_decisions_total\{detail="(.*)",domain="d",limit="(.*)",outcome="(.*)"\} (\d+)$`)

// detailsOf are the served counts, by limit and detail.
func detailsOf(t *testing.T, m *telemetry.Metrics) map[string]map[string]int {
	t.Helper()
	page := httptest.NewRecorder()
	m.Handler().ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
	if page.Code != 200 || !utf8.Valid(page.Body.Bytes()) {
		t.Fatalf("the page is %d", page.Code)
	}
	all := map[string]map[string]int{}
	for _, found := range detailSeries.FindAllStringSubmatch(page.Body.String(), -1) {
		n, err := strconv.Atoi(found[4])
		if err != nil {
			t.Fatal(err)
		}
		if all[found[2]] == nil {
			all[found[2]] = map[string]int{}
		}
		all[found[2]][found[1]] += n
	}
	return all
}

// A rule may ask for series of what clients send. Whatever they send, there are not more of
// them than that, each decision is counted, and memory does not grow.
func TestDetails_AFloodOfValuesIsBounded(t *testing.T) {
	const limits, values, size = 20, 100_000, 2000
	m := telemetry.NewMetrics("v")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			long := strings.Repeat("v", size)
			for i := worker; i < values; i += 4 {
				l := limitOf("d", fmt.Sprint("l", i%limits))
				m.Decision(l, "allowed", 1, "")
				m.Detailed(l, fmt.Sprint("user_", i, "\xff\n", long[:i%size]), "allowed", 1)
			}
		})
	}
	group.Wait()
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 2<<20 {
		t.Errorf("memory has grown by %d bytes", grown)
	}
	all, told, counted := detailsOf(t, m), 0, 0
	for limit, of := range all {
		if len(of) > 101 {
			t.Errorf("%s has %d series", limit, len(of))
		}
		for detail, n := range of {
			counted += n
			if detail != "other" {
				told++
			}
			if len(detail) > 250 || strings.Contains(detail, `\n`) {
				t.Fatalf("a label is %q", detail)
			}
		}
	}
	if len(all) != limits || told != 1000 || counted != values {
		t.Errorf("%d limits with %d details, %d decisions; want %d, 1000, %d", len(all), told, counted, limits, values)
	}
}

// One limit does not take the series of all.
func TestDetails_OfOneLimitAreBounded(t *testing.T) {
	m := telemetry.NewMetrics("v")
	count := func(limit, detail, outcome string) {
		l := limitOf("d", limit)
		m.Decision(l, outcome, 2, "")
		m.Detailed(l, detail, outcome, 2)
	}
	for i := range 1000 {
		count("flooded", fmt.Sprint("user_", i), "allowed")
	}
	count("flooded", "user_0", "denied")
	count("calm", "user_a", "allowed")
	all := detailsOf(t, m)
	if len(all["flooded"]) != 101 || all["flooded"]["other"] != 900 || all["flooded"]["user_0"] != 2 || all["calm"]["user_a"] != 1 {
		t.Errorf("%d series, other %d, user_0 %d; calm %v", len(all["flooded"]), all["flooded"]["other"], all["flooded"]["user_0"], all["calm"])
	}
	page := httptest.NewRecorder()
	m.Handler().ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`weir_detailed_charged_tokens_total{detail="user_0",domain="d",limit="flooded"} 4`, `weir_detailed_charged_tokens_total{detail="other",domain="d",limit="flooded"} 1800`,
		`weir_detailed_decisions_total{detail="user_0",domain="d",limit="flooded",outcome="denied"} 1`,
	} {
		if !strings.Contains(page.Body.String(), want+"\n") {
			t.Errorf("missing: %s", want)
		}
	}
}
