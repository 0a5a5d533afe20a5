package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/weir-rls/weir/admin"
	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/internal/config"
)

// newHTTPServer serves the pages. A caller of the API who waits for tokens has
// its time-outs extended by the API itself.
func (a *App) newHTTPServer() *http.Server {
	return &http.Server{
		Handler: a.pages(), ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute,
	}
}

// httpTLS is how the HTTP port is served over TLS, nil: not at all. Certificates
// of clients are asked for and not demanded: health and metrics need none.
func httpTLS(s config.Settings) (*tls.Config, error) {
	if s.HTTPCert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(s.HTTPCert, s.HTTPKey)
	if err != nil {
		return nil, fmt.Errorf("the certificate of the HTTP port (--http-cert, --http-key): %w", err)
	}
	served := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	if s.HTTPClientCA == "" {
		return served, nil
	}
	authorities, err := os.ReadFile(s.HTTPClientCA)
	if err == nil {
		served.ClientCAs = x509.NewCertPool()
		if !served.ClientCAs.AppendCertsFromPEM(authorities) {
			err = errors.New("there is no certificate in it")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the authorities of clients (--http-client-ca): %w", err)
	}
	served.ClientAuth = tls.VerifyClientCertIfGiven
	return served, nil
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
