package app

import (
	"context"
	"net"

	"github.com/weir-rls/weir/admin/dashboard"
	"github.com/weir-rls/weir/descriptors"
)

// dashboardURL is where a browser on this machine finds the pages for people.
func (a *App) dashboardURL() string {
	scheme := "http"
	if a.settings.HTTPCert != "" {
		scheme = "https"
	}
	host, port, _ := net.SplitHostPort(a.HTTPAddr()) // a listener's address has both
	if ip := net.ParseIP(host); ip.IsUnspecified() {
		host = "localhost"
	}
	return scheme + "://" + net.JoinHostPort(host, port) + "/dashboard"
}

// dashboard is what the pages for people show.
func (a *App) dashboard() dashboard.Options {
	return dashboard.Options{
		Rules: a.rules, Book: a.live.book, Capacity: a.live.capacity, Traffic: a.traffic, Version: a.version, Status: a.status, Explain: a.judge.ExplainJSON,
		Levels: func(ctx context.Context, r descriptors.Request) (levels []dashboard.Level, err error) {
			all, err := a.judge.Levels(ctx, r)
			for _, l := range all {
				levels = append(levels, dashboard.Level{Limit: l.Limit, Capacity: l.Capacity, Used: l.Used})
			}
			return levels, err
		},
		Shares: func(ctx context.Context) (shares []dashboard.Share, err error) {
			all, err := a.judge.Shares(ctx)
			for _, s := range all {
				shares = append(shares, dashboard.Share(s))
			}
			return shares, err
		},
	}
}

func (a *App) status() dashboard.Status {
	s := dashboard.Status{Store: a.settings.Store, NotReady: a.notReady()}
	if a.store.beats != nil {
		s.Shared, s.Replicas = true, a.store.beats.Count(a.store.beats.now())
	}
	return s
}
