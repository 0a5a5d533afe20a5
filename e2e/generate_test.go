package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// generated runs the bootstrap that weir envoy writes for rules and a mapping, with
// further HTTP filters behind its own, and a weir with the rules.
func generated(t *testing.T, rules, mapping string, more ...any) *topology {
	t.Helper()
	out := t.TempDir()
	write := exec.Command(weirBinary, "envoy", rules, "--map", mapping, "--complete", "--out", out)
	if output, err := write.CombinedOutput(); err != nil || strings.Contains(string(output), "warning") {
		t.Fatalf("%v: %v\n%s", write.Args, err, output)
	}
	text := read(t, filepath.Join(out, "envoy.yaml"))
	if err := parts.ValidateEnvoy(partstest.Binary(t, parts.Envoy), text, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if len(more) > 0 {
		text = withFilters(t, text, more)
	}
	top := &topology{}
	upstream := top.startUpstream(t)
	top.weirs = append(top.weirs, partstest.Weir(t, weirBinary, "--rules", rules, "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--drain-delay", "0s", "--store-timeout", "2s"))
	text, err := parts.Readdress(text, parts.Addresses{
		Admin: "127.0.0.1:0", Listeners: map[string]string{"front": "127.0.0.1:0"},
		Clusters: map[string][]string{"upstream": {upstream}, "weir": {top.weirs[0].GRPC}},
	})
	if err != nil {
		t.Fatal(err)
	}
	top.addEnvoy(partstest.Envoy(t, text))
	return top
}

// withFilters puts filters behind those of weir, before the router.
func withFilters(t *testing.T, text []byte, more []any) []byte {
	t.Helper()
	type m = map[string]any
	var root m
	if err := yaml.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	listener := root["static_resources"].(m)["listeners"].([]any)[0].(m)
	manager := listener["filter_chains"].([]any)[0].(m)["filters"].([]any)[0].(m)["typed_config"].(m)
	filters := manager["http_filters"].([]any)
	last := len(filters) - 1
	manager["http_filters"] = append(append(filters[:last:last], more...), filters[last])
	text, err := yaml.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// sendTo sends n requests to a path, one after the other.
func (top *topology) sendTo(t *testing.T, n int, path string, h headers) tally {
	t.Helper()
	c, got := client(t, 1), tally{}
	for range n {
		got[get(c, top.fronts[0]+path, h).status]++
	}
	return got
}

// passed tells whether of all that was sent since then so many passed, or what refilled
// meanwhile more, and the others were refused.
func passed(got tally, least int, aSecond float64, began time.Time) bool {
	most := least + 1 + int(aSecond*time.Since(began).Seconds())
	return got[200] >= least && got[200] <= most && got[200]+got[429] == got.total()
}

func TestGenerated_TheReadmesRulesLimit(t *testing.T) {
	dir := t.TempDir()
	rules, mapping := filepath.Join(dir, "rules.yaml"), filepath.Join(dir, "mapping.yaml")
	for name, text := range map[string]string{
		rules:   readDocumented(t, "../README.md").files["rules.yaml"],
		mapping: "keys:\n  pool: {value: backend}\n  api: {path: {a: /api/a, b: /api/b, c: /api/c}}\n  user: {header: x-user}\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	began, top := time.Now(), generated(t, rules, mapping)
	if got := top.sendTo(t, 25, "/api/a", headers{"X-User": "u"}); !passed(got, 20, 1, began) {
		t.Errorf("a user: %v, want the burst of 20", got)
	}
	if got := top.sendTo(t, 25, "/api/a", nil); !passed(got, 20, 1, began) {
		t.Errorf("who has no name: %v, want a bucket of 20 too", got)
	}
}

func TestGenerated_TheDemosRulesLimit(t *testing.T) {
	began, top := time.Now(), generated(t, "../examples/demo/rules", "../examples/demo/mapping.yaml")
	if got := top.sendTo(t, 25, "/chat", headers{"X-User-Group": "vip"}); !passed(got, 20, 1./3, began) {
		t.Errorf("vip: %v, want 20", got)
	}
	got := top.sendTo(t, 4, "/chat", headers{"X-User-Group": "no such group"}).add(top.sendTo(t, 4, "/chat", nil))
	if !passed(got, 5, 1./12, began) {
		t.Errorf("who is no vip: %v, want 5 together", got)
	}
}

func TestGenerated_TheWeightedCapacityLimits(t *testing.T) {
	began, top := time.Now(), generated(t, "../examples/weighted-capacity/rules.yaml", "../examples/weighted-capacity/mapping.yaml")
	t.Run("what is in flight, by receipt", func(t *testing.T) {
		var held []*call
		for range 2 {
			held = append(held, top.beginAt(t, "/jobs/c", headers{"X-Hold": "answer", "X-Consumer": "jobs"}))
		}
		top.holds(t, 2)
		top.letGo(t, 2)
		if got := settled(held...); got[200] != 2 {
			t.Errorf("%v", got)
		}
		top.reaches(t, redeemed, 2)
	})
	t.Run("a heavier call costs more", func(t *testing.T) {
		got := tally{}
		for i := range 45 {
			got.add(top.sendTo(t, 1, "/api/c", headers{"X-Consumer": string(rune('A' + i))}))
		}
		if !passed(got, 26, 10./3, began) { // of 100 units two other APIs keep 10 each, and 10 come back each second
			t.Errorf("%v, want 26 of weight 3", got)
		}
	})
	t.Run("a consumer's budget", func(t *testing.T) {
		if got := top.sendTo(t, 30, "/budget/c", headers{"X-Consumer": "one"}); !passed(got, 16, 50./60/3, began) {
			t.Errorf("%v, want 16 of weight 3 of 50", got)
		}
	})
}

func TestGenerated_TheLLMGatewayLimits(t *testing.T) {
	usage := readDocumented(t, "../docs/how-to/envoy.md").part(t, "usage.yaml")
	began, top := time.Now(), generated(t, "../examples/llm-gateway/rules.yaml", "../examples/llm-gateway/mapping.yaml", usage)
	t.Run("tokens, when the stream has ended", func(t *testing.T) {
		trial := headers{"X-User": "ann", "X-User-Group": "trial", "X-Usage": "110000"}
		if got := top.sendTo(t, 1, "/v1", trial); got[200] != 1 {
			t.Fatalf("%v", got)
		}
		top.reaches(t, `weir_decisions_total{domain="llm",limit="trial-tpm",outcome="settled"}`, 1)
		if got := top.sendTo(t, 1, "/v1", trial); got[429] != 1 {
			t.Errorf("after 110,000 of 100,000 tokens a minute: %v", got)
		}
		if got := top.sendTo(t, 1, "/v1", headers{"X-User": "ann", "X-User-Group": "trial", "X-Token-Group": "default"}); got[200] != 1 {
			t.Errorf("the token's group comes first: %v", got)
		}
	})
	t.Run("a key", func(t *testing.T) {
		if got := top.sendTo(t, 33, "/v1", headers{"X-User": "bob", "X-Key": "ci"}); !passed(got, 30, 0.5, began) {
			t.Errorf("%v, want 30", got)
		}
	})
	t.Run("an area, by address", func(t *testing.T) {
		if got := top.sendTo(t, 22, "/api/user/login", nil); !passed(got, 20, 1, began) {
			t.Errorf("%v, want 20", got)
		}
	})
}

// beginAt is begin at a path.
func (top *topology) beginAt(t *testing.T, path string, h headers) *call {
	t.Helper()
	there := &topology{fronts: []string{top.fronts[0] + path}}
	return there.begin(t, 0, h)
}
