package stats_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-rls/weir/ratelimit/stats"
)

func mapped(t *testing.T, yaml string, log *slog.Logger) *stats.Stats {
	t.Helper()
	path := filepath.Join(t.TempDir(), "conf.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	o := prometheusOptions()
	o.MapperYAML, o.Log = path, log
	s := newStats(t, o)
	run(t, s)
	return s
}

func TestPrometheus_AMappingFileReplacesTheNames(t *testing.T) {
	s := mapped(t, `
mappings:
- match: "ratelimit.service.rate_limit.*.*.over_limit"
  name: "denied"
  help: "What was denied."
  labels: {where: "$1", what: "$2"}
- match: 'ratelimit_server\.(.*)\.response_time'
  match_type: regex
  name: "took"
  observer_type: histogram
  scale: 0.001
  histogram_options: {buckets: [1, 10]}
  labels: {method: "$1"}
- match: "ratelimit.service.config_load_error"
  name: "dropped"
  action: drop
`, nil)
	s.Limit("d", "k_v").OverLimit.Add(1)
	s.Limit("d", "k_v").TotalHits.Add(2)
	s.Limit("d", "a.b.c").OverLimit.Add(3)
	s.ConfigLoadError.Add(4)
	s.RedisError.Add(5)
	call(t, s, shouldRateLimit, 0)
	want := []string{
		`denied{what="k_v",where="d"} 1`,
		// A file that does not map something has it in the name; what clients can name
		// stays in labels.
		`ratelimit_server_ShouldRateLimit_total_requests 1`,
		`ratelimit_service_call_should_rate_limit_redis_error 5`,
		`ratelimit_service_rate_limit_over_limit{domain="d",key1="a",key2="b"} 3`,
		`ratelimit_service_rate_limit_total_hits{domain="d",key1="k_v"} 2`,
		`took_bucket{method="ShouldRateLimit",le="1"} 1`,
		`took_bucket{method="ShouldRateLimit",le="10"} 1`,
		`took_bucket{method="ShouldRateLimit",le="+Inf"} 1`,
		`took_count{method="ShouldRateLimit"} 1`,
	}
	var got []string
	for _, line := range scrape(t, s) {
		if !strings.HasPrefix(line, "took_sum") {
			got = append(got, line)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, text := get(t, s, "/metrics"); !strings.Contains(text, "# HELP denied What was denied.") {
		t.Error("the help of the mapping is not shown")
	}
}

func TestPrometheus_AMappingFileThatCannotBeUsedIsToldAndTheDefaultServes(t *testing.T) {
	for name, c := range map[string]struct{ yaml, want string }{
		"not YAML":    {"mappings: [", "yaml"},
		"no name":     {"mappings: [{match: a.b}]", "didn't set a metric name"},
		"wrong regex": {`mappings: [{match: "(", match_type: regex, name: a}]`, "invalid regex"},
		"missing":     {"", "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			path := filepath.Join(t.TempDir(), "conf.yaml")
			if c.yaml != "" {
				if err := os.WriteFile(path, []byte(c.yaml), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			o := prometheusOptions()
			o.MapperYAML, o.Log = path, slog.New(slog.NewTextHandler(&log, nil))
			s := newStats(t, o)
			run(t, s)
			s.Limit("d", "k").OverLimit.Add(1)
			if diff := cmp.Diff([]string{`ratelimit_service_rate_limit_over_limit{domain="d",key1="k"} 1`}, scrape(t, s)); diff != "" {
				t.Error(diff)
			}
			for _, part := range []string{"level=ERROR", "PROMETHEUS_MAPPER_YAML", path, c.want} {
				if !strings.Contains(log.String(), part) {
					t.Errorf("the log lacks %q: %s", part, log.String())
				}
			}
		})
	}
}

// A mapping can ask for what Prometheus does not allow: the rest must be served.
func TestPrometheus_ASeriesThatIsWrongIsToldAndTheOthersAreServed(t *testing.T) {
	var log strings.Builder
	s := mapped(t, `
mappings:
- {match: "ratelimit.redis_pool.cx_active", name: "same"}
- {match: "ratelimit.redis_pool.cx_total", name: "same"}
- {match: "ratelimit.service.config_load_error", name: "wrong", labels: {__reserved: x}}
- {match: "ratelimit_server.*.response_time", name: "took", observer_type: histogram, histogram_options: {buckets: [2, 1]}}
- {match: "ratelimit.service.config_load_success", name: "go_goroutines"}
`, slog.New(slog.NewTextHandler(&log, nil)))
	s.RedisPool("redis_pool", func() stats.Pool { return stats.Pool{Active: 3, Opened: 5} })
	s.ConfigLoadError.Add(1)
	s.ConfigLoadSuccess.Add(1)
	s.ServiceError.Add(2)
	call(t, s, shouldRateLimit, 0)
	got := strings.Join(scrape(t, s), "\n")
	want := strings.Join([]string{`ratelimit_server_ShouldRateLimit_total_requests 1`, `ratelimit_service_call_should_rate_limit_service_error 2`, `same 3`}, "\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, part := range []string{"ratelimit.redis_pool.cx_total", "config_load_error", "buckets must be in increasing order", "go_goroutines"} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("the log lacks %q: %s", part, log.String())
		}
	}
}
