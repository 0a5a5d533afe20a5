// Package app is weir as a value: it wires the rooms together, serves until its
// context ends, and then drains.
package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/weir-rls/weir/buckets/waiting"
	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/events"
	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/internal/serving"
	"github.com/weir-rls/weir/internal/telemetry"
	"github.com/weir-rls/weir/line"
	"github.com/weir-rls/weir/service"
	"github.com/weir-rls/weir/traffic"
)

// Options are what an [App] takes from its surroundings.
type Options struct {
	Log     *slog.Logger
	Version string
}

// App is one replica of weir. Its listeners are open from [New] on, so that a
// caller who asked for port 0 can learn the addresses before it runs.
type App struct {
	settings config.Settings
	version  string
	log      *slog.Logger
	metrics  *telemetry.Metrics
	tracing  *telemetry.Tracing // nil: there are no traces
	rules    *descriptors.Source
	follow   func(context.Context) error // keeps the rules in step with where they come from, until the context ends
	store    *store
	room     *waiting.Room
	keys     *service.Keys
	live     *live
	traffic  *traffic.Traffic
	tell     *teller
	decided  *decisionLog // nil: there is none
	judge    *service.Service
	excesses *events.Sampler
	health   *health.Server
	draining atomic.Bool

	streams *serving.Streams // of health watchers and the like, which would hold up a drain

	grpcServer   *grpc.Server
	grpcListener net.Listener
	httpServer   *http.Server
	httpListener net.Listener
	lines        *line.Server // nil: the line protocol is off
	lineListener net.Listener
}

// New opens the listeners and the store and reads the rules. Faulty rules are
// no error: they are logged, and the replica is not ready until some are good.
func New(s config.Settings, o Options) (*App, error) {
	a := &App{
		settings: s, version: o.Version, log: o.Log, metrics: telemetry.NewMetrics(o.Version), health: health.NewServer(), streams: serving.NewStreams(),
		excesses: events.NewSampler(excessesPerSecond, nil),
		rules:    descriptors.NewSource(s.Rules, descriptors.Options{MergeDomains: s.MergeDomains, AllOrNothing: s.AllOrNothing, Large: readingLarge}),
	}
	var err error
	a.traffic = a.newTraffic()
	if a.tracing, err = a.newTracing(s, o.Version); err != nil {
		return nil, err
	}
	if a.store, err = openStore(s, a.metrics, a.traffic, a.tracing, a.log); err != nil {
		a.tracing.End(a.log)
		return nil, err
	}
	a.room = waiting.New(waiting.Options{
		Store: a.store.Store, Left: func(_ string, fate waiting.Fate) { a.metrics.Abandoned(string(fate)) },
		MaxWaiters: s.MaxWaiters, Full: func() { a.excess("waiters") },
	})
	a.metrics.Waiting(a.room.Waiting)
	a.keys = receiptKeys(s)
	a.tell, a.decided = a.newTeller(s), a.newDecisionLog(s)
	if a.live, err = a.newLive(); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	if err = a.openPorts(); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	if a.follow, err = a.ruleSource(); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	a.judge = service.New(service.Options{
		Rules: a.rules.Rules, Room: a.room, Keys: a.keys, Observe: a.observer(), Trace: a.trace(), RetryJitter: s.RetryJitter,
		Headers: headerStyle(s.Headers), Degraded: degradedStyle(s.ShowDegraded), Bounds: boundsOf(s), AllowExcess: s.OnExcess == config.ExcessAllow,
	})
	pages, err := a.pages()
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	a.httpServer = newHTTPServer(pages, a.log)
	if a.grpcServer, err = a.newGRPCServer(); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	a.firstRules()
	if err := a.live.begin(context.Background()); err != nil {
		a.log.Warn("what was set while weir ran is not known yet; the rule files are in force until it is", "error", err.Error())
	}
	return a, nil
}

// openPorts opens the listeners, that of HTTP over TLS where the settings want it.
func (a *App) openPorts() (err error) {
	if a.grpcListener, err = net.Listen("tcp", a.settings.GRPCListen); err != nil {
		return fmt.Errorf("open the gRPC port (--grpc-listen): %w", err)
	}
	if a.httpListener, err = net.Listen("tcp", a.settings.HTTPListen); err != nil {
		return fmt.Errorf("open the HTTP port (--http-listen): %w", err)
	}
	if err = a.openLines(); err != nil {
		return err
	}
	secure, err := httpTLS(a.settings, a.log)
	if secure != nil {
		a.httpListener = tls.NewListener(a.httpListener, secure)
	}
	return err
}

// GRPCAddr is the address that Envoy asks.
func (a *App) GRPCAddr() string { return a.grpcListener.Addr().String() }

// HTTPAddr is the address of health, metrics and the other pages.
func (a *App) HTTPAddr() string { return a.httpListener.Addr().String() }

// Run serves until the context ends, then drains: it reports NOT_SERVING, goes
// on answering for the drain delay, so that callers notice, answers who waits for
// tokens, lets the calls under way finish within the drain timeout, and returns.
func (a *App) Run(ctx context.Context) error {
	defer a.Close()
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()

	failed := make(chan error, 4)
	go func() { failed <- a.grpcServer.Serve(a.grpcListener) }()
	go func() { failed <- serving.IgnoreClosed(a.httpServer.Serve(a.httpListener)) }()
	go func() { failed <- a.follow(background) }()
	listening := []any{"grpc", a.GRPCAddr(), "http", a.HTTPAddr(), "dashboard", a.dashboardURL(), "store", a.settings.Store}
	if a.lines != nil {
		go func() { failed <- serving.IgnoreClosed(a.lines.Serve(a.lineListener)) }()
		listening = append(listening, "line", a.lineListener.Addr().String())
	}
	go func() {
		a.store.greet(background, a.log)
		a.serveWhenReady()
	}()
	go a.shareKey(background)
	if a.store.beats != nil {
		go a.store.beats.run(background)
	}
	var telling, living sync.WaitGroup
	telling.Go(func() { a.tell.bus.Run(background) })
	telling.Go(func() { a.traffic.Run(background) })
	telling.Go(func() { a.decided.run(background) })
	living.Go(func() { a.live.run(background, a.ledgerFailed) })
	defer telling.Wait()
	defer living.Wait()
	defer stop()
	a.tellStart(listening)

	select {
	case err := <-failed:
		a.grpcServer.Stop()
		return errors.Join(err, a.httpServer.Close())
	case <-ctx.Done():
	}
	return a.drain(background)
}

func (a *App) drain(ctx context.Context) error {
	a.log.Info("draining", "delay", a.settings.DrainDelay.String(), "timeout", a.settings.DrainTimeout.String())
	a.draining.Store(true)
	a.health.Shutdown()
	time.Sleep(a.settings.DrainDelay)

	a.room.Drain()
	a.streams.End()
	a.traffic.EndStreams()
	a.tell.feed.End()
	serving.StopGRPC(a.grpcServer, a.settings.DrainTimeout, a.log)
	a.closeLines(ctx)
	err := serving.StopHTTP(ctx, a.httpServer, time.Second)
	a.log.Info("stopped")
	return err
}

// Close releases what [New] opened. Run does it itself.
func (a *App) Close() error {
	var errs []error
	for _, listener := range []net.Listener{a.grpcListener, a.httpListener, a.lineListener} {
		if listener != nil {
			errs = append(errs, serving.IgnoreClosed(listener.Close()))
		}
	}
	if a.live != nil {
		errs = append(errs, a.live.close())
	}
	errs = append(errs, a.store.Close())
	a.tracing.End(a.log)
	return errors.Join(errs...)
}

// newGRPCServer serves over TLS, and to those who have a secret, as the settings want it.
func (a *App) newGRPCServer() (*grpc.Server, error) {
	s := a.settings
	private, err := grpcTLS(s, a.log)
	if err != nil {
		return nil, err
	}
	door, err := a.doorkeeper()
	if err != nil {
		return nil, err
	}
	options := append(service.ServerOptions(a.log, a.metrics.Panic), door.options()...)
	options = append(options, a.traced()...)
	if private != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(private)))
	}
	options = append(options, serving.GRPCOptions()...)
	server := grpc.NewServer(append(options,
		grpc.ChainStreamInterceptor(a.streams.Intercept),
		grpc.MaxRecvMsgSize(recvFactor*s.MaxMessageBytes),
		grpc.MaxConcurrentStreams(uint32(s.GRPCMaxStreams)),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionAge: s.GRPCMaxConnectionAge, MaxConnectionAgeGrace: s.GRPCMaxConnectionAgeGrace,
			Time: s.GRPCKeepaliveTime, Timeout: s.GRPCKeepaliveTimeout,
		}),
	)...)
	a.judge.Register(server)
	a.setHealth(healthpb.HealthCheckResponse_NOT_SERVING)
	healthpb.RegisterHealthServer(server, a.health)
	if s.GRPCReflection {
		reflection.Register(server)
	}
	return server, nil
}

func degradedStyle(setting string) service.DegradedStyle {
	switch setting {
	case config.DegradedInHeader:
		return service.DegradedInHeader
	case config.DegradedInMetadata:
		return service.DegradedInMetadata
	}
	return service.DegradedHidden
}

func headerStyle(setting string) service.HeaderStyle {
	switch setting {
	case config.HeadersDraft10:
		return service.HeadersDraft10
	case config.HeadersLegacy:
		return service.HeadersLegacy
	}
	return service.HeadersOff
}
