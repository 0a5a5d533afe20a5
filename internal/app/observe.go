package app

import (
	"context"
	"log/slog"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/service"
)

// reloaded is told of each reading of the rule files that found a change.
func (a *App) reloaded(r descriptors.Report) {
	a.room.Change()
	for _, fault := range r.Faults {
		a.logFault(fault)
	}
	for _, d := range r.Domains {
		if d.State != descriptors.Unchanged {
			a.log.Info("rules of a domain "+d.State.String(), "domain", d.Name)
		}
	}
	a.metrics.Reload(r.Faults.Count(descriptors.Error))
	if a.rules.Rules() != nil {
		a.setHealth(healthpb.HealthCheckResponse_SERVING)
	}
}

func (a *App) logFault(f descriptors.Fault) {
	level, fields := slog.LevelWarn, []any{"file", f.File, "fault", f.Message}
	if f.Severity == descriptors.Error {
		level = slog.LevelError
	}
	if f.Line > 0 {
		fields = append(fields, "line", f.Line, "column", f.Column)
	}
	if f.Remedy != "" {
		fields = append(fields, "remedy", f.Remedy)
	}
	a.log.Log(context.Background(), level, "fault in a rule file", fields...)
}

// setHealth answers health checks of the server as a whole, of its service by
// name, and by the name that envoyproxy/ratelimit has for it. After a drain has
// begun it does nothing.
func (a *App) setHealth(status healthpb.HealthCheckResponse_ServingStatus) {
	for _, service := range []string{"", rls.RateLimitService_ServiceDesc.ServiceName, "ratelimit"} {
		a.health.SetServingStatus(service, status)
	}
}

// notReady says why this replica should get no traffic, "" if it should.
func (a *App) notReady() string {
	switch {
	case a.draining.Load():
		return "draining"
	case a.rules.Rules() == nil:
		return "no rules were ever loaded from " + a.settings.Rules
	}
	return ""
}

func (a *App) observer() service.Observer {
	m := a.metrics
	return service.Observer{
		Request: func(r service.Result, took time.Duration) { m.Request(r.String(), took) },
		Decision: func(domain, limit string, o service.Outcome, tokens int64) {
			m.Decision(domain, limit, o.String(), tokens)
		},

		Unmatched: m.Unmatched, BadOverrides: m.IgnoredOverrides, UnknownDomain: m.UnknownDomain, Excess: m.Excess,
		Waited: m.Waited, WrittenOff: m.WrittenOff, Receipt: func(r service.Receipt) { m.Receipt(r.String()) },
	}
}
