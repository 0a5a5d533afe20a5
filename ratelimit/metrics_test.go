package ratelimit_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/credentials/insecure"
)

// What a request is counted as, from the wire to what Prometheus reads.
func TestMetrics_AreTheReferencesBesideWeirsOwnUnlessSwitchedOff(t *testing.T) {
	for setting, want := range map[string][]string{
		"WEIR_REFERENCE_METRICS=true": {
			`ratelimit_service_config_load_success 1`,
			`ratelimit_service_rate_limit_near_limit{domain="d",key1="user"} 1`,
			`ratelimit_service_rate_limit_over_limit{domain="d",key1="user"} 1`,
			`ratelimit_service_rate_limit_total_hits{domain="d",key1="user"} 3`,
			`ratelimit_service_rate_limit_within_limit{domain="d",key1="user"} 2`,
			`ratelimit_service_total_requests{grpc_method="ShouldRateLimit"} 3`,
		},
		"WEIR_REFERENCE_METRICS=false": nil,
	} {
		t.Run(setting, func(t *testing.T) {
			r := start(t, environ(tree(t, perMinute), "USE_PROMETHEUS=true", "PROMETHEUS_ADDR=127.0.0.1:0", setting)...)
			for range 3 {
				if _, err := r.ask(insecure.NewCredentials()); err != nil {
					t.Fatal(err)
				}
			}
			status, _, text := get(t, http.MethodGet, r.MetricsAddr().String(), "/metrics", "")
			if status != http.StatusOK || !strings.Contains(text, "\nweir_build_info{") || strings.Count(text, "\ngo_goroutines ") != 1 {
				t.Fatalf("weir's own series are not there: %d %s", status, text)
			}
			var got []string
			for _, line := range regexp.MustCompile(`(?m)^ratelimit_.*`).FindAllString(text, -1) {
				if !regexp.MustCompile(`^ratelimit_(go|localcache|service_response_time)_`).MatchString(line) {
					got = append(got, line)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
