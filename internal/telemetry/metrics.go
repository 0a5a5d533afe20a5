package telemetry

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/weir-rls/weir/descriptors"
)

// Metrics is weir's Prometheus registry. Every label has a bounded set of
// values: names from the rule files or words from the code. What a client sends is in
// those of details alone, where a rule asks for it.
type Metrics struct {
	registry *prometheus.Registry

	decisions     *decisions
	details       *details
	abandoned     *prometheus.CounterVec
	requests      *prometheus.HistogramVec
	unmatched     *prometheus.CounterVec
	badOverrides  *prometheus.CounterVec
	unknownDomain prometheus.Counter
	excess        *prometheus.CounterVec
	panics        prometheus.Counter
	waits         prometheus.Histogram
	writtenOff    *prometheus.CounterVec
	receipts      *prometheus.CounterVec
	store         *prometheus.HistogramVec
	storeErrors   *prometheus.CounterVec
	degraded      *prometheus.CounterVec
	reloads       *prometheus.CounterVec
	faults        prometheus.Gauge
	lastReload    prometheus.Gauge
	breakers      *prometheus.CounterVec
	traceSpans    *prometheus.CounterVec

	live live
}

// latency spans what a decision takes: a memory store's tens of microseconds to
// a caller that gave up after seconds.
var latency = []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5}

// NewMetrics returns a registry with the process's own metrics in it.
func NewMetrics(version string) *Metrics {
	m := &Metrics{
		registry:      prometheus.NewRegistry(),
		decisions:     newDecisions(),
		abandoned:     counters("abandoned_reservations_total", "Reservations whose callers left while they waited, by what became of the tokens.", "fate"),
		requests:      histograms("request_duration_seconds", "Time to answer ShouldRateLimit, by result.", "result"),
		unmatched:     counters("unmatched_descriptors_total", "Descriptors that no rule of their domain limits.", "domain"),
		badOverrides:  counters("ignored_overrides_total", "Limits sent with a descriptor that were ignored, because their unit is unknown or their rate inexact.", "domain"),
		unknownDomain: counter("unknown_domain_requests_total", "Requests for a domain without rules; they are admitted."),
		excess:        counters("excess_requests_total", "Requests beyond a bound, by the bound.", "bound"),
		panics:        counter("panics_total", "Handlers that panicked."),
		waits:         histogram("wait_duration_seconds", "Time that requests were held until their tokens were there, or until that was given up."),
		writtenOff:    counters("written_off_tokens_total", "Tokens used that were not charged, because the bucket already owed all it may.", "domain", "limit"),
		receipts:      counters("receipts_total", "Receipts that came back at the end of a stream, by result.", "result"),
		store:         histograms("store_duration_seconds", "Time a call to the bucket store took, by result.", "result"),
		storeErrors:   counters("store_errors_total", "Calls that the bucket store failed or did not answer in time.", "kind"),
		degraded:      counters("degraded_decisions_total", "Limits decided without the bucket store, by their on_store_error.", "by"),
		reloads:       counters("rule_reloads_total", "Readings of the rule files that found a change, by result.", "result"),
		faults:        gauge("rule_faults", "Errors in the rule files as they stand; the last good rules of a faulty file stay in force."),
		lastReload:    gauge("rules_last_success_timestamp_seconds", "When the rule files were last read without an error."),
		breakers:      counters("breaker_moves_total", "Moves of circuit breakers, by the state that they came to, as this replica saw them.", "domain", "limit", "state"),
		traceSpans:    counters("trace_spans_total", "Spans of traces, by what became of them.", "result"),
		live:          newLive(),
	}
	m.details = newDetails(m.decisions)
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "weir", Name: "build_info", Help: "Version of weir; always 1."}, []string{"version"})
	info.WithLabelValues(version).Set(1)
	m.registry.MustRegister(m.decisions, m.details, m.requests, m.unmatched, m.badOverrides, m.unknownDomain, m.excess, m.panics,
		m.abandoned, m.waits, m.writtenOff, m.receipts,
		m.store, m.storeErrors, m.degraded, m.reloads, m.faults, m.lastReload, m.breakers, m.traceSpans, info,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.registry.MustRegister(m.live.collectors()...)
	return m
}

// Handler serves the metrics in Prometheus' format, or, to who asks for that, in the one of
// OpenMetrics, which has exemplars.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry, EnableOpenMetrics: true})
}

// Gatherer has the metrics for who serves them together with others.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.registry }

// Request records one answer to ShouldRateLimit; result is one of a few words. A trace's id
// that is not empty is kept as an exemplar.
func (m *Metrics) Request(result string, took time.Duration, traceID string) {
	observe(m.requests.WithLabelValues(result), took, traceID)
}

// Decision records what became of one limit that a request met, and the tokens that
// it charged. Outcome is one of a few words. A trace's id that is not empty is kept as an
// exemplar.
func (m *Metrics) Decision(l *descriptors.Limit, outcome string, tokens int64, traceID string) {
	m.decisions.count(l, outcome, tokens)
	if traceID != "" {
		m.decisions.exemplars.note(limit{l.Domain, l.Name}, outcome, traceID)
	}
}

// Detailed records what [Metrics.Decision] was told of a limit, by the values that a client
// sent: detail may be any text.
func (m *Metrics) Detailed(l *descriptors.Limit, detail, outcome string, tokens int64) {
	m.details.count(l, detail, outcome, tokens)
}

// BreakerMoved records that a circuit breaker came to a state, one of a few words.
func (m *Metrics) BreakerMoved(domain, limit, state string) {
	m.breakers.WithLabelValues(domain, limit, state).Inc()
}

// Spans counts spans by what became of them, one of a few words.
func (m *Metrics) Spans(result string, n int) {
	m.traceSpans.WithLabelValues(result).Add(float64(n))
}

// Unmatched records descriptors that no rule of a known domain limits.
func (m *Metrics) Unmatched(domain string, n int) {
	m.unmatched.WithLabelValues(domain).Add(float64(n))
}

// IgnoredOverrides records limits sent with a descriptor that make no sense.
func (m *Metrics) IgnoredOverrides(domain string, n int) {
	m.badOverrides.WithLabelValues(domain).Add(float64(n))
}

// UnknownDomain records a request for a domain without rules.
func (m *Metrics) UnknownDomain() { m.unknownDomain.Inc() }

// Excess records a request beyond a bound, which is one of a few words.
func (m *Metrics) Excess(bound string) { m.excess.WithLabelValues(bound).Inc() }

// Panic counts a handler that panicked.
func (m *Metrics) Panic() { m.panics.Inc() }

// Waited records how long a request was held.
func (m *Metrics) Waited(took time.Duration) { m.waits.Observe(took.Seconds()) }

// Abandoned counts a reservation whose caller left; fate is one of a few words.
func (m *Metrics) Abandoned(fate string) { m.abandoned.WithLabelValues(fate).Inc() }

// WrittenOff counts tokens that were used and are not charged.
func (m *Metrics) WrittenOff(domain, limit string, tokens int64) {
	m.writtenOff.WithLabelValues(domain, limit).Add(float64(tokens))
}

// Receipt counts a receipt that came back; result is one of a few words.
func (m *Metrics) Receipt(result string) { m.receipts.WithLabelValues(result).Inc() }

// Waiting publishes how many requests are held, read whenever metrics are.
func (m *Metrics) Waiting(count func() int) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "weir", Name: "waiting_requests", Help: "Requests that are held now until their tokens are there.",
	}, func() float64 { return float64(count()) }))
}

// Store records one call to the bucket store; kind names the error, if any:
// one of a few words. A trace's id that is not empty is kept as an exemplar.
func (m *Metrics) Store(took time.Duration, kind, traceID string) {
	result := "ok"
	if kind != "" {
		result = "error"
		m.storeErrors.WithLabelValues(kind).Inc()
	}
	observe(m.store.WithLabelValues(result), took, traceID)
}

// Degraded counts a limit that was decided without the bucket store; by is a word of
// on_store_error.
func (m *Metrics) Degraded(by string) { m.degraded.WithLabelValues(by).Inc() }

// StoreAsked publishes whether the bucket store is asked, read whenever metrics are.
func (m *Metrics) StoreAsked(asked func() bool) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "weir", Name: "store_up", Help: "1 while the bucket store is asked, 0 while it is not because it does not answer.",
	}, func() float64 {
		if asked() {
			return 1
		}
		return 0
	}))
}

// DeniedFromCache publishes how many requests were refused by what was known of
// earlier ones, read whenever metrics are.
func (m *Metrics) DeniedFromCache(count func() uint64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Namespace: "weir", Name: "denied_from_cache_total", Help: "Requests that were refused without asking the bucket store, because it had just refused the same.",
	}, func() float64 { return float64(count()) }))
}

// Replicas publishes how many replicas are counted on the bucket store, read whenever
// metrics are.
func (m *Metrics) Replicas(count func() int64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "weir", Name: "replicas", Help: "Replicas on the bucket store, as this one counts them, 0 if it does not know.",
	}, func() float64 { return float64(count()) }))
}

// Leases publishes how many requests were admitted from tokens that were taken ahead,
// and of how many keys there are such tokens, read whenever metrics are.
func (m *Metrics) Leases(admitted func() uint64, held func() int) {
	m.registry.MustRegister(
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Namespace: "weir", Name: "admitted_from_lease_total", Help: "Requests that were admitted without asking the bucket store, from tokens that were taken ahead.",
		}, func() float64 { return float64(admitted()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "weir", Name: "leases", Help: "Keys whose tokens may be taken ahead.",
		}, func() float64 { return float64(held()) }),
	)
}

// Reload records one reading of the rule files and the faults it met.
func (m *Metrics) Reload(faults int) {
	m.faults.Set(float64(faults))
	if faults > 0 {
		m.reloads.WithLabelValues("faulty").Inc()
		return
	}
	m.reloads.WithLabelValues("ok").Inc()
	m.lastReload.SetToCurrentTime()
}

// Buckets publishes what a memory store holds, read whenever metrics are.
func (m *Metrics) Buckets(held func() int, overflowed func() uint64) {
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "weir", Name: "memory_buckets",
			Help: "Buckets held in this process; a full bucket is forgotten.",
		}, func() float64 { return float64(held()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Namespace: "weir", Name: "memory_overflow_charges_total",
			Help: "Charges judged on a limit's overflow bucket, because the memory store is at its cap.",
		}, func() float64 { return float64(overflowed()) }),
	)
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "weir", Name: name, Help: help})
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "weir", Name: name, Help: help}, labels)
}

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "weir", Name: name, Help: help})
}

func histogram(name, help string) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: "weir", Name: name, Help: help, Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
	})
}

func histograms(name, help string, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "weir", Name: name, Help: help, Buckets: latency}, labels)
}
