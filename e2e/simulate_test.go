package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
)

// What an Envoy logs with the json_format of docs/how-to/simulate.md replays: through the
// rules that it was judged by, with the verdicts that it got.
func TestSimulatePage_AnEnvoysLogReplaysAsItWasJudged(t *testing.T) {
	docs, page := readDocumented(t, "../README.md"), readDocumented(t, "../docs/how-to/simulate.md")
	log := filepath.Join(t.TempDir(), "access.log")
	var envoy map[string]any
	route := docs.part(t, "route.yaml")
	if err := yaml.Unmarshal(bootstrap(t, route, docs.part(t, "cluster.yaml"), docs.part(t, "filter.yaml")), &envoy); err != nil {
		t.Fatal(err)
	}
	logger := page.part(t, "access-log.yaml").(map[string]any)
	logger["typed_config"].(map[string]any)["path"] = log
	listener := envoy["static_resources"].(map[string]any)["listeners"].([]any)[0].(map[string]any)
	filter := listener["filter_chains"].([]any)[0].(map[string]any)["filters"].([]any)[0].(map[string]any)
	filter["typed_config"].(map[string]any)["access_log"] = []any{logger}
	text, err := yaml.Marshal(envoy)
	if err != nil {
		t.Fatal(err)
	}
	// A bucket that refills in an hour: no request's few milliseconds matter.
	docs.files["rules.yaml"] = "domain: shop\ndescriptors: [{key: user, limits: [{name: per-user, rate: 1/hour, burst: 5}]}]\n"
	top := &topology{}
	docs.run(t, top, text)

	c, sent, got := client(t, 1), 0, tally{}
	for _, user := range []string{"a", "b", "a", "", "a"} {
		for range 4 {
			h := headers{}
			if user != "" {
				h["X-User"] = user
			}
			sent++
			got[get(c, top.fronts[0]+"/api/c", h).status]++
		}
	}
	if got[200] != 13 || got[429] != 7 { // 5 of a's 12, 4 of b, and 4 without a user
		t.Fatalf("%v, want 13 admitted and 7 refused", got)
	}
	awaitLines(t, log, sent)
	report := simulated(t, filepath.Join(docs.dir, "rules.yaml"), docs.files["rules.yaml"], log)
	if report.Requests.Requests != 16 || report.Requests.Admitted != 9 || report.Requests.Refused != 7 || report.Trace.Without != 4 {
		t.Errorf("%+v, want 16 requests with 9 admitted and 7 refused, and 4 without a descriptor", report)
	}
	if length := report.Trace.To.Sub(report.Trace.From); time.Since(report.Trace.From) > time.Minute || length < 0 || length > time.Minute {
		t.Errorf("the trace is from %s to %s", report.Trace.From, report.Trace.To)
	}
}

type simulation struct {
	Requests struct{ Requests, Admitted, Refused int }
	Trace    struct {
		From, To time.Time
		Without  int `json:"without_descriptor"`
	}
}

// simulated is what weir simulate tells of a log.
func simulated(t *testing.T, file, rules, log string) (report simulation) {
	t.Helper()
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	output, err := exec.Command(weirBinary, "simulate", file, "--trace", log, "--map", "user=x_user", "--output", "json").Output()
	if err == nil {
		err = json.Unmarshal(output, &report)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return report
}

// awaitLines waits until Envoy has written its log, which it does every ten seconds.
func awaitLines(t *testing.T, file string, lines int) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		text, err := os.ReadFile(file)
		if err == nil && bytes.Count(text, []byte("\n")) == lines {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v, the log has\n%s", err, text)
		}
	}
}
