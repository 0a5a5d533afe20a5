package e2e

import (
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// inFilter is what an Envoy must take within the rate limit filter, and filters what it must take
// before it, by the names that docs/reference/envoy-versions.md gives them.
var inFilter = map[string]string{
	"`rate_limits` in the filter":                "rate_limits: [{actions: [{remote_address: {}}]}]",
	"`skip_if_absent`":                           "rate_limits: [{actions: [{request_headers: {header_name: x-a, descriptor_key: a, skip_if_absent: true}}]}]",
	"`masked_remote_address`":                    "rate_limits: [{actions: [{masked_remote_address: {v4_prefix_mask_len: 24}}]}]",
	"`query_parameters`":                         "rate_limits: [{actions: [{query_parameters: {query_parameter_name: q, descriptor_key: q}}]}]",
	"`hits_addend: {number}`":                    "rate_limits: [{actions: [{remote_address: {}}], hits_addend: {number: 0}}]",
	"`hits_addend: {format}`":                    "rate_limits: [{actions: [{remote_address: {}}], hits_addend: {format: '%RESPONSE_CODE%'}}]",
	"`%CEL(...)%` in a format":                   "rate_limits: [{actions: [{remote_address: {}}], hits_addend: {format: '%CEL(response.code < 400 ? 1 : 0)%'}}]",
	"`hits_addend: {is_negative_hits}`":          "rate_limits: [{actions: [{remote_address: {}}], hits_addend: {number: 1, is_negative_hits: true}}]",
	"`apply_on_stream_done`":                     "rate_limits: [{actions: [{remote_address: {}}], apply_on_stream_done: true}]",
	"`limit: {dynamic_metadata}`":                "rate_limits: [{actions: [{remote_address: {}}], limit: {dynamic_metadata: {metadata_key: {key: k, path: [{key: p}]}}}}]",
	"`limit: {rate_limit}`":                      "rate_limits: [{actions: [{remote_address: {}}], limit: {rate_limit: {requests_per_unit: 7, unit: DAY}}}]",
	"`x_ratelimit_option`":                       "rate_limits: [{actions: [{remote_address: {}}], x_ratelimit_option: 'OFF'}]",
	"`metadata_namespace`":                       "metadata_namespace: weir.breaker",
	"`failure_mode_deny_percent`":                "failure_mode_deny_percent: {default_value: {numerator: 50}}",
	"`status_on_error`, `rate_limited_status`":   "{status_on_error: {code: 503}, rate_limited_status: {code: 503}}",
	"`response_headers_to_add`":                  "response_headers_to_add: [{header: {key: a, value: b}}]",
	"`enable_retry_after_header`":                "enable_retry_after_header: true",
	"`%ENVIRONMENT(...)%` in `initial_metadata`": "rate_limit_service: {transport_api_version: V3, grpc_service: {envoy_grpc: {cluster_name: weir}, initial_metadata: [{key: a, value: '%ENVIRONMENT(HOME)%'}]}}",
	"the descriptor `expr` (CEL)":                "rate_limits: [{actions: [{extension: {name: e, typed_config: {'@type': type.googleapis.com/envoy.extensions.rate_limit_descriptors.expr.v3.Descriptor, descriptor_key: k, text: request.method}}}]}]",
	"the descriptor `jwt_claim`":                 "rate_limits: [{actions: [{extension: {name: e, typed_config: {'@type': type.googleapis.com/envoy.extensions.rate_limit_descriptors.jwt_claim.v3.Descriptor, descriptor_key: k, header_name: authorization, claim_name: sub}}}]}]",
}

var filters = map[string]string{
	"the filter `json_to_metadata`": "{name: j, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.json_to_metadata.v3.JsonToMetadata, " +
		"response_rules: {rules: [{selectors: [{key: usage}], on_present: {metadata_namespace: n, key: k, type: NUMBER}}]}}}",
	"the filter `sse_to_metadata`": "", // the one of docs/how-to/envoy.md
}

// The table of Envoy versions says what the Envoy of these tests takes. ENVOY=/path/to/envoy tells of
// another one.
func TestEnvoyVersions_TheTableSaysWhatThisOneTakes(t *testing.T) {
	binary := partstest.Binary(t, parts.Envoy)
	said, err := exec.Command(binary, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`/(\d+\.\d+\.\d+)/`).FindStringSubmatch(string(said))
	if version == nil {
		t.Fatalf("no version in %q", said)
	}
	table := map[string]string{} // by feature
	column := -1
	for _, row := range regexp.MustCompile(`(?m)^\|.*\|$`).FindAllString(string(read(t, "../docs/reference/envoy-versions.md")), -1) {
		cells := strings.Split(strings.Trim(row, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if cells[0] == "in Envoy's configuration" {
			column = slices.Index(cells, version[1])
		} else if column > 0 && len(cells) > column {
			table[cells[0]] = cells[column]
		}
	}
	if column < 0 && os.Getenv("ENVOY") == "" {
		t.Fatalf("the page has no column for %s", version[1])
	}
	page := readDocumented(t, "../docs/how-to/envoy.md")
	for _, feature := range append(slices.Sorted(maps.Keys(inFilter)), slices.Sorted(maps.Keys(filters))...) {
		got := "yes"
		if err := parts.ValidateEnvoy(binary, withFeature(t, page, feature), t.TempDir()); err != nil {
			got = "no"
			t.Logf("%s: %v", feature, err)
		}
		if column >= 0 && table[feature] != got {
			t.Errorf("%s with Envoy %s: the page says %q, and it is %q", feature, version[1], table[feature], got)
		}
	}
}

// withFeature is a bootstrap that has one of the features.
func withFeature(t *testing.T, page documented, feature string) []byte {
	t.Helper()
	limits := page.part(t, "filter.yaml").(map[string]any)
	delete(limits["typed_config"].(map[string]any), "rate_limits")
	chain := []any{limits}
	if text, ok := inFilter[feature]; ok {
		var fields map[string]any
		if err := yaml.Unmarshal([]byte(text), &fields); err != nil {
			t.Fatal(err)
		}
		maps.Copy(limits["typed_config"].(map[string]any), fields)
	} else if filters[feature] == "" {
		chain = []any{page.part(t, "usage.yaml"), limits}
	} else {
		var filter any
		if err := yaml.Unmarshal([]byte(filters[feature]), &filter); err != nil {
			t.Fatal(err)
		}
		chain = []any{filter, limits}
	}
	route := map[string]any{"match": map[string]any{"prefix": "/"}, "route": map[string]any{"cluster": "backend"}}
	return bootstrap(t, route, page.part(t, "cluster.yaml"), chain...)
}
