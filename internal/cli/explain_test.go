package cli

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-rls/weir/descriptors"
)

func TestExplainHelp_IsTheGoldenFile(t *testing.T) { isTheGoldenHelp(t, "explain") }

func TestTestHelp_IsTheGoldenFile(t *testing.T) { isTheGoldenHelp(t, "test") }

const explainedRules = `
domain: shop
passive: [size]
pools: [{name: units, rate: 10/s, burst: 30}]
responses: {own: {form: openai, message: no more, headers: {X-Why: "{name}"}}}
descriptors:
  - {key: user, limits: [{name: per-user, rate: 60/min, burst: 20, weight: {by: size, values: {large: 5}}}, {name: seen, rate: 5/day, shadow_mode: true}]}
  - {key: user, value: vip, descriptors: [{key: path, value: "/a*", limits: [{name: vip-a, rate: 1/s}]}, {key: path, value_regex: "/b.", limits: [{name: vip-b, rate: 1/s}]}]}
  - {key: remote_address, value_cidr: 10.0.0.0/8, limits: [{name: lan, rate: 100/s, enabled: false}]}
  - {key: api, draw: {pool: units, class: api, weight: 3}}
  - {key: plan, value: free, quota_mode: true, limits: [{name: free, rate: 3/min, response: own}]}
  - {key: job, limits: [{name: jobs, algorithm: concurrency, slots: 2}], breaker: {name: down}}
  - {key: any, rate_limit: {unlimited: true}}
  - {key: shut, limits: [{name: shut, rate: 0/s, response: own}]}
  - {key: slow, limits: [{name: slow, rate: 1/s, burst: 1, initial: empty, max_wait: 5s, max_waiters: 1}]}
  - {key: file, value: "a*", share_threshold: true, detailed_metric: true, rate_limit: {unit: minute, requests_per_unit: 5, name: files}, metadata: {team: search, tags: [a, 1]}}
  - {key: tenant, value_to_metric: true, descriptors: [{key: path, limits: [{name: per-tenant, rate: 0/s}], metadata: {team: web}}]}
`

// isGolden compares with a golden file of testdata, which must be named before the
// working directory is changed.
func isGolden(t *testing.T, golden, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("it is printed otherwise; if that is meant: go test ./internal/cli -run GoldenFile -update\n%s", got)
	}
}

// What a reader sees of each kind of limit, way and verdict.
func TestExplain_IsTheGoldenFile(t *testing.T) {
	golden, err := filepath.Abs("testdata/explain.golden")
	if err != nil {
		t.Fatal(err)
	}
	inFiles(t, map[string]string{"rules.yaml": explainedRules})
	var all strings.Builder
	for _, line := range []string{
		"-d user=alice,size=large -d api=read --hits 2", "-d user=vip,path=/b1", "-d user=vip,path=/c", "-d user=vip", "-d remote_address=10.1.2.3",
		"-d remote_address=11.1.2.3", "-d plan=free --hits 4", "-d job=import", "-d any=x", "-d shut=x -d user=bob", "-d slow=x", "-d user=a\\,b\\\\,size=\x1b[31m",
		"-d usr=x --domain shop", "-d user=x --domain shup", "-d size=x",
		"-d file=a1 -d tenant=t\x1b[31m,path=/x",
	} {
		got := weirHere(t, nil, append([]string{"explain", "rules.yaml"}, strings.Fields(line)...)...)
		if got.code != exitOK || got.stderr != "" || strings.ContainsRune(got.stdout, '\x1b') {
			t.Errorf("%s: %+v", line, got)
		}
		all.WriteString("$ weir explain rules.yaml " + strings.ReplaceAll(line, "\x1b", "ESC") + "\n" + got.stdout + "\n")
	}
	isGolden(t, golden, all.String())
}

// The JSON of files and that of a running weir are one form, and a running weir tells
// the levels of now.
func TestExplain_ARunningWeirTellsTheSameAndItsLevels(t *testing.T) {
	inFiles(t, map[string]string{"rules.yaml": explainedRules})
	events, stop := serving(t, nil, "listening", "--rules=rules.yaml", "--grpc-listen=127.0.0.1:0", "--http-listen=127.0.0.1:0", "--drain-delay=0s")
	defer stop()
	server := "http://" + events[len(events)-1].HTTP
	ask := []string{"-d", "user=alice", "-d", "api=read", "--domain", "shop", "--format", "json"}
	files, live := weirHere(t, nil, append([]string{"explain", "rules.yaml"}, ask...)...), weirHere(t, nil, append([]string{"explain", "--server", server}, ask...)...)
	if files.code != exitOK || files != live {
		t.Fatalf("of files\n%+v\nof a server\n%+v", files, live)
	}
	took, err := http.Post(server+"/api/v1/check", "application/json", strings.NewReader(`{"domain":"shop","descriptors":[{"entries":[{"key":"user","value":"alice"}]}],"hitsAddend":7}`))
	if err != nil || took.StatusCode != 200 {
		t.Fatal(took, err)
	}
	took.Body.Close()
	for range 2 {
		live = weirHere(t, nil, append([]string{"explain", "--server", server + "/"}, ask...)...)
		var e descriptors.Explanation
		if err := json.Unmarshal([]byte(live.stdout), &e); err != nil {
			t.Fatal(err, live)
		}
		if b := e.Descriptors[0].Limits[0].Bucket; b.Used < 6 || b.Used > 7 {
			t.Errorf("the bucket is told as %+v", b)
		}
	}
	if got := weirHere(t, nil, "explain", "--server", server, "--domain", "absent", "-d", "a=b"); got.code != exitOK || !strings.Contains(got.stdout, `no rule file states the domain "absent"`) || strings.Contains(got.stdout, "just started") {
		t.Errorf("%+v", got)
	}
}

// Whatever a server answers is told in one line, and a token goes where it belongs.
func TestExplain_ServersThatDoNotExplain(t *testing.T) {
	inFiles(t, map[string]string{"token": "weir_secret\n"})
	for answer, want := range map[string]string{
		"401 " + `{"detail":"the token is missing","remedy":"send one"}`: "answered 401: the token is missing: send one; --token-file names a file with a token",
		"404 " + `not found`: "answered 404: is it the HTTP port of a weir that knows this path?",
		"200 " + `<html>`:    "does not answer as weir does: is it weir's HTTP port?",
		"503 " + `{"detail":"no rate limit rules have been loaded\u001b[31m"}`: "answered 503: no rate limit rules have been loaded?[31m",
	} {
		code, body, _ := strings.Cut(answer, " ")
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer weir_secret" || r.Method != "POST" || r.URL.Path != "/api/v1/explain" {
				t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
			}
			w.WriteHeader(map[string]int{"401": 401, "404": 404, "200": 200, "503": 503}[code])
			_, _ = w.Write([]byte(body))
		}))
		got := weirHere(t, nil, "explain", "--server", server.URL, "--token-file", "token", "--domain", "d", "-d", "a=b")
		server.Close()
		if got.code != exitFailure || got.stdout != "" || !strings.Contains(got.stderr, want) || strings.Contains(got.stderr, "secret") || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("%s: %+v", answer, got)
		}
	}
	got := weirHere(t, nil, "explain", "--server", "http://127.0.0.1:1", "--domain", "d", "-d", "a=b")
	if got.code != exitFailure || !strings.Contains(got.stderr, "no answer: is weir serving on http://127.0.0.1:1?") {
		t.Errorf("%+v", got)
	}
}

func TestExplain_FaultyRulesAreToldAsByCheck(t *testing.T) {
	inFiles(t, map[string]string{"faulty.yaml": faultyRules, "good.yaml": goodRules, "other.yaml": warningRules})
	if got := weirHere(t, nil, "explain", "faulty.yaml", "-d", "a=b"); got.code != exitFailure || got.stdout != "" || !strings.HasPrefix(got.stderr, "faulty.yaml:3:30: error: ") {
		t.Errorf("%+v", got)
	}
	if got := weirHere(t, nil, "explain", "good.yaml", "other.yaml", "-d", "a=b"); got.code != exitFailure || !strings.Contains(got.stderr, `--domain is not set, and there are several: name one of "good", "warning"`) {
		t.Errorf("%+v", got)
	}
	if got := weirHere(t, nil, "explain", "dir", "-d", "a=b"); got.code != exitFailure || !strings.Contains(got.stderr, "no rule file") {
		t.Errorf("%+v", got)
	}
}

// A terminal gets colours, all of which end in their line, and one who wants none gets
// none.
func TestExplain_ColoursOnlyWhereTheyAreWanted(t *testing.T) {
	e := descriptors.Explanation{Domain: "d", Answer: &descriptors.ExplainedAnswer{Verdict: descriptors.Denied, Reason: "unmatched"}}
	for line := range strings.Lines(explainText(&e, paint{on: true})) {
		if strings.Count(line, "\x1b[")%2 != 0 {
			t.Errorf("a colour does not end: %q", line)
		}
	}
	if text := explainText(&e, paint{on: true}); !strings.Contains(text, "\x1b[31mdeny\x1b[0m") {
		t.Errorf("no colour: %q", text)
	}
	if paintFor(&bytes.Buffer{}, nil).on {
		t.Error("what is no terminal has colours")
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if !paintFor(null, nil).on || paintFor(null, []string{"NO_COLOR=1"}).on {
		t.Error("NO_COLOR is not respected")
	}
}

const failingTests = `
rules: rules.yaml
cases:
  - name: passes
    steps: [{request: {descriptors: [{user: alice}]}, times: 3, expect: {verdict: allow}}]
  - name: fails <twice> &c.
    steps:
      - request: {descriptors: [{user: alice}], hits: 18}
        expect: {verdict: deny}
      - advance: 1500ms
        request: {descriptors: [{user: vip}]}
        expect: {limit: per-user, remaining: 5}
`

// What CI and its reader see of tests that pass, that fail and that cannot be run.
func TestTest_IsTheGoldenFile(t *testing.T) {
	golden, err := filepath.Abs("testdata/test.golden")
	if err != nil {
		t.Fatal(err)
	}
	inFiles(t, map[string]string{
		"rules.yaml": explainedRules, "dir/a_test.yaml": strings.ReplaceAll(failingTests, "rules.yaml", "../rules.yaml"), "dir/b_test.yml": "rules: ../rules.yaml\ncases: [{nam: x}]\n",
		"dir/rules.yaml": "x", "good_test.yaml": "rules: rules.yaml\ncases: [{name: a, steps: [{request: {descriptors: [{any: x}]}, expect: {verdict: allow}}]}]\n",
	})
	var all strings.Builder
	for line, code := range map[string]int{"good_test.yaml": exitOK} {
		if got := weirHere(t, nil, "test", line); got.code != code || got.stdout != "ok    good_test.yaml  1 case, 1 request\n1 case: 1 passed, 0 failed\n" {
			t.Errorf("%+v", got)
		}
	}
	for _, line := range []string{".", ". --format json", ". --format junit"} {
		got := weirHere(t, nil, append([]string{"test"}, strings.Fields(line)...)...)
		if got.code != exitFailure || got.stderr != "" {
			t.Errorf("%s: %+v", line, got)
		}
		all.WriteString("$ weir test " + line + "\n" + got.stdout + "\n")
	}
	isGolden(t, golden, all.String())
	if err := os.Mkdir("empty", 0o700); err != nil {
		t.Fatal(err)
	}
	for arg, want := range map[string]string{"empty": `no test in "empty": their names end in _test.yaml`, "absent": "no such file"} {
		if got := weirHere(t, nil, "test", arg); got.code != exitFailure || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: %+v", arg, got)
		}
	}
}
