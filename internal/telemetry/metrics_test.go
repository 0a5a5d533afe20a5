package telemetry_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/internal/telemetry"
)

// everyMetric has counted everything that is counted.
func everyMetric() *telemetry.Metrics {
	m := telemetry.NewMetrics("v")
	m.Buckets(func() int { return 1 }, func() uint64 { return 1 })
	m.Waiting(func() int { return 1 })
	m.StoreAsked(func() bool { return true })
	m.DeniedFromCache(func() uint64 { return 1 })
	m.Leases(func() uint64 { return 1 }, func() int { return 1 })
	m.Replicas(func() int64 { return 1 })
	m.Receipt("redeemed")
	m.WrittenOff("d", "l", 1)
	m.Request("ok", time.Second, "")
	m.Decision(&descriptors.Limit{Settings: &descriptors.Settings{Domain: "d"}, Name: "l"}, "allowed", 1, "")
	m.Detailed(&descriptors.Limit{Settings: &descriptors.Settings{Domain: "d"}, Name: "l"}, "user_u", "allowed", 1)
	m.Abandoned("lost")
	m.Unmatched("d", 1)
	m.IgnoredOverrides("d", 1)
	m.Store(time.Second, "timeout", "")
	m.Degraded("local")
	m.Reload(0)
	m.Changes(1, 0)
	m.Line("CHECK", "ok")
	m.HTTPRefused(401)
	m.Excess("in_flight")
	m.GRPCRefused("wrong")
	m.EventsSent("log", 1)
	m.EventsDropped("webhook", 1)
	m.PoolSizes(maps.All(map[[2]string]int64{{"d", "p"}: 1}))
	m.BreakerMoved("d", "l", "open")
	m.Spans("sent", 1)
	return m
}

func scrape(m *telemetry.Metrics) string {
	page := httptest.NewRecorder()
	m.Handler().ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
	return page.Body.String()
}

// Prometheus' own rules: base units, _total of counters alone, a HELP text for each.
func TestMetrics_AreNamedAsPrometheusWants(t *testing.T) {
	problems, err := promlint.New(strings.NewReader(scrape(everyMetric()))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "weir_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	helps := regexp.MustCompile(`(?m)^# HELP (weir_\w+) (.*)$`).FindAllStringSubmatch(scrape(everyMetric()), -1)
	if len(helps) < 35 {
		t.Errorf("only %d metrics have a HELP text", len(helps))
	}
	for _, h := range helps {
		if len(h[2]) < 10 || !strings.HasSuffix(h[2], ".") {
			t.Errorf("%s: HELP is no sentence: %q", h[1], h[2])
		}
	}
}

// Decisions take from 50 us, in memory, to the second after which a client has given up:
// where two buckets are further apart than a factor of 2.5, a quantile says nothing.
func TestLatencyBuckets_AreFineWhereDecisionsAre(t *testing.T) {
	var bounds []float64
	for _, le := range regexp.MustCompile(`weir_request_duration_seconds_bucket\{result="ok",le="([0-9.e-]+)"`).FindAllStringSubmatch(scrape(everyMetric()), -1) {
		bound, err := strconv.ParseFloat(le[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		bounds = append(bounds, bound)
	}
	if len(bounds) == 0 || bounds[0] > 50e-6 || !slices.Contains(bounds, 1) {
		t.Fatalf("bounds %v", bounds)
	}
	for i := 1; bounds[i-1] < 1; i++ {
		if bounds[i] > 2.5001*bounds[i-1] {
			t.Errorf("nothing between %v and %v", bounds[i-1], bounds[i])
		}
	}
}

// The exemplars of many counters do not grow without bound, and each is of its own.
func TestExemplars_AreBounded(t *testing.T) {
	m := telemetry.NewMetrics("v")
	const limits = 5000
	for i := range limits {
		m.Decision(&descriptors.Limit{Settings: &descriptors.Settings{Domain: "d"}, Name: fmt.Sprint(i)}, "allowed", 1, fmt.Sprintf("%032x", i))
	}
	request, page := httptest.NewRequest("GET", "/metrics", nil), httptest.NewRecorder()
	request.Header.Set("Accept", "application/openmetrics-text;version=1.0.0")
	m.Handler().ServeHTTP(page, request)
	found := regexp.MustCompile(`weir_decisions_total\{domain="d",limit="(\d+)",outcome="allowed"\} \S+ # \{trace_id="([0-9a-f]+)"\}`).FindAllStringSubmatch(page.Body.String(), -1)
	if len(found) == 0 || len(found) > 1024 {
		t.Errorf("%d exemplars of %d counters", len(found), limits)
	}
	for _, f := range found {
		if n, _ := strconv.Atoi(f[1]); f[2] != fmt.Sprintf("%032x", n) {
			t.Errorf("limit %s has trace %s", f[1], f[2])
		}
	}
}

// An operator looks a metric up in docs/reference/metrics.md: what is served stands there
// with its labels, and nothing else does.
func TestEveryMetricIsDocumented(t *testing.T) {
	page := scrape(everyMetric())
	served := map[string]string{}
	for _, line := range regexp.MustCompile(`(?m)^(weir_\w+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})? `).FindAllStringSubmatch(page, -1) {
		var labels []string
		for _, label := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(line[2], -1) {
			if label[1] != "le" {
				labels = append(labels, "`"+label[1]+"`")
			}
		}
		served[line[1]] = strings.Join(labels, ", ")
	}
	text, err := os.ReadFile("../../docs/reference/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(weir_\\w+)` \\| (.*?) ?\\|").FindAllStringSubmatch(string(text), -1) {
		documented[row[1]] = row[2]
	}
	for _, name := range slices.Sorted(maps.Keys(served)) {
		if labels, ok := documented[name]; !ok {
			t.Errorf("docs/reference/metrics.md lacks %s", name)
		} else if want := slices.Sorted(strings.SplitSeq(served[name], ", ")); !slices.Equal(slices.Sorted(strings.SplitSeq(labels, ", ")), want) {
			t.Errorf("docs/reference/metrics.md gives %s the labels %s, want %s", name, labels, want)
		}
		delete(documented, name)
	}
	if len(documented) > 0 {
		t.Errorf("docs/reference/metrics.md has what is not served: %v", documented)
	}
}

// A rule file may hold any text, and a line break in a log line forges another.
func TestALogLineIsOneLine(t *testing.T) {
	var out bytes.Buffer
	log := telemetry.NewLogger(&out, slog.LevelInfo)
	log.Debug("below the level")
	log.Info("fault", "text", "a\n{\"level\":\"ERROR\"}\x1b[31m\u2028")
	if got := out.String(); strings.Count(got, "\n") != 1 || strings.ContainsAny(got, "\x1b\u2028") {
		t.Errorf("the log holds %q", got)
	}
}
