package stats

import (
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options say where the numbers go. At most one of Statsd, DogStatsd and Prometheus may be
// set; with none, or when Disabled, they are to be had at [Stats.StatsHandler] alone.
type Options struct {
	Disabled bool // DISABLE_STATS

	Statsd        bool              // USE_STATSD
	DogStatsd     bool              // USE_DOG_STATSD
	StatsdAddress string            // STATSD_HOST:STATSD_PORT, of both; TCP for the first, UDP for the other
	FlushInterval time.Duration     // STATS_FLUSH_INTERVAL, of both
	ExtraTags     map[string]string // EXTRA_TAGS
	Mogrifiers    []Mogrifier       // USE_DOG_STATSD_MOGRIFIERS, in order: the first whose pattern matches is used

	Prometheus     bool   // USE_PROMETHEUS
	PrometheusAddr string // PROMETHEUS_ADDR
	PrometheusPath string // PROMETHEUS_PATH
	MapperYAML     string // PROMETHEUS_MAPPER_YAML, a file
	// ResponseTimeAsMilliseconds is PROMETHEUS_RESPONSE_TIME_AS_MILLISECONDS. It concerns
	// the default mapping alone.
	ResponseTimeAsMilliseconds bool
	// Own are weir's own series, which Prometheus gets too unless it is nil, and OwnOnly
	// has it get nothing else. They bring the process's own with them.
	Own     prometheus.Gatherer
	OwnOnly bool

	Log *slog.Logger
}

// Stats is everything that is counted. Its methods and counters may be used by many at a
// time, before, while and after it runs.
type Stats struct {
	RedisError, ServiceError           *Counter
	ConfigLoadSuccess, ConfigLoadError *Counter
	GlobalShadowMode                   *Counter

	options Options
	log     *slog.Logger
	sink    sink

	seed                 maphash.Seed
	limits               [256]table[limitKey, *Limit]
	sentNames, ruleNames atomic.Int64 // in all shards
	others               table[string, *Limit]
	unknown              table[string, *Counter] // domains that no rules are of
	methods              table[string, *method]
	logFull              sync.Once
	closed               sync.Once

	mu         sync.Mutex // for whoever adds to what is above or below
	byBase     map[string]*Limit
	counters   []counted
	generators []func() []value
}

// sink is where the numbers go.
type sink interface {
	// timer returns what is told how long something with a name took.
	timer(name string) func(time.Duration)
	// run shows the numbers until ctx ends.
	run(ctx context.Context, s *Stats) error
	close()
}

// New makes the counters and, for Prometheus, opens the listener: an address that cannot be
// had is an error here. Whoever does not call [Stats.Run] calls [Stats.Close].
func New(o Options) (*Stats, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Stats{options: o, log: o.Log, seed: maphash.MakeSeed(), byBase: map[string]*Limit{}, generators: []func() []value{goRuntime}}
	for name, c := range map[string]**Counter{
		"call.should_rate_limit.redis_error":   &s.RedisError,
		"call.should_rate_limit.service_error": &s.ServiceError,
		"config_load_success":                  &s.ConfigLoadSuccess,
		"config_load_error":                    &s.ConfigLoadError,
		"global_shadow_mode":                   &s.GlobalShadowMode,
	} {
		*c = &Counter{}
		s.counters = append(s.counters, counted{serviceScope, name, *c})
	}
	var err error
	if s.sink, err = newSink(o); err != nil {
		return nil, err
	}
	if e, ok := s.sink.(*exposition); ok {
		e.source = s
	}
	return s, nil
}

func newSink(o Options) (sink, error) {
	var chosen []string
	for name, on := range map[string]bool{"USE_STATSD": o.Statsd, "USE_DOG_STATSD": o.DogStatsd, "USE_PROMETHEUS": o.Prometheus} {
		if on {
			chosen = append(chosen, name)
		}
	}
	switch {
	case o.Disabled || len(chosen) == 0:
		return silent{}, nil
	case len(chosen) > 1:
		return nil, fmt.Errorf("more than one of USE_STATSD, USE_DOG_STATSD and USE_PROMETHEUS is true: set all but one to false (USE_STATSD is true unless set)")
	}
	switch {
	case o.Prometheus:
		return newExposition(o)
	case o.FlushInterval <= 0:
		return nil, fmt.Errorf("STATS_FLUSH_INTERVAL is %s: it must be more than nothing, as 10s", o.FlushInterval)
	case o.DogStatsd:
		return newDogstatsd(o)
	default:
		return newStatsd(o)
	}
}

// silent shows nothing.
type silent struct{}

func (silent) timer(string) func(time.Duration)        { return func(time.Duration) {} }
func (silent) run(ctx context.Context, _ *Stats) error { <-ctx.Done(); return ctx.Err() }
func (silent) close()                                  {}

// Run shows the numbers where the options say, until ctx ends, whose error it returns.
func (s *Stats) Run(ctx context.Context) error {
	defer s.Close()
	return s.sink.run(ctx, s)
}

// Close gives up what [New] opened.
func (s *Stats) Close() { s.closed.Do(s.sink.close) }

// Addr is where Prometheus' metrics are served, or nil without that sink.
func (s *Stats) Addr() net.Addr {
	if e, ok := s.sink.(*exposition); ok {
		return e.listener.Addr()
	}
	return nil
}

// Handler serves the metrics in Prometheus' format, or nothing without that sink.
func (s *Stats) Handler() http.Handler {
	if e, ok := s.sink.(*exposition); ok {
		return e.handler
	}
	return http.NotFoundHandler()
}

// read yields every counter that is not zero and everything that is generated.
func (s *Stats) read(yield func(number) bool) {
	s.mu.Lock()
	counters, generators := slices.Clone(s.counters), slices.Clone(s.generators)
	s.mu.Unlock()
	for _, c := range counters {
		if n := c.Value(); n != 0 && !yield(number{c, true, n}) {
			return
		}
	}
	for _, generate := range generators {
		for _, v := range generate() {
			if (v.n != 0 || !v.grows) && !yield(number{counted{base: v.name}, v.grows, v.n}) {
				return
			}
		}
	}
}
