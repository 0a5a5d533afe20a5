package stage_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-rls/weir/internal/stage"
	"github.com/weir-rls/weir/internal/stage/stagetest"
)

func TestMain(m *testing.M) { stagetest.Main(m) }

// The example of these tests: two listeners, a cluster with two endpoints, and
// rules that name Envoy's admin interface.
const envoyFile = `
admin: {address: {socket_address: {address: 0.0.0.0, port_value: 9901}}}
static_resources:
  listeners:
  - name: front
    address: {socket_address: {address: 0.0.0.0, port_value: 10000}}
    filter_chains: [{filters: [{name: http, typed_config: &http {
      "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: front,
      route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [
        {match: {prefix: /}, route: {cluster: pods, rate_limits: [{actions: [{request_headers: {header_name: x-user, descriptor_key: user}}]}]}}]}]},
      http_filters: [
        {name: limits, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit, domain: d, timeout: 5s,
          failure_mode_deny: true, rate_limit_service: {transport_api_version: V3, grpc_service: {envoy_grpc: {cluster_name: weir}}}}},
        {name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]}}]}]
  - name: back
    address: {socket_address: {address: 0.0.0.0, port_value: 10010}}
    filter_chains: [{filters: [{name: http, typed_config: *http}]}]
  clusters:
  - {name: pods, type: STRICT_DNS, load_assignment: {cluster_name: pods, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: pods, port_value: 9000}}}}]}]}}
  - name: weir
    type: STRICT_DNS
    typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {
      "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http2_protocol_options: {}}}}
    load_assignment: {cluster_name: weir, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: weir, port_value: 8081}}}}]}]}
`

const rulesFile = `domain: d
descriptors:
  - {key: user, limits: [{name: envoy:9901, rate: 5/hour, burst: 5}]}
`

// begin starts the example of these tests, changed.
func begin(t *testing.T, store string, o stage.Options, change ...func(*stage.Example)) (*stage.Stage, error) {
	t.Helper()
	o.Store, o.Weir, o.Files = store, stagetest.Weir, t.TempDir()
	for name, text := range map[string]string{"envoy.yaml": envoyFile, "rules.yaml": rulesFile} {
		if err := os.WriteFile(filepath.Join(o.Files, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pod := func(name string) stage.Upstream {
		return stage.Upstream{Cluster: "pods", Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) })}
	}
	e := stage.Example{
		Name: "test", Upstreams: []stage.Upstream{pod("one"), pod("two")}, EnvoyAdmin: "envoy:9901",
		Weir: []string{"--headers", "off", "--drain-delay", "0s"},
	}
	for _, c := range change {
		c(&e)
	}
	s, err := stage.Start(e, o, stage.NewScreen(t.Output()))
	if err == nil {
		t.Cleanup(func() {
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
	return s, err
}

func TestStage_SetsEveryAddressOfTheFilesAndNothingElse(t *testing.T) {
	s, err := begin(t, "redis", stage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Weirs) != 2 || len(s.Envoys) != 2 {
		t.Fatalf("%d weirs and %d Envoys, want two of each on one Redis", len(s.Weirs), len(s.Envoys))
	}
	for _, envoy := range s.Envoys {
		if n, err := envoy.Stat("cluster.weir.membership_total"); err != nil || n != 2 {
			t.Errorf("an Envoy asks %d replicas, want both: %v", n, err)
		}
	}
	bodies := map[string]int{}
	passed := 0
	for i := range 8 { // both listeners of both Envoys, and one bucket of 5
		answer, err := s.Send(t.Context(), stage.Request{Listener: []string{"front", "back"}[i/2%2], Path: "/", Header: map[string]string{"X-User": "u"}})
		if err != nil {
			t.Fatal(err)
		}
		if answer.Status == http.StatusOK {
			passed++
			bodies[answer.Body]++
		}
		if answer.Header.Get("X-RateLimit-Limit") != "" {
			t.Error("the example's own --headers off did not win")
		}
	}
	if passed != 5 || bodies["one"] == 0 || bodies["two"] == 0 {
		t.Errorf("%d passed, want 5 by both endpoints: %v", passed, bodies)
	}
	rules, err := os.ReadFile(filepath.Join(s.Rules, "rules.yaml"))
	if err != nil || !strings.Contains(string(rules), "name: "+s.Envoys[0].Admin+",") {
		t.Errorf("the rules do not name the first Envoy's admin interface %s: %s %v", s.Envoys[0].Admin, rules, err)
	}
}

func TestStage_APartThatEndsIsToldUnlessItWasGivenUp(t *testing.T) {
	s, err := begin(t, "redis", stage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Lose(s.Redis.Process); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Wait(ctx); err != nil {
		t.Errorf("a part that was given up is missed: %v", err)
	}
	if err := s.RestoreRedis(); err != nil {
		t.Fatal(err)
	}
	if parts := s.Parts(); len(parts) != 5 {
		t.Errorf("%d parts run, want 5 with the new Redis", len(parts))
	}
	if err := s.Weirs[0].Kill(); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "ended by itself") {
		t.Errorf("a weir that died: %v", err)
	}
}

func TestStage_NothingRunsAfterAnErrorAndTheErrorTellsTheRemedy(t *testing.T) {
	for what, o := range map[string]stage.Options{
		"--no-such-flag":      {Args: []string{"--no-such-flag"}},
		"neither rules.yaml":  {Cast: &stage.Cast{Envoy: "../../examples/demo/envoy.yaml"}},
		"envoy.yaml: no such": {Cast: &stage.Cast{Envoy: "absent/envoy.yaml"}},
	} {
		var err error
		if what == "neither rules.yaml" {
			o.Files, o.Store = t.TempDir(), "memory"
			_, err = stage.Start(stage.Example{Name: "test"}, o, stage.NewScreen(t.Output()))
		} else {
			_, err = begin(t, "memory", o)
		}
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
