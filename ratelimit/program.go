// Package ratelimit takes the place of envoyproxy/ratelimit: a program that reads its
// settings and its rules, answers as it does, and is to be watched as it is.
package ratelimit

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/internal/serving"
	"github.com/weir-rls/weir/internal/telemetry"
	"github.com/weir-rls/weir/ratelimit/backend"
	"github.com/weir-rls/weir/ratelimit/settings"
	"github.com/weir-rls/weir/ratelimit/stats"
)

// Options are what a [Program] takes from its surroundings.
type Options struct {
	Log     *slog.Logger
	Version string
	Ignored []settings.Ignored // settings that have no effect, to be told of
	Args    []string           // of the command line, to be told of
}

// Program is one replica.
type Program struct {
	settings settings.Settings
	log      *slog.Logger
	vitals   *vitals
	stats    *stats.Stats
	metrics  *telemetry.Metrics
	tracing  *telemetry.Tracing // nil: there are no traces
	rules    *descriptors.Source
	follow   func(context.Context) error // keeps the rules in step with where they come from, until the context ends
	first    chan struct{}               // closed when there were rules, if they are waited for
	once     sync.Once                   // for first
	backend  *backend.Backend
	streams  *serving.Streams
	ready    chan struct{}

	grpcServer         *grpc.Server
	httpServer, debug  *http.Server
	grpcPort, httpPort net.Listener // nil while rules are waited for
	debugPort          net.Listener
}

// New opens what can be opened at once, and reads the rules, if they are files. Faulty
// rules are no error: they are logged, and whoever asks is told that there are none.
func New(s settings.Settings, o Options) (*Program, error) {
	p := &Program{
		settings: s, log: o.Log, metrics: telemetry.NewMetrics(o.Version), streams: serving.NewStreams(),
		first: make(chan struct{}), ready: make(chan struct{}),
	}
	p.tellIgnored(o)
	p.vitals = p.newVitals()
	for _, open := range []func(Options) error{p.openTracing, p.openStats, p.openBackend, p.openRules, p.openServers, p.openPorts} {
		if err := open(o); err != nil {
			return nil, errors.Join(err, p.Close())
		}
	}
	return p, nil
}

func (p *Program) tellIgnored(o Options) {
	for _, i := range o.Ignored {
		p.log.Warn("a setting has no effect", "variable", i.Variable, "why", i.Why)
	}
	if len(o.Args) > 0 {
		p.log.Info("arguments have no effect: settings are environment variables", "arguments", o.Args)
	}
}

func (p *Program) newVitals() *vitals {
	unwell := []part{partRedis}
	if p.settings.Rules.HealthyWithAConfig {
		unwell = append(unwell, partConfig)
	}
	return newVitals(unwell...)
}

// openPorts opens all ports, or, if rules are waited for, tries whether the two can be
// opened that are closed until then.
func (p *Program) openPorts(Options) (err error) {
	s := p.settings.Server
	if p.debugPort, err = listenDebug(s); err != nil {
		return err
	}
	if err = p.openDoors(); err != nil || !p.waits() {
		return err
	}
	return p.closeDoors()
}

func (p *Program) openDoors() (err error) {
	if p.grpcPort, err = listenGRPC(p.settings.Server); err != nil {
		return err
	}
	p.httpPort, err = listenHTTP(p.settings.Server)
	return err
}

func (p *Program) closeDoors() (err error) {
	for _, door := range []*net.Listener{&p.grpcPort, &p.httpPort} {
		if *door != nil {
			err = errors.Join(err, serving.IgnoreClosed((*door).Close()))
			*door = nil
		}
	}
	return err
}

// Ready is closed when the gRPC and the HTTP port are open.
func (p *Program) Ready() <-chan struct{} { return p.ready }

// GRPCAddr is the address that Envoy asks, once the program is ready.
func (p *Program) GRPCAddr() string { return p.grpcPort.Addr().String() }

// HTTPAddr is the address of /healthcheck and /json, once the program is ready.
func (p *Program) HTTPAddr() string { return p.httpPort.Addr().String() }

// DebugAddr is the address of the debug port.
func (p *Program) DebugAddr() string { return p.debugPort.Addr().String() }

// MetricsAddr is the address of Prometheus's metrics, nil if there are none.
func (p *Program) MetricsAddr() net.Addr { return p.stats.Addr() }

// Run serves until the context ends, then drains: it is not healthy any more, goes on
// answering for the drain delay, so that callers notice, lets the calls under way finish
// within the drain timeout, and returns.
func (p *Program) Run(ctx context.Context) error {
	defer p.Close()
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	work := newCrew(background)
	defer work.wait()
	defer stop()
	work.start(func() error { return p.debug.Serve(p.debugPort) })
	defer p.debug.Close()
	work.start(func() error { return p.stats.Run(background) })
	work.start(func() error { return p.follow(background) })
	work.start(func() error { return p.backend.Run(background) })

	select {
	case <-p.first:
	case err := <-work.failed:
		return err
	case <-ctx.Done():
		return nil
	}
	if p.grpcPort == nil {
		if err := p.openDoors(); err != nil {
			return err
		}
	}
	close(p.ready)
	work.start(func() error { return p.grpcServer.Serve(p.grpcPort) })
	work.start(func() error { return p.httpServer.Serve(p.httpPort) })
	listening := []any{"grpc", p.GRPCAddr(), "http", p.HTTPAddr(), "debug", p.DebugAddr()}
	if metrics := p.MetricsAddr(); metrics != nil {
		listening = append(listening, "metrics", metrics.String())
	}
	p.log.Info("listening", listening...)

	select {
	case err := <-work.failed:
		p.grpcServer.Stop()
		return errors.Join(err, p.httpServer.Close())
	case <-ctx.Done():
	}
	return p.drain(background)
}

func (p *Program) drain(ctx context.Context) error {
	w := p.settings.Weir
	p.log.Info("draining", "delay", w.DrainDelay.String(), "timeout", w.DrainTimeout.String())
	p.vitals.set(partStop, false)
	time.Sleep(w.DrainDelay)
	p.streams.End()
	serving.StopGRPC(p.grpcServer, w.DrainTimeout, p.log)
	err := serving.StopHTTP(ctx, p.httpServer, time.Second)
	p.log.Info("stopped")
	return err
}

// Close releases what [New] opened. Run does it itself.
func (p *Program) Close() error {
	if p.grpcServer != nil {
		p.grpcServer.Stop() // its workers, if it never served
	}
	errs := []error{p.closeDoors()}
	if p.debugPort != nil {
		errs = append(errs, serving.IgnoreClosed(p.debugPort.Close()))
	}
	if p.backend != nil {
		errs = append(errs, p.backend.Close())
	}
	if p.stats != nil {
		p.stats.Close()
	}
	p.tracing.End(p.log)
	return errors.Join(errs...)
}
