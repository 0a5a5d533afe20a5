package weir

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/service"
)

// explainsWarning are pages with a rule file of which they say why it is warned of.
var explainsWarning = map[string]bool{"docs/how-to/explain.md": true}

// A rule file that a reader copies from the documentation must load, without a
// warning.
func TestDocumentedRuleFilesLoad(t *testing.T) {
	block := regexp.MustCompile("(?s)```yaml\n(domain:.*?)```")
	files := 0
	for _, doc := range pages(t) {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range block.FindAllSubmatch(text, -1) {
			files++
			dir := t.TempDir()
			path := filepath.Join(dir, "rules.yaml")
			for name, content := range map[string][]byte{path: match[1], filepath.Join(dir, "keys.secret"): bytes.Repeat([]byte("s"), 32)} {
				if err := os.WriteFile(name, content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if _, faults := descriptors.Load([]string{path}, descriptors.Options{}); faults.Failed() || len(faults) > 0 && !explainsWarning[doc] {
				t.Errorf("%s:\n%s", doc, faults.Text())
			}
		}
	}
	if files < 20 {
		t.Errorf("only %d rule files are found", files)
	}
}

// The page on overload has each bound of the settings with the default that the settings
// have, each word by which a bound is counted, and tests that are there.
func TestTheOverloadPageHasEachBound(t *testing.T) {
	settings, err := os.ReadFile("docs/reference/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("docs/reference/overload.md")
	if err != nil {
		t.Fatal(err)
	}
	bounds := 0
	for _, row := range regexp.MustCompile(`(?m)^\| \x60(--[a-z-]*max-[a-z-]*) N\x60 \|.*?\| (\x60\d+\x60) \|`).FindAllStringSubmatch(string(settings), -1) {
		bounds++
		if !strings.Contains(string(page), "| `"+row[1]+"` | "+row[2]+" |") {
			t.Errorf("docs/reference/overload.md has no row with | `%s` | %s |", row[1], row[2])
		}
	}
	if bounds < 10 {
		t.Errorf("only %d bounds are found in docs/reference/settings.md", bounds)
	}
	for b := service.MessageBound; b <= service.InFlightBytesBound; b++ {
		if !strings.Contains(string(page), "| `"+b.String()+"` |") {
			t.Errorf("docs/reference/overload.md does not say what is counted as %s", b)
		}
	}
	names := testNames(t)
	for _, row := range regexp.MustCompile(`(?m)^\|.*\|$`).FindAllString(string(page), -1)[2:] {
		cells := strings.Split(row, "|")
		if name := strings.Trim(cells[len(cells)-2], " `"); !names[name] {
			t.Errorf("docs/reference/overload.md: there is no test %q of%s", name, cells[1])
		}
	}
}

// What is to be copied fits a screen: commands and files of a page have no lines that must be
// scrolled. What a command prints is as wide as it is.
func TestPages_CodeFitsAScreen(t *testing.T) {
	const most = 160
	block := regexp.MustCompile("(?ms)^ *```(sh|yaml|ini|go)\n(.*?)^ *```$")
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range block.FindAllStringSubmatch(string(text), -1) {
			for line := range strings.Lines(b[2]) {
				if len([]rune(line)) > most {
					t.Errorf("%s: a line of %d characters, more than %d: break %s", page, len([]rune(line)), most, line)
				}
			}
		}
	}
}

// A page that names a metric names one that there is.
func TestPages_NameMetricsThatAreServed(t *testing.T) {
	reference, err := os.ReadFile("docs/reference/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`(?:^|[^\w./-])(weir_[a-z_]+)\b`)
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range named.FindAllStringSubmatch(string(text), -1) {
			name := regexp.MustCompile(`_(count|sum|bucket)$`).ReplaceAllString(n[1], "")
			if !strings.Contains(string(reference), "`"+name+"`") {
				t.Errorf("%s names %s, which docs/reference/metrics.md does not have", page, name)
			}
		}
	}
}

// Whoever moves dashboards finds each metric that the page on migration names, old and new,
// on the pages of metrics.
func TestTheMigrationPageNamesMetricsThatThereAre(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	page, known := read("docs/how-to/migrate.md"), read("docs/reference/metrics.md")+read("docs/reference/drop-in-metrics.md")
	names := regexp.MustCompile(`\b(weir|ratelimit_service)_[a-z_]+`).FindAllString(page, -1)
	for _, name := range names {
		if !strings.Contains(known, strings.TrimSuffix(name, "_count")) {
			t.Errorf("no page of metrics has %s", name)
		}
	}
	if len(names) < 15 {
		t.Errorf("only %d metrics are named", len(names))
	}
}
