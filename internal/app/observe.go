package app

import (
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/service"
)

// reloaded is told of each reading of the rule files.
func (a *App) reloaded(r descriptors.Report) {
	a.metrics.Reload(len(r.Faults.Errors()))
	for _, fault := range r.Faults {
		level := a.log.Warn
		if fault.Severity == descriptors.Error {
			level = a.log.Error
		}
		level("fault in a rule file", "file", fault.File, "line", fault.Line, "column", fault.Column, "fault", fault.Message, "remedy", fault.Remedy)
	}
	a.log.Info("rules read", "loaded", r.Loaded, "kept", r.Kept, "removed", r.Removed)
	if a.rules.Rules() != nil {
		a.health.SetServingStatus("", healthpb.HealthCheckResponse_SERVING)
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
		Request:  func(r service.Result, took time.Duration) { m.Request(r.String(), took) },
		Decision: func(domain, limit string, o service.Outcome) { m.Decision(domain, limit, o.String()) },

		Unmatched: m.Unmatched, BadOverrides: m.IgnoredOverrides, UnknownDomain: m.UnknownDomain, Excess: m.Excess,
	}
}
