package e2e

import (
	"cmp"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// spec says what a test runs.
type spec struct {
	envoys, weirs int
	redis         bool     // one Redis for all replicas; otherwise the embedded store
	rules         string   // the rule file
	envoy         string   // the Envoy file in testdata, envoy.yaml if empty
	timeout       string   // how long Envoy waits for an answer, 5s if empty
	headers       string   // what weir tells the caller of its limits, legacy if empty
	failOpen      bool     // Envoy admits what no weir answers
	onlyReplica   bool     // one replica although there is a Redis, for a story told on both stores
	drainDelay    string   // none if empty: only the test of draining waits for it
	more          []string // further arguments of weir
}

// topology is a running spec with its upstream.
type topology struct {
	envoys    []*parts.EnvoyProcess
	redis     *parts.Redis // nil with the embedded store
	weirs     []*parts.WeirProcess
	args      []string // that each weir has
	fronts    []string // the Envoys' URLs
	rulesFile string
	upstream
}

func run(t *testing.T, s spec) *topology {
	t.Helper()
	top := &topology{rulesFile: filepath.Join(t.TempDir(), "rules.yaml")}
	top.write(t, s.rules)
	upstream := top.startUpstream(t)
	top.startWeirs(t, s)
	top.startEnvoys(t, s, upstream)
	return top
}

// startUpstream starts the backend and answers its address.
func (top *topology) startUpstream(t *testing.T) string {
	t.Helper()
	top.release = make(chan struct{})
	server := httptest.NewServer(&top.upstream)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func (top *topology) startWeirs(t *testing.T, s spec) {
	t.Helper()
	args := []string{
		"--rules", top.rulesFile, "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
		"--store-timeout", "2s", "--drain-delay", cmp.Or(s.drainDelay, "0s"), "--headers", cmp.Or(s.headers, "legacy"), "--store", "memory",
	}
	if s.redis {
		top.redis = partstest.Redis(t, parts.RedisServer)
		args = append(args[:len(args)-1], "redis", "--redis-url", top.redis.URL)
	}
	args = append(args, s.more...)
	top.args = args
	for range s.weirs {
		top.weirs = append(top.weirs, partstest.Weir(t, weirBinary, args...))
	}
}

func (top *topology) startEnvoys(t *testing.T, s spec, upstream string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", cmp.Or(s.envoy, "envoy.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	if s.failOpen {
		text = []byte(strings.Replace(string(text), "failure_mode_deny: true", "failure_mode_deny: false", 1))
	}
	text = []byte(strings.ReplaceAll(string(text), " timeout: 5s", " timeout: "+cmp.Or(s.timeout, "5s")))
	var replicas []string
	for _, weir := range top.weirs {
		replicas = append(replicas, weir.GRPC)
	}
	text, err = parts.Readdress(text, parts.Addresses{Clusters: map[string][]string{"upstream": {upstream}, "weir": replicas}})
	if err != nil {
		t.Fatal(err)
	}
	for range s.envoys {
		top.addEnvoy(partstest.Envoy(t, text))
	}
}

func (top *topology) addEnvoy(envoy *parts.EnvoyProcess) {
	top.envoys = append(top.envoys, envoy)
	top.fronts = append(top.fronts, "http://"+envoy.Listener("front"))
}

// write replaces the rule file in one step, as an editor or a ConfigMap does.
func (top *topology) write(t *testing.T, rules string) {
	t.Helper()
	next := top.rulesFile + ".next"
	if err := os.WriteFile(next, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, top.rulesFile); err != nil {
		t.Fatal(err)
	}
}

// stats are the sums over all Envoys of what became of their questions.
func (top *topology) stats(t *testing.T) map[string]int64 {
	t.Helper()
	sums := map[string]int64{}
	for _, envoy := range top.envoys {
		for _, name := range []string{"ok", "over_limit", "error"} {
			value, err := envoy.Stat("cluster.upstream.ratelimit." + name)
			if err != nil {
				t.Fatal(err)
			}
			sums[name] += value
		}
	}
	return sums
}

// judged asserts that weir decided everything: each of the answers is a verdict
// of weir by Envoy's own count, none an error of the limiter that Envoy
// decided, and exactly what passed reached the upstream.
func (top *topology) judged(t *testing.T, got tally) {
	t.Helper()
	want := map[string]int64{"ok": int64(got[200]), "over_limit": int64(got[429]), "error": 0}
	if now := top.stats(t); !maps.Equal(now, want) {
		t.Errorf("Envoy counted %v for the answers %v, want %v", now, got, want)
	}
	if served := top.served.Load(); served != int64(got[200]) {
		t.Errorf("the upstream served %d requests, %d passed", served, got[200])
	}
	if other := got.total() - got[200] - got[429]; other != 0 {
		t.Errorf("%d answers are neither 200 nor 429: %v", other, got)
	}
}
