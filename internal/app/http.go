package app

import (
	"context"
	stdlog "log"
	"log/slog"
	"net/http"
	"time"

	"github.com/weir-rls/weir/admin"
	"github.com/weir-rls/weir/admin/dashboard"
	"github.com/weir-rls/weir/descriptors"
)

// newHTTPServer serves pages, and bounds how long a client may take for a header, a
// request and an answer, and how long the header may be. A caller of the API who waits
// for tokens has its time-outs extended by the API itself.
func newHTTPServer(pages http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: pages, ErrorLog: stdlog.New(&serverErrors{log: log}, "", 0),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes:               64 << 10,
		DisableGeneralOptionsHandler: true, // it would answer OPTIONS * past the pages
	}
}

// pages are all that the HTTP port serves.
func (a *App) pages() (*admin.Pages, error) {
	guard, err := a.guard()
	if err != nil {
		return nil, err
	}
	pages := admin.New(guard)
	pages.AddHealth(a.notReady)
	pages.Add(admin.Everyone, http.MethodGet, "/metrics", "Prometheus metrics", a.metrics.Handler())
	admin.API{
		Rules: a.rules, Book: a.live.book, Buckets: a.live.buckets, Capacity: a.live.capacity, Traffic: a.traffic, Events: a.tell.feed,
		Levels: func(ctx context.Context, r descriptors.Request) (any, error) { return a.judge.Levels(ctx, r) },
		Reset:  a.judge.Reset, Ask: a.judge.AskJSON, Explain: a.judge.ExplainJSON,
	}.Add(pages)
	dashboard.Add(pages, a.dashboard())
	return pages, nil
}
