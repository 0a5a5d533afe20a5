package charts

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v4"

	"github.com/weir-rls/weir/internal/config"
)

var update = flag.Bool("update", false, "write the table of weir/README.md and weir/values.schema.json anew")

// value is a line of values.yaml that has a comment.
type value struct {
	path    []string
	comment string
	node    *yaml.Node
}

// values are those of values.yaml, in its order. A mapping without a comment is a
// section; one with is a value that users fill.
func values(t *testing.T) []value {
	t.Helper()
	content, err := os.ReadFile("weir/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(content, &document); err != nil {
		t.Fatal(err)
	}
	var all []value
	var walk func(path []string, n *yaml.Node)
	walk = func(path []string, n *yaml.Node) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, child := n.Content[i], n.Content[i+1]
			here := append(slices.Clone(path), key.Value)
			comment := strings.TrimSpace(strings.TrimPrefix(key.HeadComment, "#"))
			switch {
			case comment != "":
				if strings.Contains(comment, "\n") || !strings.HasSuffix(comment, ".") {
					t.Errorf("values.yaml: %s: the comment is one line that ends in a full stop, not %q", strings.Join(here, "."), comment)
				}
				all = append(all, value{here, comment, child})
			case child.Kind == yaml.MappingNode && len(child.Content) > 0:
				walk(here, child)
			default:
				t.Errorf("values.yaml: %s has no comment", strings.Join(here, "."))
			}
		}
	}
	walk(nil, document.Content[0])
	return all
}

const (
	tableBegins = "| value | default | meaning |\n|---|---|---|\n"
	tableEnds   = "\n## "
)

// The README's table is what values.yaml says, always.
func TestReadme_HasTheTableOfValues(t *testing.T) {
	var rows strings.Builder
	for _, v := range values(t) {
		var out bytes.Buffer
		encoder := json.NewEncoder(&out)
		encoder.SetEscapeHTML(false)
		var decoded any
		if err := v.node.Decode(&decoded); err != nil {
			t.Fatal(err)
		}
		if err := encoder.Encode(decoded); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&rows, "| `%s` | `%s` | %s |\n", strings.Join(v.path, "."), strings.TrimSpace(out.String()), strings.ReplaceAll(v.comment, "|", `\|`))
	}
	isCurrent(t, "weir/README.md", func(page string) string {
		before, rest, found := strings.Cut(page, tableBegins)
		_, after, ended := strings.Cut(rest, tableEnds)
		if !found || !ended {
			t.Fatal("weir/README.md has no table of values")
		}
		return before + tableBegins + rows.String() + tableEnds + after
	})
}

// The schema knows each value of values.yaml and each setting of weir, and no
// other: a name that is not one is refused before anything is installed.
func TestSchema_IsOfTheValuesAndOfAllSettings(t *testing.T) {
	root := object("Values of the chart weir")
	for _, v := range values(t) {
		at := root
		for _, name := range v.path[:len(v.path)-1] {
			properties := at["properties"].(map[string]any)
			if properties[name] == nil {
				properties[name] = object("")
			}
			at = properties[name].(map[string]any)
		}
		name := strings.Join(v.path, ".")
		schema := typeOf(t, name, v.node)
		maps.Copy(schema, narrower[name])
		schema["description"] = v.comment
		at["properties"].(map[string]any)[v.path[len(v.path)-1]] = schema
	}
	properties := root["properties"].(map[string]any)
	properties["global"] = map[string]any{"type": "object", "description": "Values that a chart above shares with all its parts; this one reads none."}
	root["$schema"] = "http://json-schema.org/draft-07/schema#"
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(root); err != nil {
		t.Fatal(err)
	}
	isCurrent(t, "weir/values.schema.json", func(string) string { return out.String() })
}

func isCurrent(t *testing.T, name string, current func(before string) string) {
	t.Helper()
	before, err := os.ReadFile(name)
	if err != nil && !*update {
		t.Fatal(err)
	}
	now := current(string(before))
	if *update {
		if err := os.WriteFile(name, []byte(now), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if now != string(before) {
		t.Errorf("charts/%s is stale: cd charts && go test . -run '^TestReadme|^TestSchema' -update", name)
	}
}

// narrower says more of a value than the type of its default does.
var narrower = map[string]map[string]any{
	"rules.files":                        {"propertyNames": map[string]any{"pattern": `^[A-Za-z0-9_-][A-Za-z0-9._-]*\.ya?ml$`}, "additionalProperties": map[string]any{"type": "string"}},
	"image.digest":                       {"pattern": "^(sha256:[0-9a-f]{64})?$"},
	"image.pullPolicy":                   pullPolicy,
	"valkey.image.pullPolicy":            pullPolicy,
	"replicaCount":                       {"minimum": 1},
	"autoscaling.minReplicas":            {"minimum": 1},
	"autoscaling.maxReplicas":            {"minimum": 1},
	"podDisruptionBudget.maxUnavailable": {"type": []string{"integer", "string"}},
	"terminationGracePeriodSeconds":      {"minimum": 0},
}

var pullPolicy = map[string]any{"enum": []string{"Always", "IfNotPresent", "Never"}}

func object(description string) map[string]any {
	o := map[string]any{"type": "object", "additionalProperties": false, "properties": map[string]any{}}
	if description != "" {
		o["description"] = description
	}
	return o
}

// typeOf is the schema of a value by its default.
func typeOf(t *testing.T, name string, n *yaml.Node) map[string]any {
	t.Helper()
	if name == "settings" {
		return settingsSchema()
	}
	switch n.Tag {
	case "!!map":
		return map[string]any{"type": "object"}
	case "!!seq":
		return map[string]any{"type": "array", "items": map[string]any{"type": "object"}}
	case "!!str":
		return map[string]any{"type": "string"}
	case "!!int":
		return map[string]any{"type": "integer"}
	case "!!bool":
		return map[string]any{"type": "boolean"}
	}
	t.Fatalf("%s: a default of %s says nothing of its type", name, n.Tag)
	return nil
}

// settingsSchema is that of weir's settings, each its own value or a secret.
func settingsSchema() map[string]any {
	settings := object("")
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	config.AddFlags(flags)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name == "config" { // no setting: where they come from
			return
		}
		own := map[string]any{"type": "string"}
		switch kind := f.Value.Type(); {
		case kind == "bool":
			own["type"] = "boolean"
		case kind == "N":
			own["type"] = "integer"
		case kind == "DURATION":
			own["pattern"] = `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`
		case strings.Contains(kind, "|") && kind == strings.ToLower(kind):
			own = map[string]any{"enum": strings.Split(kind, "|")}
		}
		secret := object("A key of a Secret of this namespace.")
		secret["properties"] = map[string]any{"secret": nonEmpty(), "key": nonEmpty()}
		secret["required"] = []string{"secret", "key"}
		settings["properties"].(map[string]any)[strings.ReplaceAll(f.Name, "-", "_")] = map[string]any{
			"description": f.Usage, "anyOf": []any{own, secret},
		}
	})
	return settings
}

func nonEmpty() map[string]any { return map[string]any{"type": "string", "minLength": 1} }
