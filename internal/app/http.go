package app

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/weir-rls/weir/admin"
	"github.com/weir-rls/weir/descriptors"
)

// newHTTPServer serves the pages. A caller of the API who waits for tokens has
// its time-outs extended by the API itself.
func (a *App) newHTTPServer() *http.Server {
	return &http.Server{
		Handler: a.pages(), ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute,
	}
}

func (a *App) pages() http.Handler {
	pages := admin.New()
	pages.AddHealth(a.notReady)
	pages.Add("/metrics", "Prometheus metrics", a.metrics.Handler())
	admin.API{
		Guard: admin.Guard{Token: a.settings.AdminToken.Reveal(), Certificates: a.settings.HTTPClientCA != ""},
		Rules: a.rules, Book: a.live.book, Buckets: a.live.buckets, Capacity: a.live.capacity,
		Levels: func(ctx context.Context, r descriptors.Request) (any, error) { return a.judge.Levels(ctx, r) },
		Reset:  a.judge.Reset, Ask: a.judge.AskJSON,
	}.Add(pages)
	return pages
}
