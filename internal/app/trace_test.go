package app_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc/metadata"

	"github.com/weir-rls/weir/internal/app"
	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanID  = "00f067aa0ba902b7"
	patient = 30 * time.Second // of tests on a busy machine
)

// sampled is the context of a caller whose trace is sampled.
func sampled(t *testing.T) context.Context {
	return metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-"+traceID+"-"+spanID+"-01")
}

// tracing has a replica send its traces to a collector.
func tracing(t *testing.T, addr string, more func(*config.Settings)) func(*config.Settings) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+addr)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
	return func(s *config.Settings) {
		s.Tracing = config.TracingGRPC
		if more != nil {
			more(s)
		}
	}
}

// awaitSpan waits for a span of a name that meets what is asked.
func awaitSpan(t *testing.T, c *partstest.Collector, name string, meets func(partstest.Span) bool) partstest.Span {
	t.Helper()
	var found partstest.Span
	partstest.Eventually(t, patient, "there is a span "+name, func() bool {
		all := c.Spans()
		i := slices.IndexFunc(all, func(s partstest.Span) bool { return s.Name == name && (meets == nil || meets(s)) })
		if i >= 0 {
			found = all[i]
		}
		return i >= 0
	})
	return found
}

const serverSpan = "envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"

// Envoy sends its context as W3C's traceparent, or as b3 if its tracer is Zipkin's. Whoever
// reads the trace learns what decided, and nothing of what the client sent.
func TestTraces_GoOnWhereEnvoysEnded(t *testing.T) {
	for form, headers := range map[string][]string{
		"tracecontext": {"traceparent", "00-" + traceID + "-" + spanID + "-01"},
		"b3 single":    {"b3", traceID + "-" + spanID + "-1"},
		"b3 multi":     {"x-b3-traceid", traceID, "x-b3-spanid", spanID, "x-b3-sampled", "1"},
	} {
		t.Run(form, func(t *testing.T) {
			c := partstest.NewCollector(t)
			r := start(t, oneRule, tracing(t, c.Addr, nil))
			for range 3 {
				if _, err := r.callWith(metadata.AppendToOutgoingContext(t.Context(), headers...), wire("d", "user", "a secret value")); err != nil {
					t.Fatal(err)
				}
			}
			refused := awaitSpan(t, c, serverSpan, func(s partstest.Span) bool { return s.Attribute("weir.verdict").GetStringValue() == "over_limit" })
			if refused.Trace() != traceID || refused.Service != "weir" || refused.Attribute("weir.limit").GetStringValue() != "per-user" || refused.Attribute("weir.domain").GetStringValue() != "d" {
				t.Errorf("%s of %s: %v", refused.Trace(), refused.Service, refused.Span)
			}
			store := awaitSpan(t, c, "weir.store.take", func(s partstest.Span) bool { return string(s.ParentSpanId) == string(refused.SpanId) })
			if store.Trace() != traceID || store.Attribute("weir.store.kind").GetStringValue() != "memory" || store.Attribute("weir.store.keys").GetIntValue() != 1 {
				t.Errorf("the store's span: %v", store.Span)
			}
			for _, s := range c.Spans() {
				if strings.Contains(s.String(), "secret") {
					t.Errorf("a client's value in %v", s.Span)
				}
			}
		})
	}
}

// Requests that share a script call are linked to it, each in its own trace.
func TestTraces_ABatchIsLinkedToWhatItCarries(t *testing.T) {
	c := partstest.NewCollector(t)
	slow := partstest.Way(t, partstest.Redis(t, parts.RedisServer).Addr)
	r := start(t, "domain: d\ndescriptors: [{key: user, limits: [{name: per-user, rate: 1000/s}]}]", tracing(t, c.Addr, func(s *config.Settings) {
		s.Store, s.RedisURL, s.StoreTimeout, s.TracingSample = config.StoreRedis, config.RedisURL("redis://"+slow.Addr), 5*time.Second, 1
	}))
	slow.Delay(20 * time.Millisecond)
	partstest.Eventually(t, patient, "requests share a call", func() bool {
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				if _, err := r.call(wire("d", "user", string(rune('a'+i)))); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		return slices.ContainsFunc(c.Spans(), func(s partstest.Span) bool { return s.Name == "weir.store.batch" })
	})
	batch := awaitSpan(t, c, "weir.store.batch", nil)
	if len(batch.ParentSpanId) > 0 || len(batch.Links) < 2 || batch.Attribute("weir.store.requests").GetIntValue() < 2 {
		t.Fatalf("%v", batch.Span)
	}
	link := batch.Links[0]
	take := awaitSpan(t, c, "weir.store.take", func(s partstest.Span) bool { return string(s.SpanId) == string(link.SpanId) })
	if string(take.TraceId) == string(batch.TraceId) || len(take.Links) != 1 || string(take.Links[0].SpanId) != string(batch.SpanId) ||
		!take.Attribute("weir.store.batched").GetBoolValue() || take.Attribute("weir.store.script").GetStringValue() != "tokens" {
		t.Errorf("%v", take.Span)
	}
}

// A store that fails is seen in the trace, by a word: the text of an error can name a key.
func TestTraces_TellThatTheStoreFailed(t *testing.T) {
	c := partstest.NewCollector(t)
	way := partstest.Way(t, partstest.Redis(t, parts.RedisServer).Addr)
	r := start(t, oneRule, tracing(t, c.Addr, func(s *config.Settings) {
		s.Store, s.RedisURL, s.StoreTimeout = config.StoreRedis, config.RedisURL("redis://"+way.Addr), 100*time.Millisecond
	}))
	way.Swallow(true)
	if _, err := r.callWith(sampled(t), wire("d", "user", "u")); err != nil {
		t.Fatal(err)
	}
	take := awaitSpan(t, c, "weir.store.take", nil)
	if take.Status.GetMessage() != "timeout" || !take.Attribute("weir.degraded").GetBoolValue() {
		t.Errorf("%v", take.Span)
	}
	server := awaitSpan(t, c, serverSpan, nil)
	if server.Attribute("weir.degraded").GetStringValue() != "local" {
		t.Errorf("%v", server.Span)
	}
}

func TestTraces_ShowHowLongARequestWaited(t *testing.T) {
	c := partstest.NewCollector(t)
	r := start(t, "domain: d\ndescriptors: [{key: queue, limits: [{rate: 5/s, burst: 1, max_wait: 30s}]}]", tracing(t, c.Addr, nil))
	for range 2 {
		if answer, err := r.callWith(sampled(t), wire("d", "queue", "q")); err != nil || answer.OverallCode != rls.RateLimitResponse_OK {
			t.Fatal(answer, err)
		}
	}
	wait := awaitSpan(t, c, "weir.wait", nil)
	server := awaitSpan(t, c, serverSpan, func(s partstest.Span) bool { return string(s.SpanId) == string(wait.ParentSpanId) })
	if took := wait.EndTimeUnixNano - wait.StartTimeUnixNano; wait.StartTimeUnixNano < server.StartTimeUnixNano || took < uint64(50*time.Millisecond) {
		t.Errorf("it waited %v", time.Duration(took))
	}
}

// A collector that is away holds nobody up, and its spans neither grow without bound nor
// flood the log.
func TestTraces_ACollectorThatIsAwayCostsNothingButItsSpans(t *testing.T) {
	addr, err := parts.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "200")
	r := start(t, "domain: d\ndescriptors: [{key: user, limits: [{rate: 1000000/s}]}]", tracing(t, addr, func(s *config.Settings) { s.TracingSample = 1 }))
	lost := func(result string) float64 { return r.metric(`weir_trace_spans_total{result="` + result + `"}`) }
	partstest.Eventually(t, 2*patient, "spans are dropped", func() bool {
		for range 500 {
			if _, err := r.call(wire("d", "user", "u")); err != nil {
				t.Fatal(err)
			}
		}
		return lost("dropped") > 0 || lost("failed") > 5000
	})
	partstest.Eventually(t, patient, "the failure is counted", func() bool { return lost("failed") > 0 })
	if told := strings.Count(r.log.String(), "traces cannot be sent"); told != 1 {
		t.Errorf("the log tells it %d times", told)
	}
}

// A latency leads to a trace of it: where a scraper asks for OpenMetrics.
func TestExemplars_AreThoseOfSampledRequests(t *testing.T) {
	c := partstest.NewCollector(t)
	r := start(t, oneRule, tracing(t, c.Addr, func(s *config.Settings) {
		s.Store, s.RedisURL, s.StoreTimeout = config.StoreRedis, config.RedisURL("redis://"+partstest.Redis(t, parts.RedisServer).Addr), 5*time.Second
	}))
	if _, err := r.callWith(metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-"+strings.Repeat("a", 32)+"-"+spanID+"-00"), wire("d", "user", "u")); err != nil {
		t.Fatal(err)
	}
	if page := r.openMetrics(); strings.Contains(page, "trace_id") {
		t.Error("an exemplar of a request that is not sampled")
	}
	if _, err := r.callWith(sampled(t), wire("d", "user", "u")); err != nil {
		t.Fatal(err)
	}
	page := r.openMetrics()
	for _, want := range []string{
		`(?m)^weir_request_duration_seconds_bucket\{result="ok",le="[^"]+"\} \d+ # \{trace_id="` + traceID + `"\} `,
		`(?m)^weir_store_duration_seconds_bucket\{result="ok",le="[^"]+"\} \d+ # \{trace_id="` + traceID + `"\} `,
		`(?m)^weir_decisions_total\{domain="d",limit="per-user",outcome="allowed"\} \S+ # \{trace_id="` + traceID + `"\} `,
	} {
		if !regexp.MustCompile(want).MatchString(page) {
			t.Errorf("no %s in\n%s", want, page)
		}
	}
	if _, plain := r.get("/metrics"); strings.Contains(plain, "trace_id") {
		t.Error("Prometheus' own text format has no exemplars")
	}
}

// openMetrics is /metrics as Prometheus scrapes it.
func (r *replica) openMetrics() string {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "http://"+r.HTTPAddr()+"/metrics", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Accept", "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5")
	return r.page(request)
}

// A collector's address that cannot be one is told at the start, with the variable's name: the
// library would leave it aside and send to another place.
func TestTraces_AWrongCollectorIsToldAtTheStart(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4317")
	rules := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(rules, []byte(oneRule), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := app.New(config.Settings{Rules: rules, Store: config.StoreMemory, MemoryMaxBuckets: 1, Tracing: config.TracingGRPC},
		app.Options{Log: slog.New(slog.DiscardHandler), Version: "test"})
	if err == nil || !strings.Contains(err.Error(), "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") || !strings.Contains(err.Error(), "http://HOST:4317") {
		t.Errorf("%v", err)
	}
}

// OTLP over HTTP goes to the path that the standard names.
func TestTraces_GoOverHTTPToo(t *testing.T) {
	paths := make(chan string, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths <- r.Method + " " + r.URL.Path
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	defer receiver.Close()
	r := start(t, oneRule, tracing(t, strings.TrimPrefix(receiver.URL, "http://"), func(s *config.Settings) { s.Tracing = config.TracingHTTP }))
	if _, err := r.callWith(sampled(t), wire("d", "user", "u")); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-paths:
		if got != "POST /v1/traces" {
			t.Error(got)
		}
	case <-time.After(patient):
		t.Error("nothing came")
	}
}
