package stats

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unique"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/statsd_exporter/pkg/mapper"
)

const closeWithin = time.Second

// exposition serves the numbers to Prometheus.
type exposition struct {
	path     string
	listener net.Listener
	handler  http.Handler
	log      *slog.Logger
	mapping  mapping
	extra    prometheus.Labels

	mu     sync.Mutex
	source *Stats
	// What has been mapped once stays: names are bounded where they are made.
	mapped   map[numberKey]*shown
	shown    map[[sha256.Size]byte]*shown // by series, as a hash, since names are long
	families map[string]family            // by Prometheus' name
	timed    []prometheus.Collector
}

// family is what all series of one name must have in common.
type family struct {
	kind mapper.MetricType
	help string
}

// shown is one series; several names can come to one.
type shown struct {
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	values []string
	n      float64
	any    bool // in the scrape that is going on
}

func newExposition(o Options) (*exposition, error) {
	if !strings.HasPrefix(o.PrometheusPath, "/") {
		return nil, fmt.Errorf("PROMETHEUS_PATH is %q: it must begin with \"/\"", o.PrometheusPath)
	}
	e := &exposition{
		path: o.PrometheusPath, log: o.Log, mapping: defaultMapping(o.ResponseTimeAsMilliseconds), extra: prometheus.Labels{},
		mapped: map[numberKey]*shown{}, shown: map[[sha256.Size]byte]*shown{}, families: map[string]family{},
	}
	if o.MapperYAML != "" {
		if m, err := fileMapping(o.MapperYAML); err != nil {
			o.Log.Error("the mapping that PROMETHEUS_MAPPER_YAML names cannot be used; metrics have the names of the default one", "error", err)
		} else {
			e.mapping = m
		}
	}
	for key, value := range o.ExtraTags {
		e.extra[mapper.EscapeMetricName(key)] = value
	}
	e.handler = promhttp.HandlerFor(e.gatherers(o), promhttp.HandlerOpts{
		// One bad series of a mapping must not hide the others.
		ErrorHandling: promhttp.ContinueOnError,
		ErrorLog:      slog.NewLogLogger(o.Log.Handler(), slog.LevelError),
	})
	listener, err := net.Listen("tcp", o.PrometheusAddr)
	if err != nil {
		return nil, fmt.Errorf("metrics cannot be served at PROMETHEUS_ADDR %q: %w", o.PrometheusAddr, err)
	}
	e.listener = listener
	return e, nil
}

// gatherers are what is served together.
func (e *exposition) gatherers(o Options) (all prometheus.Gatherers) {
	registry := prometheus.NewRegistry()
	if o.Own == nil {
		registry.MustRegister(e, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
		return prometheus.Gatherers{registry}
	}
	if !o.OwnOnly {
		registry.MustRegister(e)
	}
	return prometheus.Gatherers{registry, o.Own}
}

// ServeHTTP serves the path that is set.
func (e *exposition) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != e.path {
		http.NotFound(w, r)
		return
	}
	e.handler.ServeHTTP(w, r)
}

func (e *exposition) run(ctx context.Context, _ *Stats) error {
	server := &http.Server{
		Handler: e, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(e.log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(e.listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("metrics are not served at %s any more: %w", e.listener.Addr(), err)
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWithin)
	defer cancel()
	if err := server.Shutdown(last); err != nil {
		_ = server.Close()
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return ctx.Err()
}

func (e *exposition) close() { _ = e.listener.Close() }

// timer makes a series of what something takes.
func (e *exposition) timer(name string) func(time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s, ok := e.agreed(name, mapper.MetricTypeObserver)
	if !ok {
		return func(time.Duration) {}
	}
	o, err := s.observer()
	if err != nil {
		e.log.Error("a metric is not shown, as its mapping is wrong", "metric", name, "name", s.name, "error", err)
		return func(time.Duration) {}
	}
	e.timed = append(e.timed, o)
	return func(took time.Duration) { o.Observe(milliseconds(took) * s.scale) }
}

// agreed maps a name to a series that fits those there are; ok tells whether it is to be
// shown at all.
func (e *exposition) agreed(name string, kind mapper.MetricType) (s series, ok bool) {
	s = e.mapping(name, kind)
	if s.name == "" {
		return s, false
	}
	if s.help == "" {
		s.help = help
	}
	labels := maps.Clone(e.extra)
	maps.Copy(labels, s.labels)
	s.labels = labels
	f, known := e.families[s.name]
	if !known {
		f = family{kind, s.help}
		e.families[s.name] = f
	}
	if f.kind != kind {
		e.log.Error("a metric is not shown, as its mapping gives it the name of others that are of another type", "metric", name, "name", s.name, "type", string(kind), "others", string(f.kind))
		return s, false
	}
	s.help = f.help
	return s, true
}

// Describe tells nothing: which series there are depends on what was counted.
func (e *exposition) Describe(chan<- *prometheus.Desc) {}

// Collect shows every counter that is not zero, and everything else.
func (e *exposition) Collect(out chan<- prometheus.Metric) {
	var all []number
	e.source.read(func(v number) bool { all = append(all, v); return true })
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, v := range all {
		s := e.seriesOf(v)
		if s.kind == prometheus.GaugeValue {
			s.n = 0
		}
		s.n, s.any = s.n+float64(v.n), true
	}
	for _, s := range e.shown {
		if s.any {
			out <- prometheus.MustNewConstMetric(s.desc, s.kind, s.n, s.values...)
		}
		s.n, s.any = 0, false
	}
	for _, t := range e.timed {
		t.Collect(out)
	}
}

func (e *exposition) seriesOf(v number) *shown {
	if known := e.mapped[v.key()]; known != nil {
		return known
	}
	kind, valueType := mapper.MetricTypeGauge, prometheus.GaugeValue
	if v.grows {
		kind, valueType = mapper.MetricTypeCounter, prometheus.CounterValue
	}
	s, ok := e.agreed(v.name(), kind)
	if !ok {
		e.mapped[v.key()] = &shown{}
		return e.mapped[v.key()]
	}
	names := slices.Sorted(maps.Keys(s.labels))
	values := make([]string, len(names))
	for i, name := range names {
		values[i] = unique.Make(s.labels[name]).Value() // the counters of a limit share theirs
	}
	identity := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", s.name, names, values))
	known := e.shown[identity]
	if known == nil {
		known = &shown{desc: prometheus.NewDesc(s.name, s.help, names, nil), kind: valueType, values: values}
		if _, err := prometheus.NewConstMetric(known.desc, valueType, 0, values...); err != nil {
			e.log.Error("a metric is not shown, as its labels are wrong", "metric", v.name(), "name", s.name, "error", err)
		} else {
			e.shown[identity] = known
		}
	}
	e.mapped[v.key()] = known
	return known
}
