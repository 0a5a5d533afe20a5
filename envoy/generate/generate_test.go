package generate

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/envoy"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// ways are all forms in which the same can be written.
var ways = map[string]Options{
	"parts":         {Form: "envoy"},
	"complete":      {Form: "envoy", Complete: true},
	"istio":         {Form: "istio", Namespace: "istio-system", Selector: []Label{{"istio", "ingressgateway"}}},
	"sidecar":       {Form: "istio", Namespace: "shop", Inbound: true, Host: "inbound|http|8080"},
	"envoy-gateway": {Form: "envoy-gateway", Namespace: "default", Gateway: "eg", Listener: "http"},
}

func options(way string) Options {
	o := ways[way]
	o.Weir, o.Listen, o.Upstream = Address{"127.0.0.1", 8081}, Address{"0.0.0.0", 10000}, Address{"127.0.0.1", 9000}
	return o
}

func examine(t *testing.T, rules string) *descriptors.Survey {
	t.Helper()
	survey, faults := descriptors.Examine([]string{rules}, descriptors.Options{})
	if faults.Failed() {
		t.Fatal(faults.Text())
	}
	return survey
}

// pair is a rule file, or a directory of some, and a mapping.
type pair struct{ rules, mapping string }

// sound are pairs that go together: those of testdata, and those of the examples.
func sound(t *testing.T) (all []pair) {
	t.Helper()
	found, err := filepath.Glob("testdata/good/*/mapping.yaml")
	examples, more := filepath.Glob("../../examples/*/mapping.yaml")
	if err != nil || more != nil || len(found) < 5 || len(examples) < 3 {
		t.Fatal(err, more, found, examples)
	}
	for _, mapping := range append(found, examples...) {
		rules := filepath.Join(filepath.Dir(mapping), "rules")
		if _, err := os.Stat(rules); err != nil {
			rules += ".yaml"
		}
		all = append(all, pair{rules, mapping})
	}
	return all
}

func TestGenerate_WritesWhatIsExpected(t *testing.T) {
	for _, p := range sound(t) {
		dir := filepath.Dir(p.mapping)
		if !strings.HasPrefix(dir, "testdata") {
			continue
		}
		wanted := []string{"complete"}
		if filepath.Base(dir) == "ends" {
			wanted = append(wanted, "istio", "envoy-gateway")
		}
		for _, way := range wanted {
			files, faults := Generate(examine(t, p.rules), p.mapping, options(way))
			if len(faults) > 0 {
				t.Fatal(faults.Text())
			}
			same(t, filepath.Join(dir, way+".golden"), joined(files))
		}
	}
}

func joined(files []File) string {
	var all []string
	for _, f := range files {
		all = append(all, string(f.Content))
	}
	return strings.Join(all, "---\n")
}

// same compares with a golden file.
func same(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil || got != string(want) {
		t.Errorf("%s is not what is written now, go test ./envoy/generate -update: %v\n%s", name, err, got)
	}
}

// Each wrong mapping is told with its place, reason and remedy, and nothing is written.
func TestGenerate_TellsWhatIsWrong(t *testing.T) {
	dirs, err := filepath.Glob("testdata/wrong/*")
	if err != nil || len(dirs) < 40 {
		t.Fatal(dirs, err)
	}
	for _, dir := range dirs {
		files, faults := Generate(examine(t, filepath.Join(dir, "rules.yaml")), filepath.Join(dir, "mapping.yaml"), options("parts"))
		if len(faults) == 0 || (len(files) == 0) != faults.Failed() {
			t.Errorf("%s: %d files, %s", dir, len(files), faults.Text())
		}
		same(t, filepath.Join(dir, "want.golden"), faults.Text())
		for _, f := range faults {
			if f.Line == 0 || f.ID != "" && f.Remedy == "" {
				t.Errorf("%s: no place or no remedy: %s", dir, f.Text())
			}
		}
	}
}

// What is written is what weir check wants, in every form, of an Envoy that charges all that
// a mapping may say: an older one is warned of.
func TestGenerate_WeirCheckHasNothingToSay(t *testing.T) {
	for _, p := range sound(t) {
		for way := range ways {
			survey := examine(t, p.rules)
			files, faults := Generate(survey, p.mapping, options(way))
			if len(faults) > 0 {
				t.Fatal(faults.Text())
			}
			dir := t.TempDir()
			var names []string
			for _, f := range files {
				names = append(names, filepath.Join(dir, f.Name))
				write(t, names[len(names)-1], f.Content)
			}
			if faults := envoy.Check(survey, names, envoy.Version{Major: 1, Minor: 40}); len(faults) > 0 {
				t.Errorf("%s as %s:\n%s", p.mapping, way, faults.Text())
			}
		}
	}
}

func write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// The real Envoy takes what is written: a bootstrap as it is, and the parts of the
// other forms in one.
func TestGenerate_EnvoyTakesEveryForm(t *testing.T) {
	binary := partstest.Binary(t, parts.Envoy)
	for _, p := range sound(t) {
		for way := range ways {
			if way != "complete" && filepath.Base(filepath.Dir(p.mapping)) != "ends" {
				continue // the same filters as in the bootstrap
			}
			files, faults := Generate(examine(t, p.rules), p.mapping, options(way))
			if len(faults) > 0 {
				t.Fatal(faults.Text())
			}
			text := files[0].Content
			if way != "complete" {
				text = around(t, way, files)
			}
			if err := parts.ValidateEnvoy(binary, text, t.TempDir()); err != nil {
				t.Errorf("%s as %s: %v", p.mapping, way, err)
			}
		}
	}
}

type m = map[string]any

// around puts parts into a bootstrap, where the mesh would put them.
func around(t *testing.T, way string, files []File) []byte {
	t.Helper()
	var filters, clusters []any
	host := m{"name": "all", "domains": []any{"*"}, "routes": []any{m{"match": m{"prefix": "/"}, "route": m{"cluster": "upstream"}}}}
	for _, doc := range documents(t, files) {
		switch list, _ := doc.([]any); {
		case list != nil && list[0].(m)["typed_config"] != nil:
			filters = list
			continue
		case list != nil:
			clusters = list
			continue
		}
		spec, _ := doc.(m)["spec"].(m)
		patches, _ := spec["configPatches"].([]any)
		for _, patch := range patches {
			value := patch.(m)["patch"].(m)["value"].(m)
			switch patch.(m)["applyTo"] {
			case "HTTP_FILTER":
				filters = append(filters, value)
			case "CLUSTER":
				clusters = append(clusters, value)
			default:
				host["typed_per_filter_config"] = value["typed_per_filter_config"]
			}
		}
		patches, _ = spec["jsonPatches"].([]any)
		for _, patch := range patches {
			value := patch.(m)["operation"].(m)["value"].(m)
			if value["typed_config"] != nil {
				filters = append(filters, value)
			} else {
				clusters = append(clusters, value)
			}
		}
	}
	if len(filters) == 0 || len(clusters) != 1 {
		t.Fatalf("%s: filters %v, clusters %v", way, filters, clusters)
	}
	filters = append(filters, m{"name": "envoy.filters.http.router", "typed_config": m{"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}})
	text, err := yaml.Marshal(m{"static_resources": m{"clusters": append(clusters, m{"name": "upstream"}), "listeners": []any{m{
		"name": "front", "address": m{"socket_address": m{"address": "127.0.0.1", "port_value": 0}},
		"filter_chains": []any{m{"filters": []any{m{"name": "envoy.filters.network.http_connection_manager", "typed_config": m{
			"@type":        "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
			"stat_prefix":  "front",
			"route_config": m{"virtual_hosts": []any{host}}, "http_filters": filters,
		}}}}},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func documents(t *testing.T, files []File) (all []any) {
	t.Helper()
	for _, text := range strings.Split(joined(files), "\n---\n") {
		var doc any
		if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatal(err)
		}
		all = append(all, doc)
	}
	return all
}
