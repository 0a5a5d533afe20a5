package weir

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Whoever could want something of weir, as SECURITY.md must name them.
var threats = []string{
	"a client of Envoy", "a neighbour in the network", "who reads Redis", "who reads logs and metrics", "a page in an operator's browser",
	"a viewer", "an operator", "a replica that was taken over", "who is in the supply chain",
}

// A claim about security that no test shows, or a setting that is not there, is a promise
// that nobody keeps.
func TestThreatModel_EachLineNamesTestsAndSettingsThatAreThere(t *testing.T) {
	page, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	settings, err := os.ReadFile("docs/reference/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, flag := range regexp.MustCompile("`(--[a-z-]+)").FindAllStringSubmatch(string(page), -1) {
		if !regexp.MustCompile("(?m)^\\| `" + flag[1] + "[ `]").Match(settings) {
			t.Errorf("SECURITY.md: there is no setting %s", flag[1])
		}
	}
	_, model, _ := strings.Cut(string(page), "## Threat model")
	names, met := testNames(t), map[string]bool{}
	for line := range strings.Lines(model) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| who | wants |") {
			continue
		}
		if len(cells) != 5 || slices.ContainsFunc(cells, func(c string) bool { return strings.TrimSpace(c) == "" }) {
			t.Errorf("SECURITY.md: want five cells, each with something in it: %s", line)
			continue
		}
		who := strings.TrimSpace(cells[0])
		met[who] = true
		if !slices.Contains(threats, who) {
			t.Errorf("SECURITY.md: %q is nobody whom this test knows", who)
		}
		named := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[3], -1)
		if len(named) == 0 {
			t.Errorf("SECURITY.md: %s: no test shows it", who)
		}
		for _, name := range named {
			if !names[name[1]] {
				t.Errorf("SECURITY.md: %s: there is no test %s", who, name[1])
			}
		}
	}
	for _, who := range threats {
		if !met[who] {
			t.Errorf("SECURITY.md: nothing is said of %s", who)
		}
	}
}
