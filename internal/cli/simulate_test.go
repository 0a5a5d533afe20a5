package cli

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weir-rls/weir/internal/simulate"
)

func TestSimulateHelp_IsTheGoldenFile(t *testing.T) { isTheGoldenHelp(t, "simulate") }

// simulatedRules have what a report tells of: a limit that refuses, one that holds, one in
// shadow mode, two of which one refuses, quotas, a pool, slots, and one that nobody meets.
const simulatedRules = `
domain: shop
passive: [size]
pools: [{name: units, rate: 12/s, burst: 20}]
descriptors:
  - {key: user, limits: [{name: per-user, rate: 60/min, burst: 20, weight: {by: size, values: {large: 5}, default: 1}}, {name: seen, rate: 2/s, shadow_mode: true}]}
  - {key: slow, limits: [{name: slow, rate: 1/s, burst: 1, max_wait: 2s, max_waiters: 5}]}
  - {key: api, value: a, draw: {pool: units, guarantee: 8/s}}
  - {key: api, value: b, draw: {pool: units}}
  - {key: job, limits: [{name: jobs, algorithm: concurrency, slots: 2, slot_ttl: 1m}, {name: good, algorithm: fixed_window, rate: 50/min, count: success}]}
  - {key: nobody, limits: [{name: nobody, rate: 1/s}]}
`

const otherRules = `
domain: shop
passive: [size]
descriptors:
  - {key: user, limits: [{name: per-user, rate: 120/min, burst: 20}]}
  - {key: slow, limits: [{name: slow, rate: 1/s, burst: 1}]}
  - {key: new, limits: [{name: new, rate: 1/s}]}
`

const simulatedLoad = "rate=40/s,for=30s,user=zipf(30),slow=uniform(60),api=one-of(a,b),job=zipf(90),size=one-of(small:5,large),duration=one-of(50ms:8,900ms)"

// What a reader sees of each kind of limit, narrow and without colours.
func TestSimulate_IsTheGoldenFile(t *testing.T) {
	golden := map[string]string{}
	for _, name := range []string{"simulate.golden", "simulate-json.golden", "simulate-html.golden"} {
		path, err := filepath.Abs("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		golden[name] = path
	}
	inFiles(t, map[string]string{"rules.yaml": simulatedRules, "other.yaml": otherRules})
	args := []string{
		"simulate", "rules.yaml", "--against", "other.yaml", "--generate", simulatedLoad, "--changes", "3",
		"--map", "user=user,size=size", "--map", "slow=slow", "--map", "api=api", "--map", "job=job", "--html", "page.html",
	}
	got := weirHere(t, nil, args...)
	if got.code != exitOK || got.stderr != "" {
		t.Fatalf("%+v", got)
	}
	for line := range strings.Lines(got.stdout) {
		if n := visible(strings.TrimRight(line, "\n")); n > narrow {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if strings.Contains(got.stdout, "\x1b") {
		t.Error("colours that nobody asked for")
	}
	isGolden(t, golden["simulate.golden"], got.stdout)
	page, err := os.ReadFile("page.html")
	if err != nil {
		t.Fatal(err)
	}
	isGolden(t, golden["simulate-html.golden"], string(page))
	asJSON := weirHere(t, nil, append(args, "--output", "json")...)
	isGolden(t, golden["simulate-json.golden"], asJSON.stdout)
	var report simulate.Report
	if err := json.Unmarshal([]byte(asJSON.stdout), &report); err != nil || report.Requests.Requests != 1200 {
		t.Errorf("%v, %+v", err, report.Requests)
	}
	if again := weirHere(t, nil, append(args, "--output", "json")...); again.stdout != asJSON.stdout {
		t.Error("the same simulation has another result")
	}
}

// A page shows what clients sent, and must not run it, and loads nothing.
func TestSimulate_ThePageRunsAndLoadsNothing(t *testing.T) {
	inFiles(t, map[string]string{
		"rules.yaml": "domain: d\ndescriptors: [{key: user, limits: [{name: \"<b>\", rate: 1/day}]}]\n",
		"trace":      strings.Repeat(`{"time":1,"u":"<script>alert(1)</script>\u001b[31m"}`+"\n", 3),
	})
	got := weirHere(t, nil, "simulate", "rules.yaml", "--trace", "trace", "--map", "user=u", "--html", "page.html")
	page, err := os.ReadFile("page.html")
	if err != nil {
		t.Fatalf("%v, %+v", err, got)
	}
	if strings.Contains(got.stdout, "\x1b") || !strings.Contains(got.stdout, `\x1b[31m`) {
		t.Errorf("a control character reaches the terminal: %q", got.stdout)
	}
	if bad := regexp.MustCompile(`(?i)<script|<b>|https?://|\ssrc=|href=|url\(|@import`).FindString(string(page)); bad != "" {
		t.Errorf("the page has %q", bad)
	}
	for _, want := range []string{"&lt;script&gt;", "prefers-color-scheme: dark", `role="img" aria-label=`, "default-src 'none'", "&lt;b&gt;"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if pictures, tables := strings.Count(string(page), "<svg"), strings.Count(string(page), "The same as a table"); pictures != 2 || tables != pictures {
		t.Errorf("%d pictures, %d tables of them", pictures, tables)
	}
}

// A trace is read from a file, packed or not, and from the standard input.
func TestSimulate_ReadsTracesFromEverywhere(t *testing.T) {
	const lines = "time,user\n1,a\n2,a\n"
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write([]byte(lines)); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	inFiles(t, map[string]string{"rules.yaml": "domain: d\ndescriptors: [{key: user, limits: [{name: one, rate: 1/day}]}]\n", "trace.csv": lines, "trace.gz": packed.String()})
	for _, file := range []string{"trace.csv", "trace.gz", "-"} {
		var stdout, stderr bytes.Buffer
		code := Run(t.Context(), World{Args: []string{"simulate", "rules.yaml", "--trace", file}, Stdin: strings.NewReader(lines), Stdout: &stdout, Stderr: &stderr})
		if code != exitOK || !strings.Contains(stdout.String(), "2 requests in 1s") || !strings.Contains(stdout.String(), "refused   1   50.0 %") {
			t.Errorf("%s: %d, %s%s", file, code, &stdout, &stderr)
		}
	}
}

// Whatever is wrong is told with what to do, and nothing is reported.
func TestSimulate_SaysWhatIsWrong(t *testing.T) {
	inFiles(t, map[string]string{
		"rules.yaml": "domain: d\ndescriptors: [{key: user, limits: [{name: one, rate: 1/day}]}]\n", "faulty.yaml": "domain: d\ndescriptors: [{}]\n",
		"bad.csv": "time,user\n1,a\nlater,b\n2,c\n", "empty": "", "none.csv": "time,user\n", "absent.json": `{"time":1}`,
		"array.json": `[{"time":1,"user":"a"}]`, "text.log": "[2026-03-01T09:00:00.012Z] \"GET / HTTP/1.1\" 200\n", "short.gz": "\x1f\x8b\x08\x00\x00\x00",
	})
	if err := os.Mkdir("logs", 0o700); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"rules.yaml":                                                     "weir: no trace given: write --trace FILE, --trace - for the standard input, or --generate",
		"rules.yaml --trace x --generate y":                              "weir: both --trace and --generate are given: keep one of them",
		"rules.yaml --trace x":                                           "weir: --trace: open x: no such file or directory",
		"rules.yaml --trace empty":                                       "weir: empty:1: the trace is empty: begin with a line that names the columns",
		"rules.yaml --trace none.csv":                                    "weir: none.csv: there is no request in it",
		"rules.yaml --trace bad.csv":                                     `weir: bad.csv:3: time: "later" is no time: write RFC 3339`,
		"faulty.yaml --trace bad.csv":                                    "faulty.yaml:2:15: error:",
		"rules.yaml --trace bad.csv --against faulty.yaml":               "faulty.yaml:2:15: error:",
		"rules.yaml --trace bad.csv --domain e":                          `weir: --domain: the rules have no domain "e": name one of "d"`,
		"rules.yaml --trace absent.json --map user=user":                 "weir: absent.json: no request has a descriptor: do the fields that --map names exist?",
		"rules.yaml --trace bad.csv --map user":                          `weir: --map: "user" is not KEY=FIELD or KEY==VALUE, parted by commas`,
		"rules.yaml --trace bad.csv --map user==":                        `weir: --map: "user==" is not KEY=FIELD or KEY==VALUE`,
		"rules.yaml --trace bad.csv --output xml":                        "weir: --output: xml is neither text nor json",
		"rules.yaml --trace bad.csv --trace-format xml":                  `weir: --trace-format: "xml" is none of auto, json, csv`,
		"rules.yaml --trace bad.csv --assume-status 700 --limits 0":      "weir: --limits: 0 is below 1\nweir: --assume-status: 700 is no status of HTTP",
		"rules.yaml --trace bad.csv --skip-bad-lines --html none/a.html": "weir: --html: open none/a.html: no such file",
		"rules.yaml --trace array.json":                                  "weir: array.json:1: it is neither CSV nor one JSON object a line: have Envoy log with json_format, or make lines of an array, as with jq",
		"rules.yaml --trace text.log":                                    "weir: text.log:1: it is neither CSV nor one JSON object a line: have Envoy log with json_format",
		"rules.yaml --trace short.gz":                                    "weir: short.gz: the compressed file ends too early: copy it anew",
		"rules.yaml --trace logs":                                        "weir: --trace: logs is a directory: name one file",
		"rules.yaml --trace bad.csv --time-field when":                   `weir: bad.csv:1: there is no column "when": --time-field names one; there are time, user`,
		"rules.yaml --generate rate=5":                                   "weir: --generate: rate=5 is no rate of up to 1000000/s",
		"dir --trace bad.csv":                                            "dir: warning: there are no rule files in it: their names end in .yaml or .yml\nweir: no rule file in",
	} {
		got := weirHere(t, nil, append([]string{"simulate"}, strings.Fields(line)...)...)
		if got.code == exitOK || got.stdout != "" || !strings.HasPrefix(got.stderr, want) {
			t.Errorf("%s: %+v\nwant %s", line, got, want)
		}
	}
	got := weirHere(t, nil, "simulate", "rules.yaml", "--trace", "bad.csv", "--skip-bad-lines")
	if got.code != exitOK || !strings.Contains(got.stdout, "note: 1 bad line skipped, the first: bad.csv:3: time: \"later\"") {
		t.Errorf("%+v", got)
	}
}

// A wide terminal has wide pictures; of what is far from a whole row each refusal shows.
func TestChart_FillsItsWidthAndShowsEveryRefusal(t *testing.T) {
	c := &simulate.Course{From: time.Unix(0, 0).UTC(), To: time.Unix(256, 0).UTC(), PartSeconds: 1, Admitted: make([]int64, 256), Refused: make([]int64, 256)}
	for i := range c.Admitted {
		c.Admitted[i] = 1000
	}
	c.Refused[100] = 1
	for _, width := range []int{40, 80, 200} {
		text := (&chart{c, 1 << 20, paint{}, width, 5}).text()
		widest := 0
		for line := range strings.Lines(text) {
			widest = max(widest, visible(strings.TrimRight(line, "\n")))
		}
		if widest > width || widest < width-1 || strings.Count(text, "▁") < 1 {
			t.Errorf("%d columns in %d:\n%s", widest, width, text)
		}
	}
	if text := (&chart{c, 1 << 20, paint{true}, 80, 5}).text(); !strings.Contains(text, "\x1b[31m") || !strings.Contains(text, "\x1b[32m") {
		t.Errorf("no colours: %q", text)
	}
}

func TestProgressBar_CountsWhereNobodyKnowsTheEnd(t *testing.T) {
	if got := progressBar("simulate", -1, 2*time.Second, 100); got != "simulate 100 requests, 50/s" {
		t.Error(got)
	}
	if got := progressBar("simulate", 0.25, 2*time.Second, 100); !strings.HasSuffix(got, " 25 %  100 requests, 50/s, 6s left") || len([]rune(got)) > 80 {
		t.Error(got)
	}
}

// Who stops it before anything was judged is not told of the year 1.
func TestSimulate_StoppedBeforeTheFirstRequestReportsNothing(t *testing.T) {
	inFiles(t, map[string]string{"rules.yaml": "domain: d\ndescriptors: [{key: user, limits: [{name: one, rate: 1/day}]}]\n", "trace.csv": "time,user\n1,a\n"})
	stopped, stop := context.WithCancel(t.Context())
	stop()
	var stdout, stderr bytes.Buffer
	code := Run(stopped, World{Args: []string{"simulate", "rules.yaml", "--trace", "trace.csv"}, Stdout: &stdout, Stderr: &stderr})
	if code == exitOK || stdout.Len() > 0 || !strings.Contains(stderr.String(), "trace.csv: stopped before a request was judged") {
		t.Errorf("%d, %s%s", code, &stdout, &stderr)
	}
}

// A year is not told in hours, nor a request a month as none an hour.
func TestSimulate_TellsLongTracesInDays(t *testing.T) {
	for d, want := range map[time.Duration]string{1500 * time.Millisecond: "1.5s", 47 * time.Hour: "47h0m0s", 48 * time.Hour: "2 days", 365*24*time.Hour + 5*time.Hour: "365 days 5h"} {
		if got := span(d); got != want {
			t.Errorf("%v: %q", d, got)
		}
	}
	for rate, want := range map[float64]string{0: "", 250: "250/s", 1.0 / 60: "60.0/h", 3.0 / 86400: "0.1/h", 0.25 / 86400: "0.25/day"} {
		if got := rateText(rate); got != want {
			t.Errorf("%v: %q, want %q", rate, got, want)
		}
	}
}
