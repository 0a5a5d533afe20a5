package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A user finds the same files in every example, and somebody has tried them: its
// test tells its story on the topology of its compose file, or, where weir takes the place
// of envoyproxy/ratelimit, as its platform would run it. The demo is the project's own,
// whose README and docker-compose.yaml are in the root.
func TestExamples_EachHasItsFilesAndTriesThem(t *testing.T) {
	examples, err := os.ReadDir("../examples")
	if err != nil {
		t.Fatal(err)
	}
	for _, example := range examples {
		dir := filepath.Join("../examples", example.Name())
		pages := dir
		if example.Name() == "demo" {
			pages = ".."
		}
		wanted, tried := []string{filepath.Join(pages, "docker-compose.yaml"), filepath.Join(dir, "rules*")}, "stagetest.Compose(t, example"
		if _, err := os.Stat(filepath.Join(dir, "manifests")); err == nil {
			wanted, tried = []string{filepath.Join(dir, "manifests", "*.yaml")}, "stagetest.Story(t, example"
		}
		for _, wanted := range append(wanted, filepath.Join(pages, "README.md"), filepath.Join(dir, "envoy.yaml"), filepath.Join(dir, "main.go")) {
			// Glob fails only for a malformed pattern.
			if found, _ := filepath.Glob(wanted); len(found) == 0 {
				t.Errorf("%s is missing", wanted)
			}
		}
		tests, _ := filepath.Glob(filepath.Join(dir, "*_test.go"))
		var all strings.Builder
		for _, test := range tests {
			text, err := os.ReadFile(test)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(text)
		}
		if !strings.Contains(all.String(), tried) {
			t.Errorf("%s: no test of it tries what it shows: %s)", dir, tried)
		}
		readme, err := os.ReadFile(filepath.Join(pages, "README.md"))
		if err == nil && !strings.Contains(string(readme), "make demo") {
			t.Errorf("%s/README.md does not say how it is started", pages)
		}
	}
}
