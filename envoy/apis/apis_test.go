// Package apis holds what weir envoy writes for Istio and Envoy Gateway against their
// own API types. It is a Go module of its own, so that what it needs of both stays out
// of weir's.
package apis

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gateway "github.com/envoyproxy/gateway/api/v1alpha1"
	"github.com/ohler55/ojg/jp"
	"google.golang.org/protobuf/encoding/protojson"
	istio "istio.io/api/networking/v1alpha3"
	"sigs.k8s.io/yaml"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/envoy/generate"
)

// resource is a document of Kubernetes'.
type resource struct {
	APIVersion string          `json:"apiVersion"`
	Kind       string          `json:"kind"`
	Metadata   map[string]any  `json:"metadata"`
	Spec       json.RawMessage `json:"spec"`

	text []byte
}

// each calls visit with every resource that is written in a form, for all pairs of rules
// and mappings that are sound.
func each(t *testing.T, opts generate.Options, visit func(t *testing.T, r resource)) {
	t.Helper()
	opts.Weir = generate.Address{Host: "weir.weir.svc.cluster.local", Port: 8081}
	mappings, _ := filepath.Glob("../generate/testdata/good/*/mapping.yaml")
	examples, _ := filepath.Glob("../../examples/*/mapping.yaml")
	if len(mappings) < 5 || len(examples) < 3 {
		t.Fatal(mappings, examples)
	}
	for _, mapping := range append(mappings, examples...) {
		t.Run(filepath.Base(filepath.Dir(mapping)), func(t *testing.T) {
			rules := filepath.Join(filepath.Dir(mapping), "rules")
			if _, err := os.Stat(rules); err != nil {
				rules += ".yaml"
			}
			survey, faults := descriptors.Examine([]string{rules}, descriptors.Options{})
			files, more := generate.Generate(survey, mapping, opts)
			if faults.Failed() || len(more) > 0 || len(files) == 0 {
				t.Fatal(faults.Text(), more.Text())
			}
			for _, f := range files {
				for _, text := range strings.Split(string(f.Content), "\n---\n") {
					r := resource{text: []byte(text)}
					if err := yaml.Unmarshal(r.text, &r); err != nil {
						t.Fatal(err)
					}
					visit(t, r)
				}
			}
		})
	}
}

func TestIstio_TheEnvoyFiltersAreOfItsAPI(t *testing.T) {
	for _, opts := range []generate.Options{
		{Form: "istio", Namespace: "istio-system", Selector: []generate.Label{{Name: "istio", Value: "ingressgateway"}}},
		{Form: "istio", Namespace: "shop", Inbound: true, Host: "inbound|http|8080"},
	} {
		names := map[string]bool{}
		each(t, opts, func(t *testing.T, r resource) {
			if r.APIVersion != "networking.istio.io/v1alpha3" || r.Kind != "EnvoyFilter" || r.Metadata["namespace"] != opts.Namespace {
				t.Errorf("%s %s %v", r.APIVersion, r.Kind, r.Metadata)
			}
			names[r.Metadata["name"].(string)] = true
			var spec istio.EnvoyFilter
			if err := protojson.Unmarshal(r.Spec, &spec); err != nil { // which refuses what it does not know
				t.Fatalf("%v\n%s", err, r.text)
			}
			if got := spec.GetWorkloadSelector().GetLabels()["istio"]; (got == "ingressgateway") != (len(opts.Selector) > 0) {
				t.Errorf("workloads: %q", got)
			}
			for _, p := range spec.GetConfigPatches() {
				if p.GetMatch().GetContext() == istio.EnvoyFilter_ANY || len(p.GetPatch().GetValue().GetFields()) == 0 {
					t.Errorf("a patch of everything, or of nothing: %v", p)
				}
			}
		})
		if len(names) != 2 {
			t.Errorf("%v, want a pair", names)
		}
	}
}

// listener is what Envoy Gateway makes of a Gateway's listener, as far as patches look.
const listener = `{"filter_chains": [{"filters": [{"name": "hcm", "typed_config": {"http_filters": [
	{"name": "envoy.filters.http.jwt_authn"}, {"name": "envoy.filters.http.router"}]}}]}],
	"default_filter_chain": {"filters": [{"name": "hcm", "typed_config": {"http_filters": [{"name": "envoy.filters.http.router"}]}}]}}`

func TestEnvoyGateway_TheResourcesAreOfItsAPI(t *testing.T) {
	opts := generate.Options{Form: "envoy-gateway", Namespace: "edge", Gateway: "eg", Listener: "http"}
	var tree any
	if err := json.Unmarshal([]byte(listener), &tree); err != nil {
		t.Fatal(err)
	}
	each(t, opts, func(t *testing.T, r resource) {
		if r.Kind == "EnvoyGateway" {
			var config gateway.EnvoyGateway
			if err := yaml.UnmarshalStrict(r.text, &config); err != nil || config.ExtensionAPIs == nil || !config.ExtensionAPIs.EnableEnvoyPatchPolicy {
				t.Errorf("%v\n%s", err, r.text)
			}
			return
		}
		var policy gateway.EnvoyPatchPolicy
		if err := yaml.UnmarshalStrict(r.text, &policy); err != nil {
			t.Fatalf("%v\n%s", err, r.text)
		}
		if policy.Kind != gateway.KindEnvoyPatchPolicy || policy.Spec.Type != gateway.JSONPatchEnvoyPatchType || policy.Spec.TargetRef.Name != "eg" || policy.Namespace != "edge" {
			t.Errorf("%+v", policy)
		}
		kinds := map[gateway.EnvoyResourceType]int{}
		for _, p := range policy.Spec.JSONPatches {
			kinds[p.Type]++
			if p.Operation.Op != "add" || p.Operation.Value == nil {
				t.Errorf("%+v", p)
			}
			if p.Type != gateway.ListenerEnvoyResourceType {
				continue
			}
			// The place is found as Envoy Gateway looks for it, in each chain: the router.
			if p.Name != "edge/eg/http" {
				t.Errorf("patches the listener %q", p.Name)
			}
			found := jp.MustParseString(*p.Operation.JSONPath).Locate(tree, 0)
			if len(found) != 2 {
				t.Fatalf("%s finds %v", *p.Operation.JSONPath, found)
			}
			for _, at := range found {
				if node, _ := at.First(tree).(map[string]any); node["name"] != "envoy.filters.http.router" {
					t.Errorf("%s is %v", at, node)
				}
			}
		}
		if kinds[gateway.ListenerEnvoyResourceType] == 0 || kinds[gateway.ClusterEnvoyResourceType] != 1 {
			t.Errorf("%v", kinds)
		}
	})
}
