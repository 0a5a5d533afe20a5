package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// tracer is what docs/how-to/observe.md tells to add to the HTTP connection manager.
const tracer = `
          tracing:
            random_sampling: {value: 100}
            provider:
              name: envoy.tracers.opentelemetry
              typed_config:
                "@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig
                service_name: edge
                grpc_service: {envoy_grpc: {cluster_name: collector}, timeout: 1s}
`

const collectorCluster = `
  - name: collector
    type: STATIC
    connect_timeout: 1s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    load_assignment: {cluster_name: collector, endpoints: []}
`

// One trace leads from the client's request to Envoy through weir to Redis, in the real
// Envoy: its span of the request, its span of the question to weir, weir's, the store's.
func TestATraceLeadsFromEnvoyToTheStore(t *testing.T) {
	c := partstest.NewCollector(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+c.Addr)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
	top := &topology{rulesFile: filepath.Join(t.TempDir(), "rules.yaml")}
	top.write(t, "domain: e2e\ndescriptors: [{key: user, limits: [{name: per-user, rate: 1/hour}]}]\n")
	upstream := top.startUpstream(t)
	// The ratio is 0: what is traced was decided by Envoy.
	top.startWeirs(t, spec{weirs: 1, redis: true, more: []string{"--tracing", "otlp-grpc", "--tracing-sample", "0"}})
	envoy := partstest.Envoy(t, tracedEnvoy(t, upstream, top.weirs[0].GRPC, c.Addr))
	top.addEnvoy(envoy)

	for i, want := range []int{200, 429} {
		if got := get(http.DefaultClient, top.fronts[0], headers{"x-user": "u"}); got.status != want {
			t.Fatalf("request %d: %d, want %d", i, got.status, want)
		}
	}
	const weirs = "envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
	for _, verdict := range []string{"ok", "over_limit"} {
		store := chain(t, c, func(all []partstest.Span) []partstest.Span {
			server := find(all, func(s partstest.Span) bool {
				return s.Service == "weir" && s.Name == weirs && s.Attribute("weir.verdict").GetStringValue() == verdict
			})
			asks := parent(all, server)
			return []partstest.Span{parent(all, asks), asks, server, find(all, func(s partstest.Span) bool {
				return s.Name == "weir.store.take" && string(s.ParentSpanId) == spanOf(server)
			})}
		})
		ingress, asks, server := store[0], store[1], store[2]
		if ingress.Service != "edge" || asks.Service != "edge" || len(ingress.ParentSpanId) > 0 || !strings.Contains(asks.Name, "ShouldRateLimit") {
			t.Errorf("%s: Envoy's spans: %q of %s, under %q of %s", verdict, asks.Name, asks.Service, ingress.Name, ingress.Service)
		}
		for _, s := range store {
			if s.Trace() != server.Trace() {
				t.Errorf("%s: %s is in another trace", verdict, s.Name)
			}
		}
		if kind := store[3].Attribute("weir.store.kind").GetStringValue(); kind != "redis" || server.Attribute("weir.limit").GetStringValue() != "per-user" {
			t.Errorf("%s: store %q, %v", verdict, kind, server.Attributes)
		}
	}
}

// tracedEnvoy is the Envoy of the tests with a tracer.
func tracedEnvoy(t *testing.T, upstream, weir, collector string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/envoy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const manager = "          stat_prefix: front\n"
	traced := strings.Replace(string(text), manager, manager+strings.TrimPrefix(tracer, "\n"), 1)
	traced = strings.Replace(traced, "  clusters:\n", "  clusters:"+collectorCluster, 1)
	readdressed, err := parts.Readdress([]byte(traced), parts.Addresses{Clusters: map[string][]string{"upstream": {upstream}, "weir": {weir}, "collector": {collector}}})
	if err != nil {
		t.Fatal(err)
	}
	return readdressed
}

// chain waits until all spans that are looked for are there.
func chain(t *testing.T, c *partstest.Collector, look func([]partstest.Span) []partstest.Span) (found []partstest.Span) {
	t.Helper()
	defer func() {
		if t.Failed() {
			for _, s := range c.Spans() {
				t.Logf("%s %x under %x: %s %q", s.Trace(), s.SpanId, s.ParentSpanId, s.Service, s.Name)
			}
		}
	}()
	eventually(t, "all spans are at the collector", func() bool {
		found = look(c.Spans())
		for _, s := range found {
			if s.Span == nil {
				return false
			}
		}
		return true
	})
	return found
}

func find(all []partstest.Span, meets func(partstest.Span) bool) partstest.Span {
	for _, s := range all {
		if meets(s) {
			return s
		}
	}
	return partstest.Span{}
}

func parent(all []partstest.Span, of partstest.Span) partstest.Span {
	return find(all, func(s partstest.Span) bool { return of.Span != nil && string(s.SpanId) == string(of.ParentSpanId) })
}

func spanOf(s partstest.Span) string {
	if s.Span == nil {
		return "none"
	}
	return string(s.SpanId)
}
