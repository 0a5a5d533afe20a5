package app

import (
	"time"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/service"
	"github.com/weir-rls/weir/traffic"
)

// newTraffic follows what happens on this replica, for those who look.
func (a *App) newTraffic() *traffic.Traffic {
	return traffic.New(traffic.Options{
		Rules: a.rules.Rules, Counted: a.metrics.Counted,
		Waiting: func() int { return a.room.Waiting() },
		StoreUp: func() bool { return a.store.guard == nil || !a.store.guard.Open() },
	})
}

func resultOf(r service.Result) traffic.Result {
	switch r {
	case service.ResultOK:
		return traffic.ResultAdmitted
	case service.ResultOverLimit:
		return traffic.ResultRefused
	}
	return traffic.ResultError
}

func (a *App) waited(took time.Duration) {
	a.metrics.Waited(took)
	a.traffic.Waited()
}

// met tells which of a limit's keys was used. What is given back is none of its uses.
func (a *App) met(l *descriptors.Limit, key string, o service.Outcome, tokens int64) {
	use := traffic.Passed
	switch o {
	case service.Refunded:
		return
	case service.Settled:
		use = traffic.Settled
	case service.Denied, service.QuotaDenied, service.ShadowDenied:
		use = traffic.Refused
	}
	a.traffic.Met(l, key, use, tokens)
}
