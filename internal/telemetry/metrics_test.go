package telemetry_test

import (
	"bytes"
	"log/slog"
	"maps"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/internal/telemetry"
)

// An operator looks a metric up in docs/reference/metrics.md: what is served stands there
// with its labels, and nothing else does.
func TestEveryMetricIsDocumented(t *testing.T) {
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
	m.Abandoned("lost")
	m.Unmatched("d", 1)
	m.IgnoredOverrides("d", 1)
	m.Store(time.Second, "timeout")
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
	page := httptest.NewRecorder()
	m.Handler().ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))

	served := map[string]string{}
	for _, line := range regexp.MustCompile(`(?m)^(weir_\w+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})? `).FindAllStringSubmatch(page.Body.String(), -1) {
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
