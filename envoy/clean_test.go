package envoy

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// What users copy must be as weir check wants it. Nobody copies the Envoy file of an example
// with manifests: from them its platform makes one like it, and sends the rules.
func TestCheck_HasNothingToSayOfTheExamples(t *testing.T) {
	files, err := filepath.Glob("../examples/*/envoy*.yaml")
	if err != nil || len(files) < 6 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, file := range files {
		if _, err := os.Stat(filepath.Join(filepath.Dir(file), "manifests")); err == nil {
			continue
		}
		rules := filepath.Join(filepath.Dir(file), "rules")
		if _, err := os.Stat(rules); err != nil {
			rules += ".yaml"
		}
		if faults := check(rules, file); len(faults) > 0 {
			t.Errorf("%s with %s:\n%s", file, rules, faults.Text())
		}
	}
}

// The pages' snippets are checked as they are copied: each into a file of its own. Who
// sets the headers that docs/how-to/envoy.md speaks of it does not show.
func TestCheck_HasNothingToSayOfTheDocumentation(t *testing.T) {
	for page, allowed := range map[string][]string{"../README.md": nil, "../docs/how-to/envoy.md": {"absent-value"}, "../docs/reference/checking.md": nil} {
		dir := t.TempDir()
		var files []string
		for _, block := range regexp.MustCompile("(?s)<!-- file: (\\S+) -->\n```yaml\n(.*?)```").FindAllStringSubmatch(read(t, page), -1) {
			path := filepath.Join(dir, block[1])
			switch {
			case block[1] == "service.yaml": // a part of a filter
				continue
			case strings.HasPrefix(block[2], "domain:"):
				path = filepath.Join(dir, "rules", block[1])
			default:
				files = append(files, path)
			}
			write(t, path, block[2])
		}
		if len(files) == 0 {
			t.Errorf("%s has no Envoy file", page)
		}
		for _, f := range check(filepath.Join(dir, "rules"), files...) {
			if !slices.Contains(allowed, f.ID) {
				t.Errorf("%s: %s", page, f.Text())
			}
		}
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A configuration that is sound is sound in every form in which it comes.
func TestCheck_ReadsEveryFormOfConfiguration(t *testing.T) {
	dirs, err := filepath.Glob("testdata/sound/*")
	if err != nil || len(dirs) < 5 {
		t.Fatalf("%q, %v", dirs, err)
	}
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "envoy*"))
		if err != nil || len(files) == 0 {
			t.Fatal(dir, err)
		}
		if faults := check(filepath.Join(dir, "rules.yaml"), files...); len(faults) > 0 {
			t.Errorf("%s:\n%s", dir, faults.Text())
		}
		other := filepath.Join(t.TempDir(), "rules.yaml")
		write(t, other, strings.NewReplacer("tenant", "tenants", "rule-", "rules-").Replace(read(t, filepath.Join(dir, "rules.yaml"))))
		if !check(other, files...).Failed() {
			t.Errorf("%s: rules of another key are no fault: nothing was read", dir)
		}
	}
}

// JSON is told of as YAML is: the same finding, in camel case too.
func TestCheck_FindsTheSameInJSON(t *testing.T) {
	dirs, err := filepath.Glob("testdata/wrong/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		name := filepath.Base(dir)
		if name == "not-yaml" || name == "option" { // JSON has no OFF without quotes
			continue
		}
		var value any
		if err := yaml.Unmarshal([]byte(read(t, filepath.Join(dir, "envoy.yaml"))), &value); err != nil {
			t.Fatal(err)
		}
		text, err := json.MarshalIndent(value, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "envoy.json")
		write(t, file, string(text))
		if got, want := ids(check(filepath.Join(dir, "rules"), file)), ids(check(filepath.Join(dir, "rules"), filepath.Join(dir, "envoy.yaml"))); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", dir, got, want)
		}
	}
}

// refused are the findings that say that Envoy refuses the configuration.
var refused = []string{"cel-unsupported", "cluster-http1", "field-unsupported", "option-unquoted", "rlqs-per-route", "unknown-field", "unknown-value"}

// What is said to be refused, Envoy refuses; all else it takes, which is why it has to
// be found before.
func TestCheck_EnvoyRefusesWhatItIsSaidToRefuse(t *testing.T) {
	binary := partstest.Binary(t, parts.Envoy)
	dirs, err := filepath.Glob("testdata/wrong/*")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{} // an Envoy for each kind of finding is enough
	for _, dir := range dirs {
		text := []byte(read(t, filepath.Join(dir, "envoy.yaml")))
		found := ids(check(filepath.Join(dir, "rules"), filepath.Join(dir, "envoy.yaml")))
		if seen[strings.Join(found, " ")] {
			continue
		}
		seen[strings.Join(found, " ")] = true
		if !bytes.HasPrefix(text, []byte("static_resources:\n")) {
			continue // nothing for Envoy alone
		}
		want := slices.ContainsFunc(found, func(id string) bool { return slices.Contains(refused, id) })
		if err := parts.ValidateEnvoy(binary, text, t.TempDir()); (err != nil) != want {
			t.Errorf("%s: refused should be %v: %v", dir, want, err)
		}
	}
}
