package telemetry

import (
	"iter"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// live are the metrics of what changes while weir runs.
type live struct {
	changes       *prometheus.GaugeVec
	ledger        prometheus.Gauge
	sizes         *prometheus.GaugeVec
	events        *prometheus.CounterVec
	eventsDropped *prometheus.CounterVec
	lines         *prometheus.CounterVec
	refused       *prometheus.CounterVec
	grpcRefused   *prometheus.CounterVec
	adsConnected  prometheus.Gauge
	adsUpdated    prometheus.Gauge
	adsRejected   prometheus.Counter
}

func newLive() live {
	l := live{
		changes: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "weir", Name: "changes", Help: "Changes of limits that are set while weir runs, by whether they are in force or do not fit the rules.",
		}, []string{"state"}),
		ledger: gauge("ledger_up", "1 while the ledger of what is set answers; 0: what is known stays in force."),
		sizes: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "weir", Name: "pool_size", Help: "Tokens or slots of the pools whose size is not the one that the rules state, as applied in this replica.",
		}, []string{"domain", "pool"}),
		events:        counters("events_total", "Events that were delivered, by sink.", "sink"),
		eventsDropped: counters("events_dropped_total", "Events that were not delivered, by sink.", "sink"),
		lines:         counters("line_requests_total", "Lines of the line protocol, by verb and result.", "verb", "result"),
		refused:       counters("http_refused_total", "Requests to the HTTP port by who may not use what is asked for, by status.", "status"),
		grpcRefused:   counters("grpc_refused_total", "Calls to the gRPC port that were refused, by whether their secret was missing or wrong.", "why"),
		adsConnected:  gauge("ads_connected", "1 while there is a stream to the control plane of --rules-ads, else 0."),
		adsUpdated:    gauge("ads_last_update_timestamp_seconds", "When the last response of the control plane was accepted, 0: none was."),
		adsRejected:   counter("ads_rejected_total", "Responses of the control plane with an error, those that it repeats not counted."),
	}
	l.ledger.Set(1)
	return l
}

func (l live) collectors() []prometheus.Collector {
	return []prometheus.Collector{l.changes, l.ledger, l.sizes, l.events, l.eventsDropped, l.lines, l.refused, l.grpcRefused, l.adsConnected, l.adsUpdated, l.adsRejected}
}

// Changes publishes how many changes of limits are in force, and how many are left
// out because they do not fit.
func (m *Metrics) Changes(inForce, leftOut int) {
	m.live.changes.WithLabelValues("in_force").Set(float64(inForce))
	m.live.changes.WithLabelValues("left_out").Set(float64(leftOut))
}

// Ledger publishes whether the ledger of what is set answers.
func (m *Metrics) Ledger(up bool) {
	m.live.ledger.Set(0)
	if up {
		m.live.ledger.Set(1)
	}
}

// PoolSizes publishes the sizes that pools of the rules have now, in place of
// those before.
func (m *Metrics) PoolSizes(each iter.Seq2[[2]string, int64]) {
	m.live.sizes.Reset()
	for pool, size := range each {
		m.live.sizes.WithLabelValues(pool[0], pool[1]).Set(float64(size))
	}
}

// EventsSent counts events that a sink took; its name is one of a few words.
func (m *Metrics) EventsSent(sink string, n int) { m.live.events.WithLabelValues(sink).Add(float64(n)) }

// EventsDropped counts events that a sink never got.
func (m *Metrics) EventsDropped(sink string, n int) {
	m.live.eventsDropped.WithLabelValues(sink).Add(float64(n))
}

// Line counts an answer of the line protocol; both are of a few words.
func (m *Metrics) Line(verb, result string) { m.live.lines.WithLabelValues(verb, result).Inc() }

// HTTPRefused counts a request to the HTTP port that was refused with a status.
func (m *Metrics) HTTPRefused(status int) {
	m.live.refused.WithLabelValues(strconv.Itoa(status)).Inc()
}

// GRPCRefused counts a call to the gRPC port that was refused; why is one of two words.
func (m *Metrics) GRPCRefused(why string) { m.live.grpcRefused.WithLabelValues(why).Inc() }

// ADSConnected publishes whether there is a stream to the control plane.
func (m *Metrics) ADSConnected(connected bool) {
	m.live.adsConnected.Set(0)
	if connected {
		m.live.adsConnected.Set(1)
	}
}

// ADSUpdated notes that a response of the control plane was accepted.
func (m *Metrics) ADSUpdated() { m.live.adsUpdated.SetToCurrentTime() }

// ADSRejected counts a response of the control plane that was not.
func (m *Metrics) ADSRejected() { m.live.adsRejected.Inc() }
