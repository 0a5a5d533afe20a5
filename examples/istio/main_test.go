package main

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/weir-rls/weir/internal/stage/stagetest"
)

func TestMain(m *testing.M) { stagetest.Main(m) }

func TestStory(t *testing.T) { stagetest.Story(t, example) }

// What the story shows is what the EnvoyFilters say.
func TestEnvoyFile_HasWhatTheEnvoyFiltersPatch(t *testing.T) {
	filters, err := os.ReadFile("manifests/envoyfilters.yaml")
	if err != nil {
		t.Fatal(err)
	}
	bootstrap, err := os.ReadFile("envoy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var envoy any
	if err := yaml.Unmarshal(bootstrap, &envoy); err != nil {
		t.Fatal(err)
	}
	patches := 0
	for document := range strings.SplitSeq(string(filters), "\n---\n") {
		var filter struct {
			Spec struct {
				Patches []struct {
					Patch struct{ Value map[string]any }
				} `yaml:"configPatches"`
			}
		}
		if err := yaml.Unmarshal([]byte(document), &filter); err != nil {
			t.Fatal(err)
		}
		for _, p := range filter.Spec.Patches {
			if patches++; !has(envoy, p.Patch.Value) {
				t.Errorf("envoy.yaml has no %v", p.Patch.Value)
			}
		}
	}
	if patches != 2 {
		t.Errorf("%d patches", patches)
	}
}

// has tells whether an object somewhere in a tree has all fields of another one.
func has(tree any, fields map[string]any) bool {
	switch node := tree.(type) {
	case []any:
		for _, element := range node {
			if has(element, fields) {
				return true
			}
		}
	case map[string]any:
		same := true
		for name, value := range fields {
			same = same && reflect.DeepEqual(node[name], value)
		}
		if same {
			return true
		}
		for _, value := range node {
			if has(value, fields) {
				return true
			}
		}
	}
	return false
}
