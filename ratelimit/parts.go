package ratelimit

import (
	"cmp"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"math"
	"net"
	"net/http"
	"strconv"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/internal/files"
	"github.com/weir-rls/weir/internal/serving"
	"github.com/weir-rls/weir/internal/telemetry"
	"github.com/weir-rls/weir/ratelimit/backend"
	"github.com/weir-rls/weir/ratelimit/decide"
	"github.com/weir-rls/weir/ratelimit/settings"
	"github.com/weir-rls/weir/ratelimit/stats"
)

func (p *Program) openStats(Options) (err error) {
	s := p.settings.Stats
	options := stats.Options{
		Disabled: s.Disable, Statsd: s.UseStatsd, DogStatsd: s.UseDogStatsd, StatsdAddress: net.JoinHostPort(s.StatsdHost, strconv.Itoa(s.StatsdPort)),
		FlushInterval: s.FlushInterval, ExtraTags: s.ExtraTags,
		Prometheus: s.UsePrometheus, PrometheusAddr: s.PrometheusAddr, PrometheusPath: s.PrometheusPath, MapperYAML: s.Mapper, ResponseTimeAsMilliseconds: s.Milliseconds,
		Own: p.metrics.Gatherer(), OwnOnly: !p.settings.Weir.ReferenceMetrics,
		Log: p.log,
	}
	for _, m := range s.Mogrifiers {
		options.Mogrifiers = append(options.Mogrifiers, stats.Mogrifier(m))
	}
	p.stats, err = stats.New(options)
	return err
}

func (p *Program) openBackend(Options) (err error) {
	s := p.settings
	o := backend.Options{
		Memory: s.Limits.Backend == settings.BackendMemory, MaxBuckets: s.Weir.MaxBuckets, Main: redisOf(s.Redis), KeyPrefix: s.Limits.KeyPrefix,
		StartupFirst: s.RedisShared.StartupFirst, StartupMost: s.RedisShared.StartupMost, StartupEnd: s.RedisShared.StartupEnd, Watch: s.RedisShared.HealthByConnections,
		Health: func(well bool) { p.vitals.set(partRedis, well) }, Log: p.log,
	}
	if s.RedisShared.PerSecond {
		second := redisOf(s.PerSecond)
		o.PerSecond = &second
	}
	if p.backend, err = backend.Open(o); err != nil {
		return err
	}
	for _, pool := range p.backend.Pools() {
		p.stats.RedisPool(pool.Name, func() stats.Pool {
			c := pool.Count()
			return stats.Pool{Active: uint64(c.Open), Opened: c.Made, Closed: c.Closed}
		})
	}
	return nil
}

func redisOf(r settings.Redis) backend.Redis {
	return backend.Redis{
		SocketType: r.SocketType, Type: r.Type, URL: r.URL.Reveal(), PoolSize: r.PoolSize,
		Auth: r.Auth.Reveal(), AuthFile: r.AuthFile, SentinelAuth: r.SentinelAuth.Reveal(),
		TLS: r.TLS, Files: backend.Files{Cert: r.Cert, Key: r.Key, CA: r.CA, AnyName: r.SkipHostname},
		Timeout: r.Timeout, OpTimeout: r.OpTimeout,
	}
}

// openServers makes the servers of all ports.
func (p *Program) openServers(Options) error {
	s := p.settings
	service := decide.New(decide.Options{
		Rules: p.rules.Rules, Store: p.backend.Main, PerSecond: p.backend.PerSecond, Stats: p.stats, Log: p.log,
		Observe: decide.Observer{
			Request: func(result string, took time.Duration) { p.metrics.Request(result, took, "") },
			Limit: func(l *descriptors.Limit, outcome string, hits uint64) {
				p.metrics.Decision(l, outcome, int64(min(hits, math.MaxInt64)), "")
			},
		},
		Settings: decide.Settings{
			NearLimitRatio: s.Limits.NearLimitRatio, LocalCacheBytes: s.Limits.LocalCache, ShadowMode: s.Limits.Shadow, QuotaMode: s.Limits.Quota,
			StopIncrement: s.Limits.StopIncrement, DynamicMetadata: s.Limits.DynamicMetadata,
			Headers: decide.Headers{On: s.Limits.Headers, Limit: s.Limits.LimitHeader, Remaining: s.Limits.RemainingHeader, Reset: s.Limits.ResetHeader},
		},
	})
	pages := http.NewServeMux()
	pages.Handle("/healthcheck", p.vitals)
	pages.Handle("/readyz", p.vitals) // which weir health asks, the image's own check
	pages.Handle("/json", service.JSON())
	p.httpServer = newHTTP(pages, 30*time.Second, p.log)
	p.debug = newHTTP(newDebug(map[string]page{
		"/rlconfig": {"the rules that are in force", http.HandlerFunc(p.serveRules)},
		"/stats":    {"what is counted, and what Go tells of the process", p.stats.StatsHandler()},
	}), 0, p.log)
	options, err := p.grpcOptions()
	if err != nil {
		return err
	}
	p.grpcServer = grpc.NewServer(options...)
	service.Register(p.grpcServer)
	healthpb.RegisterHealthServer(p.grpcServer, p.vitals.grpc)
	return nil
}

// maxStreams is how many calls may be under way on one connection; Envoy opens another
// one for more.
const maxStreams = 1024

func (p *Program) grpcOptions() ([]grpc.ServerOption, error) {
	s := p.settings.Server
	options := append(serving.GRPCOptions(),
		grpc.ChainUnaryInterceptor(p.stats.Intercept),
		grpc.ChainStreamInterceptor(p.streams.Intercept),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: s.MaxConnectionAge, MaxConnectionAgeGrace: s.MaxConnectionAgeGrace}),
	)
	if p.tracing != nil {
		options = append(options, grpc.StatsHandler(p.tracing.GRPC(rls.RateLimitService_ServiceDesc.ServiceName)))
	}
	if !s.UseTLS {
		return options, nil
	}
	private := files.Server{
		Port: "grpc", Pair: files.Pair{Cert: s.Cert, Key: s.Key, Settings: "GRPC_SERVER_TLS_CERT, GRPC_SERVER_TLS_KEY"},
		Clients: files.Authorities{File: s.ClientCA, Setting: "GRPC_CLIENT_TLS_CACERT"}, Demand: true, Protocols: []string{"h2"}, Log: p.log,
	}
	if s.ClientSAN != "" {
		private.Known = func(client *x509.Certificate) error {
			if err := client.VerifyHostname(s.ClientSAN); err != nil {
				return fmt.Errorf("the certificate has not the name that GRPC_CLIENT_TLS_SAN wants: %w", err)
			}
			return nil
		}
	}
	secure, err := private.Open()
	if err != nil {
		return nil, err
	}
	return append(options, grpc.Creds(credentials.NewTLS(secure))), nil
}

// openTracing has spans sent, if there is an address for them: the reference decides without
// its traces rather than not at all.
func (p *Program) openTracing(o Options) error {
	s := p.settings.Tracing
	if !s.Enabled {
		return nil
	}
	tracing, err := telemetry.NewTracing(telemetry.TracingOptions{
		Service: s.Service, Namespace: s.Namespace, Instance: cmp.Or(s.InstanceID, rand.Text()),
		HTTP: s.Protocol == "http", Sample: s.Sample, Version: o.Version, Log: p.log, Metrics: p.metrics,
		Kind: func(error) string { return "error" }, // the store's calls have no spans here
	})
	if err != nil {
		p.log.Error("there are no traces", "error", err.Error())
		return nil
	}
	p.tracing = tracing
	return nil
}
