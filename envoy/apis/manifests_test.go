package apis

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	gateway "github.com/envoyproxy/gateway/api/v1alpha1"
	"google.golang.org/protobuf/encoding/protojson"
	istio "istio.io/api/networking/v1alpha3"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	gatewayapi "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/weir-rls/weir/descriptors"
)

// strict reads text into a type that must have all of its fields.
func strict(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict(text, into); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}

// aiRoute and aiQuota are the resources of Envoy AI Gateway, as far as the example states
// them: its module cannot be had.
type aiRoute struct {
	resourceHead
	Spec struct {
		ParentRefs []gatewayapi.ParentReference `json:"parentRefs"`
		Rules      []struct {
			Matches []struct {
				Headers []gatewayapi.HTTPHeaderMatch `json:"headers"`
			} `json:"matches"`
			BackendRefs []struct {
				Name              string `json:"name"`
				ModelNameOverride string `json:"modelNameOverride"`
				Priority          uint32 `json:"priority"`
			} `json:"backendRefs"`
		} `json:"rules"`
		Costs []struct {
			MetadataKey string `json:"metadataKey"`
			Type        string `json:"type"`
		} `json:"llmRequestCosts"`
	} `json:"spec"`
}

type aiQuota struct {
	resourceHead
	Spec struct {
		TargetRefs     []gatewayapi.LocalPolicyTargetReference `json:"targetRefs"`
		PerModelQuotas []struct {
			ModelName string `json:"modelName"`
			Quota     struct {
				Mode          string `json:"mode"`
				DefaultBucket struct {
					Limit    uint   `json:"limit"`
					Duration string `json:"duration"`
				} `json:"defaultBucket"`
			} `json:"quota"`
		} `json:"perModelQuotas"`
	} `json:"spec"`
}

type resourceHead struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Metadata   map[string]any `json:"metadata"`
}

// read checks a manifest's document against the type that its kind has.
func read(t *testing.T, text []byte, r resource) {
	t.Helper()
	kinds := map[string]any{
		"v1 Service": &core.Service{}, "apps/v1 Deployment": &apps.Deployment{}, "v1 ConfigMap": &core.ConfigMap{},
		"gateway.networking.k8s.io/v1 GatewayClass": &gatewayapi.GatewayClass{}, "gateway.networking.k8s.io/v1 Gateway": &gatewayapi.Gateway{},
		"gateway.networking.k8s.io/v1 HTTPRoute":              &gatewayapi.HTTPRoute{},
		"gateway.envoyproxy.io/v1alpha1 BackendTrafficPolicy": &gateway.BackendTrafficPolicy{},
		"aigateway.envoyproxy.io/v1alpha1 AIGatewayRoute":     &aiRoute{}, "aigateway.envoyproxy.io/v1alpha1 QuotaPolicy": &aiQuota{},
	}
	if r.APIVersion == "networking.istio.io/v1alpha3" && r.Kind == "EnvoyFilter" {
		if err := protojson.Unmarshal(r.Spec, &istio.EnvoyFilter{}); err != nil { // which refuses what it does not know
			t.Errorf("%v\n%s", err, text)
		}
		return
	}
	into, known := kinds[r.APIVersion+" "+r.Kind]
	if !known {
		t.Fatalf("nothing knows a %s %s", r.APIVersion, r.Kind)
	}
	strict(t, text, into)
	switch object := into.(type) {
	case *apps.Deployment:
		confined(t, object)
	case *core.ConfigMap:
		configured(t, object)
	}
}

// confined tells of a weir that gets more than it needs.
func confined(t *testing.T, d *apps.Deployment) {
	t.Helper()
	container := d.Spec.Template.Spec.Containers[0]
	if !strings.HasPrefix(container.Image, "ghcr.io/weir-rls/weir:") {
		return
	}
	c := container.SecurityContext
	if c == nil || !*c.ReadOnlyRootFilesystem || *c.AllowPrivilegeEscalation || len(c.Capabilities.Drop) != 1 || container.Command[0] != "/bin/ratelimit" {
		t.Errorf("%s: %q, %+v", d.Name, container.Command, c)
	}
}

// configured reads the file in a ConfigMap as who mounts it would.
func configured(t *testing.T, m *core.ConfigMap) {
	t.Helper()
	for file, text := range m.Data {
		switch file {
		case "envoy-gateway.yaml":
			var config gateway.EnvoyGateway
			strict(t, []byte(text), &config)
			if config.RateLimit == nil || !config.RateLimit.FailClosed || !strings.Contains(*config.Provider.Kubernetes.RateLimitDeployment.Container.Image, "weir") {
				t.Errorf("%+v", config)
			}
		case "config.yaml":
			path := filepath.Join(t.TempDir(), file)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, faults := descriptors.Examine([]string{path}, descriptors.Options{Dialect: descriptors.Reference}); len(faults) > 0 {
				t.Error(faults.Text())
			}
		default:
			t.Errorf("nobody reads %s", file)
		}
	}
}

// What the examples have a user apply is of the types that the platforms have, with no field
// that they would drop.
func TestExamples_TheManifestsAreOfTheirAPIs(t *testing.T) {
	files, _ := filepath.Glob("../../examples/*/manifests/*.yaml")
	files = append(files, "../../examples/envoy-gateway/deployment.yaml")
	for _, file := range files {
		t.Run(strings.TrimPrefix(file, "../../examples/"), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range strings.Split(string(content), "\n---\n") {
				raw, err := yaml.YAMLToJSON([]byte(text))
				if err != nil {
					t.Fatal(err)
				}
				var r resource
				if err := json.Unmarshal(raw, &r); err != nil {
					t.Fatal(err)
				}
				read(t, []byte(text), r)
			}
		})
	}
	if len(files) < 11 {
		t.Error(files)
	}
}

// What the demos send in the platform's place has the numbers that a user applies.
func TestExamples_TheRulesThatAreSentHaveTheLimitsThatAreApplied(t *testing.T) {
	for example, manifests := range map[string][]string{"envoy-gateway": {"policy.yaml"}, "ai-gateway": {"tokens.yaml", "quota.yaml"}} {
		dir := filepath.Join("../../examples", example)
		sent := numbers(t, filepath.Join(dir, "resources.yaml"), `requests_per_unit: (\d+)`)
		var applied []string
		for _, m := range manifests {
			applied = append(applied, numbers(t, filepath.Join(dir, "manifests", m), `(?:limit: \{requests|defaultBucket: \{limit): (\d+)`)...)
		}
		slices.Sort(sent)
		slices.Sort(applied)
		if len(sent) == 0 || !slices.Equal(sent, applied) {
			t.Errorf("%s: %v are sent, and %v applied", example, sent, applied)
		}
	}
	var values struct {
		Global map[string]any `json:"global"`
		Config struct {
			EnvoyGateway gateway.EnvoyGatewaySpec `json:"envoyGateway"`
		} `json:"config"`
	}
	content, err := os.ReadFile("../../examples/envoy-gateway/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	strict(t, content, &values)
}

func numbers(t *testing.T, file, pattern string) (all []string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(content), -1) {
		all = append(all, match[1])
	}
	return all
}
