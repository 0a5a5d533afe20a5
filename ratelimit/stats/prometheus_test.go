package stats_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/weir-rls/weir/ratelimit/stats"
)

func prometheusOptions() stats.Options {
	return stats.Options{Prometheus: true, PrometheusAddr: "127.0.0.1:0", PrometheusPath: "/metrics"}
}

// scrape gets what is served, without the comments, the process's own metrics and what
// changes from one scrape to the next.
func scrape(t *testing.T, s *stats.Stats) []string {
	t.Helper()
	status, text := get(t, s, "/metrics")
	if status != http.StatusOK {
		t.Fatalf("/metrics answers %d: %s", status, text)
	}
	var lines []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") && !own.MatchString(line) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

var own = regexp.MustCompile(`^(go_|process_|ratelimit_go_)`)

func get(t *testing.T, s *stats.Stats, path string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", fmt.Sprintf("http://%s%s", s.Addr(), path), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func TestPrometheus_GivesTheSeriesOfTheReference(t *testing.T) {
	s := newStats(t, prometheusOptions())
	run(t, s)
	if got := scrape(t, s); len(got) != 0 {
		t.Errorf("before anything was counted there is %q", got)
	}
	l := s.Limit("d", "k_v")
	l.TotalHits.Add(7)
	l.WithinLimit.Add(4)
	l.NearLimit.Add(1)
	l.OverLimit.Add(3)
	l.ShadowMode.Add(3)
	l.OverLimitWithLocalCache.Add(2)
	l.TotalNegativeHits.Add(6)
	s.Limit("d", "k_v.k2_v2").TotalHits.Add(1)
	// Levels beyond the second are not told apart.
	s.Limit("d", "k_v.k2_v2.k3_a").TotalHits.Add(10)
	s.Limit("d", "k_v.k2_v2.k3_b.k4").TotalHits.Add(100)
	s.DomainNotFound("gone.example")
	s.RedisError.Add(1)
	s.ServiceError.Add(2)
	s.ConfigLoadSuccess.Add(3)
	s.ConfigLoadError.Add(4)
	s.GlobalShadowMode.Add(5)
	s.RedisPool("redis_pool", func() stats.Pool { return stats.Pool{Active: 3, Opened: 5} })
	for range 2 {
		call(t, s, shouldRateLimit, 0)
	}

	want := []string{
		`ratelimit_redis_pool_cx_active 3`,
		`ratelimit_redis_pool_cx_total 5`,
		`ratelimit_service_config_load_error 4`,
		`ratelimit_service_config_load_success 3`,
		`ratelimit_service_global_shadow_mode 5`,
		`ratelimit_service_rate_limit_domain_not_found{domain="gone.example"} 1`,
		`ratelimit_service_rate_limit_near_limit{domain="d",key1="k_v"} 1`,
		`ratelimit_service_rate_limit_over_limit{domain="d",key1="k_v"} 3`,
		`ratelimit_service_rate_limit_over_limit_with_local_cache{domain="d",key1="k_v"} 2`,
		`ratelimit_service_rate_limit_shadow_mode{domain="d",key1="k_v"} 3`,
		`ratelimit_service_rate_limit_total_hits{domain="d",key1="k_v"} 7`,
		`ratelimit_service_rate_limit_total_hits{domain="d",key1="k_v",key2="k2_v2"} 111`,
		`ratelimit_service_rate_limit_total_negative_hits{domain="d",key1="k_v"} 6`,
		`ratelimit_service_rate_limit_within_limit{domain="d",key1="k_v"} 4`,
		`ratelimit_service_should_rate_limit_error{err_type="redis_error"} 1`,
		`ratelimit_service_should_rate_limit_error{err_type="service_error"} 2`,
		`ratelimit_service_total_requests{grpc_method="ShouldRateLimit"} 2`,
	}
	var got []string
	for _, line := range scrape(t, s) {
		if !strings.HasPrefix(line, "ratelimit_service_response_time_seconds") {
			got = append(got, line)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// Counters have the type of counters, and are not counted again by a second scrape.
	if _, text := get(t, s, "/metrics"); !strings.Contains(text, "# TYPE ratelimit_service_rate_limit_over_limit counter") ||
		!strings.Contains(text, `total_hits{domain="d",key1="k_v"} 7`) {
		t.Errorf("the second scrape is %s", text)
	}
}

// Whole milliseconds are nothing for a decision that takes tens of microseconds.
func TestPrometheus_MeasuresResponsesBelowAMillisecond(t *testing.T) {
	for _, c := range []struct {
		asMilliseconds bool
		least, most    float64
	}{{false, 0.0005, 0.9}, {true, 0.5, 900}} {
		o := prometheusOptions()
		o.ResponseTimeAsMilliseconds = c.asMilliseconds
		s := newStats(t, o)
		run(t, s)
		call(t, s, shouldRateLimit, 600*time.Microsecond)
		var sum float64
		count := 0
		for _, line := range scrape(t, s) {
			const name = `ratelimit_service_response_time_seconds`
			_, _ = fmt.Sscanf(line, name+`_sum{grpc_method="ShouldRateLimit"} %g`, &sum)
			_, _ = fmt.Sscanf(line, name+`_count{grpc_method="ShouldRateLimit"} %d`, &count)
		}
		if sum < c.least || sum > c.most || count != 1 {
			t.Errorf("as milliseconds %v: the sum is %v of %d, want from %v to %v of 1", c.asMilliseconds, sum, count, c.least, c.most)
		}
	}
}

// What Envoy Gateway's test asks Prometheus for.
func TestPrometheus_NamesAddressesAsEnvoyGatewayReadsThem(t *testing.T) {
	o := prometheusOptions()
	o.MapperYAML = "testdata/envoy-gateway.yaml"
	for name, o := range map[string]stats.Options{"by default": prometheusOptions(), "mapped by its file": o} {
		t.Run(name, func(t *testing.T) {
			s := newStats(t, o)
			run(t, s)
			route := "httproute/gateway-conformance-infra/cidr-ratelimit/rule/0/match/0/ratelimit_example_com"
			s.Limit("gateway-conformance-infra/same-namespace/http",
				route+"_"+route+".masked_remote_address_0.0.0.0/0.remote_address_10.244.0.7").OverLimit.Add(1)
			want := `ratelimit_service_rate_limit_over_limit{domain="gateway-conformance-infra/same-namespace/http",key1="` + route + "_" + route + `",key2="masked_remote_address_0_0_0_0/0"} 1`
			if diff := cmp.Diff([]string{want}, scrape(t, s)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPrometheus_ShowsExtraTagsAsLabels(t *testing.T) {
	o := prometheusOptions()
	o.ExtraTags = map[string]string{"team-name": "shop"}
	s := newStats(t, o)
	run(t, s)
	s.Limit("d", "k").TotalHits.Add(1)
	if diff := cmp.Diff([]string{`ratelimit_service_rate_limit_total_hits{domain="d",key1="k",team_name="shop"} 1`}, scrape(t, s)); diff != "" {
		t.Error(diff)
	}
}

func TestPrometheus_ServesWeirsOwnSeriesBesideThoseOfTheReferenceOrAlone(t *testing.T) {
	own := prometheus.NewRegistry()
	seen := prometheus.NewCounter(prometheus.CounterOpts{Name: "weir_seen_total"})
	own.MustRegister(seen, collectors.NewGoCollector())
	for only, want := range map[bool][]string{
		false: {`ratelimit_service_config_load_success 1`, `weir_seen_total 0`},
		true:  {`weir_seen_total 0`},
	} {
		o := prometheusOptions()
		o.Own, o.OwnOnly = own, only
		s := newStats(t, o)
		run(t, s)
		s.ConfigLoadSuccess.Add(1)
		if diff := cmp.Diff(want, scrape(t, s)); diff != "" {
			t.Errorf("only those: %v: %s", only, diff)
		}
		if _, text := get(t, s, "/metrics"); strings.Count(text, "\ngo_goroutines ") != 1 {
			t.Errorf("only those: %v: the process's own series are not there once", only)
		}
	}
}

func TestPrometheus_ServesItsPathAlone(t *testing.T) {
	o := prometheusOptions()
	o.PrometheusPath = "/stats/prometheus"
	s := newStats(t, o)
	run(t, s)
	for path, want := range map[string]int{"/stats/prometheus": 200, "/metrics": 404, "/": 404, "/debug/pprof/": 404} {
		if status, _ := get(t, s, path); status != want {
			t.Errorf("%s answers %d, want %d", path, status, want)
		}
	}
}

// The reference runs on without metrics, and nobody is told.
func TestPrometheus_AnAddressThatIsTakenEndsTheStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	o := prometheusOptions()
	o.PrometheusAddr = taken.Addr().String()
	_, err = stats.New(o)
	if err == nil || !strings.Contains(err.Error(), "PROMETHEUS_ADDR") || !strings.Contains(err.Error(), o.PrometheusAddr) {
		t.Errorf("got %v, want an error with the setting and the address", err)
	}
}

func TestNew_RefusesWhatCannotBe(t *testing.T) {
	two := prometheusOptions()
	two.Statsd = true
	never := statsdOptions("127.0.0.1:1")
	never.FlushInterval = 0
	path := prometheusOptions()
	path.PrometheusPath = "metrics"
	for want, o := range map[string]stats.Options{"USE_STATSD": two, "STATS_FLUSH_INTERVAL": never, "PROMETHEUS_PATH": path} {
		if s, err := stats.New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, %v, want an error that names %s", s, err, want)
		}
	}
}

func TestNew_WhenDisabledOpensNothing(t *testing.T) {
	o := prometheusOptions()
	o.Disabled = true
	s := newStats(t, o)
	if s.Addr() != nil {
		t.Errorf("it listens at %s", s.Addr())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != context.Canceled {
		t.Errorf("Run: %v", err)
	}
}

// Scrapes and requests must not wait for each other in a circle.
func TestPrometheus_IsScrapedWhileMethodsAndLimitsAreNew(t *testing.T) {
	for range 4 {
		s := newStats(t, prometheusOptions())
		var callers sync.WaitGroup
		for c := range 4 {
			callers.Go(func() {
				for i := range 8 {
					call(t, s, fmt.Sprintf("/s/M%d_%d", c, i), 0)
					s.Limit("d", fmt.Sprint(i)).TotalHits.Add(1)
					s.Handler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil))
				}
			})
		}
		callers.Wait()
	}
}
