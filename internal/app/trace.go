package app

import (
	"context"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"

	"github.com/weir-rls/weir/buckets/redis"
	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/internal/telemetry"
	"github.com/weir-rls/weir/service"
)

// newTracing is nil if the settings want no traces.
func (a *App) newTracing(s config.Settings, version string) (*telemetry.Tracing, error) {
	if s.Tracing == config.TracingOff || s.Tracing == "" {
		return nil, nil
	}
	return telemetry.NewTracing(telemetry.TracingOptions{
		HTTP: s.Tracing == config.TracingHTTP, Sample: s.TracingSample, Version: version, Log: a.log, Metrics: a.metrics, Kind: kindOf,
	})
}

// traced are the options of a gRPC server that traces what Envoy asks, if it is to.
func (a *App) traced() []grpc.ServerOption {
	if a.tracing == nil {
		return nil
	}
	return []grpc.ServerOption{grpc.StatsHandler(a.tracing.GRPC(rls.RateLimitService_ServiceDesc.ServiceName))}
}

// trace is how the service has its calls followed, nil if it is not to.
func (a *App) trace() func(context.Context) (context.Context, service.Trace) {
	if a.tracing == nil {
		return nil
	}
	return func(ctx context.Context) (context.Context, service.Trace) {
		ctx, span := a.tracing.Request(ctx)
		if span == nil {
			return ctx, nil
		}
		return ctx, tracedCall{span}
	}
}

// tracedCall follows one call.
type tracedCall struct{ *telemetry.RequestSpan }

// Answered implements [service.Trace].
func (c tracedCall) Answered(a service.Answer) {
	d := telemetry.Decided{
		Verdict: a.Result.String(), Reason: a.Reason(), Limit: a.Limit(), Degraded: a.Degraded(), Descriptors: a.Descriptors(), Limits: a.Limits(),
	}
	if domain, known := a.Domain(); known {
		d.Domain = domain
	}
	c.Decided(d)
}

// flights is how the store in Redis has its batches followed, nil if it is not to.
func flights(t *telemetry.Tracing) func(redis.Flight) func() {
	if t == nil {
		return nil
	}
	return func(f redis.Flight) func() {
		riders := make([]telemetry.Rider, len(f.Riders))
		for i, r := range f.Riders {
			riders[i] = telemetry.Rider(r)
		}
		return t.Batch(f.Requests, f.Charges, f.Calls, riders)
	}
}
