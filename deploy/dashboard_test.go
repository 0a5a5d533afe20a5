package deploy

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dashboard has the fields of Grafana's model that the test looks at.
type dashboard struct {
	UID, Title    string
	SchemaVersion int
	Templating    struct {
		List []struct {
			Name, Type, Definition string
		}
	}
	Panels []panel
}

type panel struct {
	ID          int
	Type, Title string
	Datasource  struct{ UID string }
	GridPos     struct{ H, W, X, Y int }
	FieldConfig struct {
		Defaults struct{ Unit string }
	}
	Targets []struct {
		RefID, Expr, LegendFormat string
		Exemplar                  bool
		Datasource                struct{ UID string }
	}
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	text, err := os.ReadFile("grafana/weir.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&d); err != nil {
		t.Fatal(err)
	}
	return d
}

// Grafana takes it on any data source, and each panel asks for what weir serves.
func TestDashboard_AsksForMetricsThatThereAre(t *testing.T) {
	d, known := readDashboard(t), metrics(t)
	if d.SchemaVersion < 39 || d.UID == "" || d.Templating.List[0].Type != "datasource" {
		t.Errorf("schema version %d, uid %q, first variable %+v", d.SchemaVersion, d.UID, d.Templating.List[0])
	}
	stand := strings.NewReplacer("$__rate_interval", "5m", "$job", ".*", "$instance", ".*", "$domain", ".*")
	for _, v := range d.Templating.List[1:] {
		inner := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`).FindStringSubmatch(v.Definition)
		if inner == nil {
			t.Errorf("variable %s: %s", v.Name, v.Definition)
			continue
		}
		fits(t, "variable "+v.Name, "sum by ("+inner[2]+") ("+stand.Replace(inner[1])+")", known)
	}
	ids, exemplars := map[int]bool{}, map[string]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" {
			t.Errorf("panel %d %q: no title, or the id is another's", p.ID, p.Title)
		}
		ids[p.ID] = true
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 || p.FieldConfig.Defaults.Unit == "" || p.Datasource.UID != "${datasource}" {
			t.Errorf("%s: it has no query, no unit, or data source %q", p.Title, p.Datasource.UID)
		}
		for _, target := range p.Targets {
			if target.Exemplar {
				exemplars[p.Title] = true
			}
			expression := stand.Replace(target.Expr)
			if strings.Contains(expression, "$") {
				t.Errorf("%s: an unknown variable in %s", p.Title, target.Expr)
			}
			fits(t, p.Title, expression, known)
			for _, label := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(target.LegendFormat, -1) {
				if !strings.Contains(target.Expr, label[1]) && !slices.Contains(everywhere, label[1]) {
					t.Errorf("%s: the legend names %s, and the query does not", p.Title, label[1])
				}
			}
		}
	}
	for _, title := range []string{"Time to answer", "Time of the bucket store"} {
		if !exemplars[title] {
			t.Errorf("%s: no exemplars are shown", title)
		}
	}
}

// What an operator looks for is on it.
func TestDashboard_ShowsWhatAnOperatorLooksFor(t *testing.T) {
	var all strings.Builder
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			all.WriteString(target.Expr + "\n")
		}
	}
	for _, metric := range []string{
		"weir_decisions_total", "weir_request_duration_seconds_bucket", "weir_store_duration_seconds_bucket", "weir_store_errors_total", "weir_store_up",
		"weir_degraded_decisions_total", "weir_waiting_requests", "weir_pool_size", "weir_admitted_from_lease_total", "weir_memory_buckets", "weir_breaker_moves_total",
		"go_goroutines", "process_resident_memory_bytes", `outcome="borrowed"`, `outcome="denied"`,
	} {
		if !strings.Contains(all.String(), metric) {
			t.Errorf("no panel of %s", metric)
		}
	}
}

// Panels that lie over one another hide each other.
func TestDashboard_PanelsDoNotOverlap(t *testing.T) {
	taken := map[[2]int]string{}
	for _, p := range readDashboard(t).Panels {
		g := p.GridPos
		if g.W < 1 || g.H < 1 || g.X+g.W > 24 {
			t.Errorf("%s: %+v", p.Title, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("%s lies over %s", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}
