package partstest

import (
	"context"
	"encoding/hex"
	"net"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
)

// Collector receives traces by OTLP over gRPC.
type Collector struct {
	collector.UnimplementedTraceServiceServer
	Addr string // host:port

	mu    sync.Mutex
	spans []Span
}

// Span is one that a [Collector] got.
type Span struct {
	*otlp.Span
	Service string // that made it

	about []*common.KeyValue // the service
}

// NewCollector starts a collector, which ends with the test.
func NewCollector(t testing.TB) *Collector {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	c := &Collector{Addr: listener.Addr().String()}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, c)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		server.Stop()
		<-ended
	})
	return c
}

// Export implements [collector.TraceServiceServer].
func (c *Collector) Export(_ context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range r.ResourceSpans {
		service := attribute(of.GetResource().GetAttributes(), "service.name").GetStringValue()
		for _, scope := range of.ScopeSpans {
			for _, s := range scope.Spans {
				c.spans = append(c.spans, Span{s, service, of.GetResource().GetAttributes()})
			}
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

// Spans are those that came so far.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Span(nil), c.spans...)
}

// Trace is the id of a span's trace in hexadecimal.
func (s Span) Trace() string { return hex.EncodeToString(s.TraceId) }

// Attribute is the value of an attribute, nil if the span has none of the name.
func (s Span) Attribute(name string) *common.AnyValue { return attribute(s.Attributes, name) }

// Resource is the value of an attribute of the service that made the span, empty if it has
// none of the name.
func (s Span) Resource(name string) string { return attribute(s.about, name).GetStringValue() }

func attribute(all []*common.KeyValue, name string) *common.AnyValue {
	for _, a := range all {
		if a.Key == name {
			return a.Value
		}
	}
	return nil
}
