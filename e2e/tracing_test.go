package e2e

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

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

// tracedEnvoy is the Envoy of the tests with what the page on traces adds to one, and every
// request sampled.
func tracedEnvoy(t *testing.T, upstream, weir, collector string) []byte {
	t.Helper()
	docs := readDocumented(t, "../docs/how-to/observe.md")
	var root map[string]any
	if err := yaml.Unmarshal(read(t, "testdata/envoy.yaml"), &root); err != nil {
		t.Fatal(err)
	}
	resources := root["static_resources"].(map[string]any)
	resources["clusters"] = append(resources["clusters"].([]any), docs.part(t, "collector.yaml"))
	first := func(of any, list string) map[string]any { return of.(map[string]any)[list].([]any)[0].(map[string]any) }
	manager := first(first(first(resources, "listeners"), "filter_chains"), "filters")["typed_config"].(map[string]any)
	tracing := docs.part(t, "tracing.yaml").(map[string]any)
	tracing["random_sampling"] = map[string]any{"value": 100}
	manager["tracing"] = tracing
	text, err := yaml.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	text, err = parts.Readdress(text, parts.Addresses{Clusters: map[string][]string{"upstream": {upstream}, "weir": {weir}, "collector": {collector}}})
	if err != nil {
		t.Fatal(err)
	}
	return text
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
