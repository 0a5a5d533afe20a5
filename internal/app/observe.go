package app

import (
	"cmp"
	"errors"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/internal/telemetry"
	"github.com/weir-rls/weir/overrides"
	"github.com/weir-rls/weir/service"
)

// changed tells those who remember or wait that other rules are in force.
func (a *App) changed() {
	a.store.rulesChanged()
	a.room.Change()
}

// tellStart logs where this replica is to be found, and what it serves or lacks.
func (a *App) tellStart(listening []any) {
	domains, limits := 0, 0
	if rules := a.rules.Rules(); rules != nil {
		domains, limits = len(rules.Domains()), len(rules.Limits())
	}
	a.log.Info("listening", append(listening, "rules", cmp.Or(a.settings.RulesADS, a.settings.Rules), "domains", domains, "limits", limits)...)
	if why := a.notReady(); why != "" {
		a.log.Warn("not ready: health checks say so until it is", "reason", why)
	}
}

// reloaded is told of each reading of the rule files that found a change.
func (a *App) reloaded(r descriptors.Report) {
	a.changed()
	a.tell.reloaded(r)
	a.live.book.Refit()
	telemetry.LogReport(a.log, r)
	a.metrics.Reload(r.Faults.Count(descriptors.Error))
	a.serveWhenReady()
}

// setHealth answers health checks of the server as a whole, of its service by
// name, and by the name that envoyproxy/ratelimit has for it. After a drain has
// begun it does nothing.
func (a *App) setHealth(status healthpb.HealthCheckResponse_ServingStatus) {
	for _, service := range []string{"", rls.RateLimitService_ServiceDesc.ServiceName, "ratelimit"} {
		a.health.SetServingStatus(service, status)
	}
}

// serveWhenReady tells health checks that this replica serves, if it does.
func (a *App) serveWhenReady() {
	if !a.lacksRules() && !a.store.missing.Load() {
		a.setHealth(healthpb.HealthCheckResponse_SERVING)
	}
}

// lacksRules tells whether rules are waited for.
func (a *App) lacksRules() bool { return a.settings.WaitForRules && a.rules.Rules() == nil }

// notReady says why this replica should get no traffic, "" if it should.
func (a *App) notReady() string {
	switch {
	case a.draining.Load():
		return "draining"
	case a.lacksRules():
		return "no rules were ever loaded from " + cmp.Or(a.settings.RulesADS, a.settings.Rules)
	case a.store.missing.Load():
		return "the bucket store has not answered yet, and is waited for (--wait-for-store)"
	}
	return ""
}

func (a *App) observer() service.Observer {
	m := a.metrics
	return service.Observer{
		Request: func(r service.Result, took time.Duration, traceID string) {
			m.Request(r.String(), took, traceID)
			a.traffic.Called(resultOf(r), took)
		},
		Decision: func(l *descriptors.Limit, o service.Outcome, tokens int64, traceID string) {
			m.Decision(l, o.String(), tokens, traceID)
		},
		Detailed: func(l *descriptors.Limit, detail string, o service.Outcome, tokens int64) {
			m.Detailed(l, detail, o.String(), tokens)
		},

		Unmatched: m.Unmatched, BadOverrides: m.IgnoredOverrides, UnknownDomain: m.UnknownDomain, Excess: func(b service.Bound) { a.excess(b.String()) },
		Waited: a.waited, WrittenOff: m.WrittenOff, Receipt: func(r service.Receipt) { m.Receipt(r.String()) },

		Ended:   func(domain, pool string, status int) { a.live.capacity.Ended(domain, pool, int64(status)) },
		Limited: a.live.capacity.Refused, Met: a.met, Refusal: a.tell.refused, Breaker: a.breaker, Answer: a.decided.observe(),
	}
}

// applied is told that other changes than before are in force.
func (a *App) applied(live int, leftOut []error) {
	a.changed()
	misfits := map[string]bool{}
	for _, err := range leftOut {
		a.log.Warn("a change that is set is left out", "error", err.Error())
		if misfit, ok := errors.AsType[overrides.Misfit](err); ok {
			misfits[misfit.Entry.Key()] = true
		}
	}
	a.metrics.Changes(live-len(misfits), len(leftOut))
}

// resize gives the pools of this replica the sizes that are published.
func (a *App) resize(sizes map[descriptors.PoolID]int64) {
	a.rules.Resize(sizes)
	a.changed()
	a.metrics.PoolSizes(func(yield func([2]string, int64) bool) {
		for _, pool := range a.pools() {
			if size, set := sizes[pool.PoolID]; set && !yield([2]string{pool.Domain, pool.Name}, size) {
				return
			}
		}
	})
}

func (a *App) ledgerFailed(err error) {
	a.metrics.Ledger(err == nil)
	if err != nil {
		a.log.Error("the ledger of what is set does not answer; what is known stays in force", "error", err.Error())
		return
	}
	a.log.Info("the ledger of what is set answers again")
}

func (a *App) capacityFailed(part string, err error) {
	if err != nil {
		a.log.Warn("the sizes of pools cannot follow what they stand for", "part", part, "error", err.Error())
		return
	}
	a.log.Info("the sizes of pools follow again what they stand for", "part", part)
}
