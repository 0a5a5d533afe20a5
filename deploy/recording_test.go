package deploy

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
)

var rated = regexp.MustCompile(`rate\((weir_\w+)\{([^}]*)\}\[\$__rate_interval\]\)`)

// recordings are the rules by the metric that each sums up.
func recordings(t *testing.T) map[string]rulefmt.Rule {
	t.Helper()
	all := map[string]rulefmt.Rule{}
	for _, r := range ruleFile(t, "prometheus/recording.yaml") {
		parts := regexp.MustCompile(`^sum by \((.*)\) \(rate\((weir_\w+)\[5m\]\)\)$`).FindStringSubmatch(r.Expr)
		if parts == nil {
			t.Fatalf("%s is no sum of rates: %s", r.Record, r.Expr)
		}
		if want := strings.ReplaceAll(parts[1], ", ", "_") + ":" + parts[2] + ":rate5m"; r.Record != want {
			t.Errorf("%s is to be called %s", r.Record, want)
		}
		all[parts[2]] = r
	}
	return all
}

// Each panel that reads what is recorded shows the same with the recorded series in place
// of the rate, and the matcher of instances left out, as docs/how-to/observe.md has it.
func TestRecordings_PanelsShowTheSameByThem(t *testing.T) {
	page, err := os.ReadFile("../docs/how-to/observe.md")
	if err != nil {
		t.Fatal(err)
	}
	recorded, known, used := recordings(t), metrics(t), map[string]bool{}
	raw := traffic()
	kept := ""
	for metric, r := range recorded {
		fits(t, r.Record, r.Expr, known)
		if row := "| `" + metric + "` | `" + r.Record + "` |"; !strings.Contains(string(page), row) {
			t.Errorf("docs/how-to/observe.md lacks the line %s", row)
		}
		kept += load(r.Record, over(t, raw, r.Expr))
	}
	stand := strings.NewReplacer("$__rate_interval", "5m", "$job", ".*", "$instance", ".*", "$domain", ".*")
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			short := rated.ReplaceAllStringFunc(target.Expr, func(found string) string {
				parts := rated.FindStringSubmatch(found)
				r, is := recorded[parts[1]]
				if !is {
					return found
				}
				used[parts[1]] = true
				return r.Record + "{" + strings.ReplaceAll(parts[2], `,instance=~"$instance"`, "") + "}"
			})
			if short == target.Expr {
				continue
			}
			want, got := points(over(t, raw, stand.Replace(target.Expr))), points(over(t, kept, stand.Replace(short)))
			if len(want) == 0 || !slices.EqualFunc(want, got, point.near) {
				t.Errorf("%s: %s\n has %v\n%s\n has %v", p.Title, target.Expr, want, short, got)
			}
		}
	}
	for metric := range recorded {
		if !used[metric] {
			t.Errorf("no panel reads the rate of %s", metric)
		}
	}
}

// traffic is that of two replicas.
func traffic() string {
	var text strings.Builder
	for n, instance := range []string{"a:8080", "b:8080"} {
		count := func(metric, more string, each int) {
			fmt.Fprintf(&text, "  %s{job=\"weir\", instance=%q, %s} 0+%dx45\n", metric, instance, more, each*(n+1))
		}
		for i, result := range []string{"ok", "over_limit", "error"} {
			count("weir_request_duration_seconds_count", `result="`+result+`"`, 100-30*i)
		}
		for i, le := range []string{"0.001", "0.01", "0.1", "+Inf"} {
			count("weir_request_duration_seconds_bucket", `result="ok", le="`+le+`"`, 30*(i+1))
			count("weir_store_duration_seconds_bucket", `result="ok", le="`+le+`"`, 20*(i+1))
			count("weir_store_duration_seconds_bucket", `result="error", le="`+le+`"`, 2*i)
			count("weir_wait_duration_seconds_bucket", `le="`+le+`"`, 10*(i+1))
		}
		for i, outcome := range []string{"allowed", "denied", "borrowed"} {
			count("weir_decisions_total", `domain="d", limit="l", outcome="`+outcome+`"`, 50-10*i)
			count("weir_decisions_total", `domain="d", limit="m", outcome="`+outcome+`"`, 7+i)
		}
		count("weir_charged_tokens_total", `domain="d", limit="l"`, 500)
	}
	return text.String()
}

// over is what an expression finds in series, each minute.
func over(t *testing.T, series, expression string) promql.Matrix {
	t.Helper()
	storage := promqltest.LoadedStorage(t, "load 1m\n"+series)
	defer storage.Close()
	query, err := promqltest.NewTestEngine(t, false, 5*time.Minute, 1_000_000).NewRangeQuery(t.Context(), storage, nil, expression, time.Unix(600, 0), time.Unix(60*minutes, 0), time.Minute)
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	defer query.Close()
	found, err := query.Exec(t.Context()).Matrix()
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	copied := make(promql.Matrix, 0, len(found)) // the query's own memory is used again
	for _, s := range found {
		copied = append(copied, promql.Series{Metric: s.Metric.Copy(), Floats: slices.Clone(s.Floats)})
	}
	return copied
}

// load is what a rule found, as series that begin when the first query does.
func load(name string, found promql.Matrix) string {
	var text strings.Builder
	for _, s := range found {
		fmt.Fprintf(&text, "  %s%s _x9", name, s.Metric)
		for _, p := range s.Floats {
			fmt.Fprintf(&text, " %v", p.F)
		}
		text.WriteString("\n")
	}
	return text.String()
}

type point struct {
	labels labels.Labels
	at     int64
	value  float64
}

func (p point) near(other point) bool {
	return labels.Equal(p.labels, other.labels) && p.at == other.at && math.Abs(p.value-other.value) < 1e-9*max(1, math.Abs(p.value))
}

func points(found promql.Matrix) (all []point) {
	for _, s := range found {
		for _, p := range s.Floats {
			all = append(all, point{s.Metric, p.T, p.F})
		}
	}
	slices.SortFunc(all, func(a, b point) int {
		if c := labels.Compare(a.labels, b.labels); c != 0 {
			return c
		}
		return int(a.at - b.at)
	})
	return all
}
