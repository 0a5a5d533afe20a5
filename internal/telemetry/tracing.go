package telemetry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc/filters"
	"go.opentelemetry.io/contrib/propagators/b3"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/stats"
)

// TracingOptions are how spans are made and where they go. All but what the spans say of
// their service are required.
type TracingOptions struct {
	Service   string // "weir" unless given
	Namespace string // of services
	Instance  string // of the service

	HTTP    bool    // OTLP over HTTP, else over gRPC
	Sample  float64 // of the calls that no trace context came with, the share that is traced: 0 to 1
	Version string
	Log     *slog.Logger
	Metrics *Metrics
	Kind    func(error) string // what a span says of an error of the store: one of a few words
}

// Tracing makes spans and sends them to a collector. Nobody waits for it: of spans that
// cannot be sent in time a few are kept, and the rest is dropped and counted.
type Tracing struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	batches  trace.Tracer // of spans that are nobody's child, and made where one of their requests is sampled
	kind     func(error) string
	carriers propagation.TextMapPropagator
}

// NewTracing returns a tracing whose collector the standard environment variables name,
// OTEL_EXPORTER_OTLP_ENDPOINT and so on. It does not connect, the first spans do.
func NewTracing(o TracingOptions) (*Tracing, error) {
	stated, err := checkEndpoints()
	if err != nil {
		return nil, err
	}
	exporter, err := otlptrace.New(context.Background(), client(o.HTTP, stated))
	if err != nil {
		return nil, fmt.Errorf("open the exporter of traces: %w", err)
	}
	about, err := resource.New(context.Background(),
		resource.WithAttributes(o.service()...),
		resource.WithHost(), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) && !errors.Is(err, resource.ErrSchemaURLConflict) {
		return nil, fmt.Errorf("read OTEL_RESOURCE_ATTRIBUTES, of the form key=value,key=value: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { o.Log.Debug("tracing", "error", err.Error()) }))
	return newTracing(exporter, about, o), nil
}

func (o TracingOptions) protocol() string {
	if o.HTTP {
		return "HTTP"
	}
	return "gRPC"
}

func (o TracingOptions) service() []attribute.KeyValue {
	about := []attribute.KeyValue{attribute.String("service.name", cmp.Or(o.Service, "weir")), attribute.String("service.version", o.Version)}
	if o.Namespace != "" {
		about = append(about, attribute.String("service.namespace", o.Namespace))
	}
	if o.Instance != "" {
		about = append(about, attribute.String("service.instance.id", o.Instance))
	}
	return about
}

func newTracing(exporter sdktrace.SpanExporter, about *resource.Resource, o TracingOptions) *Tracing {
	queue := newSpanQueue(exporter, o)
	provider := func(s sdktrace.Sampler) *sdktrace.TracerProvider {
		return sdktrace.NewTracerProvider(sdktrace.WithResource(about), sdktrace.WithSampler(s), sdktrace.WithSpanProcessor(queue))
	}
	t := &Tracing{
		provider: provider(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(o.Sample))),
		kind:     o.Kind,
		// The last one that is there counts.
		carriers: propagation.NewCompositeTextMapPropagator(b3.New(), propagation.TraceContext{}),
	}
	const name = "github.com/weir-rls/weir"
	t.tracer, t.batches = t.provider.Tracer(name), provider(sdktrace.AlwaysSample()).Tracer(name)
	return t
}

// client is one of the collector that the environment states, or else of this machine's,
// which the exporters would ask by TLS.
func client(http, stated bool) otlptrace.Client {
	switch {
	case http && stated:
		return otlptracehttp.NewClient()
	case http:
		return otlptracehttp.NewClient(otlptracehttp.WithEndpointURL("http://localhost:4318/v1/traces"))
	case stated:
		return otlptracegrpc.NewClient()
	}
	return otlptracegrpc.NewClient(otlptracegrpc.WithEndpointURL("http://localhost:4317"))
}

// checkEndpoints tells whether the environment states a collector, and of an address that
// the exporters would leave aside.
func checkEndpoints() (stated bool, err error) {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
		text := os.Getenv(name)
		if text == "" {
			continue
		}
		stated = true
		if u, err := url.Parse(text); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return stated, fmt.Errorf("%s is not the URL of a collector: write http://HOST:4317 for gRPC, http://HOST:4318 for HTTP, or https://", name)
		}
	}
	return stated, nil
}

// farewell is how long spans that are left may take when weir stops.
const farewell = 2 * time.Second

// End sends the spans that are left, for two seconds at most, and logs if it could not. It
// does nothing where there are no traces.
func (t *Tracing) End(log *slog.Logger) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		log.Warn("the last traces could not be sent", "error", err.Error())
	}
}

// GRPC makes a span of each call of a service, given by its full name, and of no other: the
// names of methods that are none are a client's text.
func (t *Tracing) GRPC(service string) stats.Handler {
	return otelgrpc.NewServerHandler(
		otelgrpc.WithTracerProvider(t.provider), otelgrpc.WithMeterProvider(noop.NewMeterProvider()),
		otelgrpc.WithPropagators(t.carriers), otelgrpc.WithFilter(filters.ServiceName(service)),
	)
}

// spanQueue bounds the spans that wait to be sent, and counts those that are not. The
// library's own queue drops what does not fit, and tells nobody.
type spanQueue struct {
	sdktrace.SpanProcessor
	metrics *Metrics
	waiting *atomic.Int64
}

// mostSpans is how many spans wait to be sent, at most. Each is 1 kB, or some more.
const mostSpans = 4096

func newSpanQueue(exporter sdktrace.SpanExporter, o TracingOptions) spanQueue {
	waiting := &atomic.Int64{}
	watched := &watchedExporter{SpanExporter: exporter, waiting: waiting, options: o}
	return spanQueue{sdktrace.NewBatchSpanProcessor(watched, sdktrace.WithMaxQueueSize(mostSpans)), o.Metrics, waiting}
}

// OnEnd implements [sdktrace.SpanProcessor].
func (q spanQueue) OnEnd(s sdktrace.ReadOnlySpan) {
	switch {
	case !s.SpanContext().IsSampled():
	case q.waiting.Add(1) > mostSpans:
		q.waiting.Add(-1)
		q.metrics.Spans("dropped", 1)
	default:
		q.SpanProcessor.OnEnd(s)
	}
}

// watchedExporter counts what is sent, and logs when that begins to fail and when it works
// again.
type watchedExporter struct {
	sdktrace.SpanExporter
	waiting *atomic.Int64
	options TracingOptions
	failing atomic.Bool
}

// ExportSpans implements [sdktrace.SpanExporter]. It never fails: what became of the spans
// is told here.
func (e *watchedExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	ctx, cancel := context.WithTimeout(ctx, longestExport)
	defer cancel()
	err := e.SpanExporter.ExportSpans(ctx, spans)
	e.waiting.Add(-int64(len(spans)))
	if err != nil {
		e.options.Metrics.Spans("failed", len(spans))
		if !e.failing.Swap(true) {
			e.options.Log.Warn("traces cannot be sent; those that do not fit the queue are dropped", "error", err.Error(),
				"remedy", "check OTEL_EXPORTER_OTLP_ENDPOINT, and that a collector listens there for OTLP over "+e.options.protocol())
		}
		return nil
	}
	e.options.Metrics.Spans("sent", len(spans))
	if e.failing.Swap(false) {
		e.options.Log.Info("traces are sent again")
	}
	return nil
}

// longestExport bounds one call of the collector with all that is tried again, so that it
// is told of within the minute.
const longestExport = 15 * time.Second
