package deploy

import (
	"maps"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/weir-rls/weir/internal/telemetry"
)

// metrics are the names that weir serves, with their labels: those of weir as the reference
// page has them, which a test of internal/telemetry compares with what is served, and those of
// Go and the process.
func metrics(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile("../docs/reference/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(weir_\\w+)` \\| (.*?) ?\\|").FindAllStringSubmatch(string(page), -1) {
		for _, name := range []string{row[1], row[1] + "_bucket", row[1] + "_count", row[1] + "_sum"} {
			if name != row[1] && !strings.HasSuffix(row[1], "_seconds") {
				continue
			}
			all[name] = append(all[name], strings.Split(strings.ReplaceAll(row[2], "`", ""), ", ")...)
			if strings.HasSuffix(name, "_bucket") {
				all[name] = append(all[name], "le")
			}
		}
	}
	if len(all) < 40 {
		t.Fatalf("the page has only %d metrics", len(all))
	}
	served := httptest.NewRecorder()
	telemetry.NewMetrics("v").Handler().ServeHTTP(served, httptest.NewRequest("GET", "/metrics", nil))
	for _, line := range regexp.MustCompile(`(?m)^((?:go|process)_\w+)(?:\{(.*?)\})? `).FindAllStringSubmatch(served.Body.String(), -1) {
		all[line[1]] = nil
		for _, label := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(line[2], -1) {
			all[line[1]] = append(all[line[1]], label[1])
		}
	}
	return all
}

// everywhere are the labels that Prometheus adds to what it scrapes.
var everywhere = []string{"job", "instance"}

var promqlParser = parser.NewParser(parser.Options{})

// fits parses an expression, and tells of metrics and labels in it that weir does not have.
func fits(t *testing.T, where, expression string, known map[string][]string) {
	t.Helper()
	e, err := promqlParser.ParseExpr(expression)
	if err != nil {
		t.Errorf("%s: %v", where, err)
		return
	}
	used := map[string]bool{}
	for _, label := range everywhere {
		used[label] = true
	}
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		selector, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		has, served := known[selector.Name]
		if !served {
			t.Errorf("%s: weir has no metric %s", where, selector.Name)
		}
		for _, label := range has {
			used[label] = true
		}
		for _, m := range selector.LabelMatchers {
			if m.Name != model.MetricNameLabel && !slices.Contains(append(has, everywhere...), m.Name) {
				t.Errorf("%s: %s has no label %s", where, selector.Name, m.Name)
			}
		}
		return nil
	})
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if a, ok := n.(*parser.AggregateExpr); ok {
			for _, label := range a.Grouping {
				if !used[label] {
					t.Errorf("%s: groups by %s, of %v", where, label, slices.Sorted(maps.Keys(used)))
				}
			}
		}
		return nil
	})
}
