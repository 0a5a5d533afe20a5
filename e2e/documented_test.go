package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// documented are the files that a page shows, by the names that it gives them.
type documented struct {
	dir   string // where they lie
	files map[string]string
}

func readDocumented(t *testing.T, page string) documented {
	t.Helper()
	docs := documented{t.TempDir(), map[string]string{}}
	for _, block := range regexp.MustCompile("(?s)<!-- file: (\\S+) -->\n```yaml\n(.*?)```").FindAllStringSubmatch(string(read(t, page)), -1) {
		docs.files[block[1]] = block[2]
		if err := os.WriteFile(filepath.Join(docs.dir, block[1]), []byte(block[2]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return docs
}

// check lets weir check rule files.
func (d documented) check(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		check := exec.Command(weirBinary, "check", name)
		check.Dir = d.dir
		if output, err := check.CombinedOutput(); err != nil {
			t.Fatalf("weir check %s: %v\n%s", name, err, output)
		}
	}
}

// part is one of the files, read as YAML.
func (d documented) part(t *testing.T, name string) any {
	t.Helper()
	var value any
	if err := yaml.Unmarshal([]byte(d.files[name]), &value); err != nil || value == nil {
		t.Fatalf("the page has no usable %s: %v", name, err)
	}
	return value
}

// run starts a weir with the rule files, and an Envoy with the bootstrap.
func (d documented) run(t *testing.T, top *topology, text []byte, rules ...string) {
	t.Helper()
	upstream := top.startUpstream(t)
	d.startWeir(t, top, rules)
	d.startEnvoy(t, top, text, upstream)
}

func (d documented) startWeir(t *testing.T, top *topology, rules []string, args ...string) {
	t.Helper()
	directory := t.TempDir()
	for _, name := range append(rules, "rules.yaml") {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(d.files[name]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	top.weirs = append(top.weirs, partstest.Weir(t, weirBinary, append(args, "--rules", directory,
		"--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--drain-delay", "0s")...))
}

func (d documented) startEnvoy(t *testing.T, top *topology, text []byte, upstream string) {
	t.Helper()
	if err := parts.ValidateEnvoy(partstest.Binary(t, parts.Envoy), text, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	text, err := parts.Readdress(text, parts.Addresses{Clusters: map[string][]string{
		"backend": {upstream}, "weir": {top.weirs[0].GRPC},
	}})
	if err != nil {
		t.Fatal(err)
	}
	top.addEnvoy(partstest.Envoy(t, text))
}

// bootstrap is an Envoy file around parts that a page shows.
func bootstrap(t *testing.T, route, cluster any, filters ...any) []byte {
	t.Helper()
	type m = map[string]any
	filters = append(filters, m{
		"name":         "envoy.filters.http.router",
		"typed_config": m{"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
	})
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
						"route_config": m{"virtual_hosts": []any{m{"name": "all", "domains": []any{"*"}, "routes": []any{route}}}},
						"http_filters": filters,
					},
				}}}},
			}},
			"clusters": []any{cluster, m{"name": "backend", "connect_timeout": "1s"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
