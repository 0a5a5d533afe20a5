package telemetry

import (
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/weir-rls/weir/buckets"
)

// Attributes of spans. No value of a descriptor is among them, and of texts only those of
// the rules.
const (
	attrDomain      = "weir.domain"
	attrVerdict     = "weir.verdict"
	attrReason      = "weir.reason"
	attrLimit       = "weir.limit"
	attrLimits      = "weir.limits"
	attrDescriptors = "weir.descriptors"
	attrDegraded    = "weir.degraded"
	attrStore       = "weir.store.kind"
	attrKeys        = "weir.store.keys"
	attrBatched     = "weir.store.batched"
	attrRequests    = "weir.store.requests"
	attrCalls       = "weir.store.calls"
	attrScript      = "weir.store.script"
)

// mostStoreSpans bounds the calls to the store of which one request makes spans: one that
// waits in a line asks again whenever something is given back.
const mostStoreSpans = 16

// mostLinks bounds the requests that the span of a batch links to.
const mostLinks = 64

// RequestSpan is a call that is traced.
type RequestSpan struct {
	tracing *Tracing
	span    trace.Span // the server's, which gRPC's handler ends
	ctx     context.Context
	stores  atomic.Int32
}

type requestKey struct{}

// Request is the span of a call that gRPC's handler began, nil if it is not sampled. With
// the context the call goes on.
func (t *Tracing) Request(ctx context.Context) (context.Context, *RequestSpan) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() || !span.SpanContext().IsSampled() {
		return ctx, nil
	}
	r := &RequestSpan{tracing: t, span: span, ctx: ctx}
	return context.WithValue(ctx, requestKey{}, r), r
}

// ID is that of the trace, in hexadecimal.
func (r *RequestSpan) ID() string { return r.span.SpanContext().TraceID().String() }

// TraceOf is the id of the sampled trace that a call belongs to, "" if it belongs to none.
func TraceOf(ctx context.Context) string {
	if r, ok := ctx.Value(requestKey{}).(*RequestSpan); ok {
		return r.ID()
	}
	return ""
}

// Waited tells that the request was held for its tokens from then until now.
func (r *RequestSpan) Waited(since time.Time) {
	_, span := r.tracing.tracer.Start(r.ctx, "weir.wait", trace.WithTimestamp(since))
	span.End()
}

// Decided is what a span says of an answer. Texts that are empty are left out.
type Decided struct {
	Domain, Verdict, Reason, Limit, Degraded string
	Descriptors, Limits                      int
}

// Decided tells what became of the call.
func (r *RequestSpan) Decided(d Decided) {
	attributes := []attribute.KeyValue{
		attribute.String(attrVerdict, d.Verdict), attribute.Int(attrDescriptors, d.Descriptors), attribute.Int(attrLimits, d.Limits),
	}
	for _, text := range [...]struct{ key, value string }{
		{attrDomain, d.Domain}, {attrReason, d.Reason}, {attrLimit, d.Limit}, {attrDegraded, d.Degraded},
	} {
		if text.value != "" {
			attributes = append(attributes, attribute.String(text.key, text.value))
		}
	}
	r.span.SetAttributes(attributes...)
}

// Store makes spans of the calls to a store, of those requests that are traced.
func (t *Tracing) Store(kind string, store ForgettingStore) ForgettingStore {
	return &tracedStore{ForgettingStore: store, kind: kind}
}

// ForgettingStore is what weir needs of a store.
type ForgettingStore interface {
	buckets.Store
	buckets.Forgetter
}

type tracedStore struct {
	ForgettingStore
	kind string
}

// storeSpan implements [buckets.Trace].
type storeSpan struct {
	span    trace.Span
	tracing *Tracing
}

type storeKey struct{}

// Take implements [buckets.Store].
func (s *tracedStore) Take(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
	r, _ := ctx.Value(requestKey{}).(*RequestSpan)
	if r == nil || r.stores.Add(1) > mostStoreSpans {
		return s.ForgettingStore.Take(ctx, charges)
	}
	_, span := r.tracing.tracer.Start(r.ctx, "weir.store.take", trace.WithAttributes(attribute.String(attrStore, s.kind), attribute.Int(attrKeys, len(charges))))
	outcomes, err := s.ForgettingStore.Take(context.WithValue(ctx, storeKey{}, storeSpan{span, r.tracing}), charges)
	if err != nil {
		r.tracing.fail(span, err)
	}
	for i := range outcomes {
		if outcomes[i].Alone || outcomes[i].Blind {
			span.SetAttributes(attribute.Bool(attrDegraded, true))
			break
		}
	}
	span.End()
	return outcomes, err
}

// StoreCall is what follows the call of a context, nil if nothing does.
func (*Tracing) StoreCall(ctx context.Context) buckets.Trace {
	if s, ok := ctx.Value(storeKey{}).(storeSpan); ok {
		return s
	}
	return nil
}

// Failed implements [buckets.Trace].
func (s storeSpan) Failed(err error) { s.tracing.fail(s.span, err) }

// fail says of a span that it failed. The text of an error can name a key of a bucket, with
// what a client sent in it, so that its kind must do.
func (t *Tracing) fail(span trace.Span, err error) { span.SetStatus(codes.Error, t.kind(err)) }

// Rider is a call to the store that travels in a batch.
type Rider struct {
	Trace  buckets.Trace
	Script string
}

// Batch makes a span of what several requests share, linked to each of them: it is part of
// no one's trace. What it answers ends it.
func (t *Tracing) Batch(requests, keys, calls int, riders []Rider) (landed func()) {
	links := make([]trace.Link, 0, min(len(riders), mostLinks))
	for _, rider := range riders {
		s, ok := rider.Trace.(storeSpan)
		if !ok {
			continue
		}
		s.span.SetAttributes(attribute.Bool(attrBatched, requests > 1), attribute.String(attrScript, rider.Script))
		if len(links) < mostLinks {
			links = append(links, trace.Link{SpanContext: s.span.SpanContext()})
		}
	}
	if requests == 1 {
		return nil
	}
	_, span := t.batches.Start(context.Background(), "weir.store.batch", trace.WithSpanKind(trace.SpanKindClient), trace.WithLinks(links...),
		trace.WithAttributes(attribute.Int(attrRequests, requests), attribute.Int(attrKeys, keys), attribute.Int(attrCalls, calls)))
	for _, rider := range riders {
		if s, ok := rider.Trace.(storeSpan); ok {
			s.span.AddLink(trace.Link{SpanContext: span.SpanContext()})
		}
	}
	return func() { span.End() }
}
