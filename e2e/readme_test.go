package e2e

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// What a reader copies from the README must work together: its rule file and
// its Envoy filter, route and cluster.
func TestReadme_RuleFileAndEnvoyFilterWorkTogether(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := map[string]string{}
	for _, block := range regexp.MustCompile("(?s)<!-- file: (\\S+) -->\n```yaml\n(.*?)```").FindAllStringSubmatch(string(readme), -1) {
		files[block[1]] = block[2]
		if err := os.WriteFile(filepath.Join(dir, block[1]), []byte(block[2]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check := exec.Command(weirBinary, "check", "rules.yaml")
	check.Dir = dir
	if output, err := check.CombinedOutput(); err != nil {
		t.Fatalf("weir check rules.yaml: %v\n%s", err, output)
	}
	weir := partstest.Weir(t, weirBinary, "--rules", filepath.Join(dir, "rules.yaml"),
		"--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0")
	top := &topology{}
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { top.served.Add(1) }))
	t.Cleanup(upstream.Close)
	text, err := parts.Readdress(readmeBootstrap(t, files), parts.Addresses{Clusters: map[string][]string{
		"backend": {strings.TrimPrefix(upstream.URL, "http://")}, "weir": {weir.GRPC},
	}})
	if err != nil {
		t.Fatal(err)
	}
	top.addEnvoy(partstest.Envoy(t, text))
	c := client(t, 1)
	got := tally{}
	for range 40 { // 20 tokens of the user's minute, 33 requests of weight 3 in the pool
		got[get(c, top.fronts[0]+"/api/c", headers{"X-User": "u"}).status]++
	}
	if got[200] < 20 || got[200] > 25 || got[200]+got[429] != 40 {
		t.Errorf("%v, want the user's burst of 20 and what refilled meanwhile", got)
	}
}

// readmeBootstrap is an Envoy file around the parts that the README shows.
func readmeBootstrap(t *testing.T, files map[string]string) []byte {
	t.Helper()
	part := func(name string) any {
		var value any
		if err := yaml.Unmarshal([]byte(files[name]), &value); err != nil || value == nil {
			t.Fatalf("the README has no usable %s: %v", name, err)
		}
		return value
	}
	type m = map[string]any
	text, err := yaml.Marshal(m{
		"admin": m{"address": m{"socket_address": m{"address": "127.0.0.1", "port_value": 0}}},
		"static_resources": m{
			"listeners": []any{m{
				"name": "front", "address": m{"socket_address": m{"address": "127.0.0.1", "port_value": 0}},
				"filter_chains": []any{m{"filters": []any{m{
					"name": "envoy.filters.network.http_connection_manager",
					"typed_config": m{
						"@type":        "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
						"stat_prefix":  "front",
						"route_config": m{"virtual_hosts": []any{m{"name": "all", "domains": []any{"*"}, "routes": []any{part("route.yaml")}}}},
						"http_filters": []any{part("filter.yaml"), m{
							"name":         "envoy.filters.http.router",
							"typed_config": m{"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
						}},
					},
				}}}},
			}},
			"clusters": []any{part("cluster.yaml"), m{"name": "backend", "connect_timeout": "1s"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}
