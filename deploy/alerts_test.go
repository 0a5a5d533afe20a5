package deploy

import (
	"context"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
)

func alerts(t *testing.T) []rulefmt.Rule { return ruleFile(t, "prometheus/alerts.yaml") }

func ruleFile(t *testing.T, name string) []rulefmt.Rule {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	groups, errs := rulefmt.Parse(text, false, model.UTF8Validation, promqlParser, slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var all []rulefmt.Rule
	for _, g := range groups.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// What promtool check rules looks at, and what an operator who is woken wants to read.
func TestAlerts_AreCompleteAndOfMetricsThatThereAre(t *testing.T) {
	known := metrics(t)
	names := map[string]bool{}
	for _, a := range alerts(t) {
		fits(t, a.Alert, a.Expr, known)
		if !strings.HasPrefix(a.Alert, "Weir") || names[a.Alert] {
			t.Errorf("%q is no name, or there are two of it", a.Alert)
		}
		names[a.Alert] = true
		if !slices.Contains([]string{"critical", "warning", "info"}, a.Labels["severity"]) {
			t.Errorf("%s: severity %q", a.Alert, a.Labels["severity"])
		}
		for _, annotation := range []string{"summary", "description", "runbook_url"} {
			if len(a.Annotations[annotation]) < 10 {
				t.Errorf("%s: %s is %q", a.Alert, annotation, a.Annotations[annotation])
			}
		}
	}
}

// Who is woken is led to a heading that is there.
func TestAlerts_LeadToTheRunbook(t *testing.T) {
	page, err := os.ReadFile("../docs/how-to/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	anchors := map[string]bool{}
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(page), -1) {
		anchors[anchor(heading[1])] = true
	}
	for _, a := range alerts(t) {
		const page = "https://github.com/weir-rls/weir/blob/main/docs/how-to/runbook.md#"
		at, ok := strings.CutPrefix(a.Annotations["runbook_url"], page)
		if !ok || !anchors[at] {
			t.Errorf("%s: docs/how-to/runbook.md has no heading for %s", a.Alert, a.Annotations["runbook_url"])
		}
	}
}

// anchor is the one that GitHub makes of a heading.
func anchor(heading string) string {
	return strings.ReplaceAll(regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

// minutes is how long the series of stories last.
const minutes = 45

// Each alert fires on series that call for it, and not on others that come close.
func TestAlerts_FireWhenTheyShouldAndNotOtherwise(t *testing.T) {
	told := map[string]bool{}
	for _, a := range alerts(t) {
		s, ok := stories[a.Alert]
		if told[a.Alert] = true; !ok {
			t.Errorf("%s: there is no story of it", a.Alert)
			continue
		}
		t.Run(a.Alert, func(t *testing.T) {
			fired := firing(t, a, s.fires)
			if len(fired) == 0 {
				t.Fatal("it does not fire")
			}
			for _, text := range a.Annotations {
				for _, label := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(text, -1) {
					if !strings.Contains(fired[0], label[1]+"=") {
						t.Errorf("%q tells of the label %s, which %s does not have", text, label[1], fired[0])
					}
				}
			}
			if fired := firing(t, a, s.quiet); len(fired) > 0 {
				t.Errorf("it fires for %v when all is well", fired)
			}
		})
	}
	for name := range stories {
		if !told[name] {
			t.Errorf("there is no alert %s", name)
		}
	}
}

// firing are the labels of what the alert's expression finds for as long as it asks for,
// evaluated each minute.
func firing(t *testing.T, a rulefmt.Rule, series string) (fired []string) {
	t.Helper()
	storage := promqltest.LoadedStorage(t, "load 1m\n"+series)
	defer storage.Close()
	engine := promqltest.NewTestEngine(t, false, 5*time.Minute, 1_000_000)
	query, err := engine.NewRangeQuery(context.Background(), storage, nil, a.Expr, time.Unix(0, 0), time.Unix(60*minutes, 0), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer query.Close()
	found, err := query.Exec(context.Background()).Matrix()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range found {
		if lasts(s, time.Duration(a.For)) {
			fired = append(fired, s.Metric.String())
		}
	}
	return fired
}

// lasts tells that a series is there without a gap for a time.
func lasts(s promql.Series, long time.Duration) bool {
	begin := 0
	for i, p := range s.Floats {
		if i > 0 && p.T-s.Floats[i-1].T > time.Minute.Milliseconds() {
			begin = i
		}
		if p.T-s.Floats[begin].T >= long.Milliseconds() {
			return true
		}
	}
	return false
}
