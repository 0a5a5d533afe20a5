package telemetry

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// traceLabel is the label of an exemplar by which Grafana finds a trace.
const traceLabel = "trace_id"

// mostExemplars bounds the counters that have an exemplar: of some 100 bytes each.
const mostExemplars = 1024

// exemplars are the last traces that were seen at counters of decisions.
type exemplars struct {
	mu   sync.Mutex
	seen map[counted]exemplar
}

type counted struct {
	limit
	outcome string
}

type exemplar struct {
	trace string
	at    time.Time
}

// note keeps a trace. Where there are too many those before are forgotten.
func (e *exemplars) note(l limit, outcome, trace string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.seen == nil {
		e.seen = map[counted]exemplar{}
	}
	at := counted{l, outcome}
	if _, known := e.seen[at]; !known && len(e.seen) >= mostExemplars {
		clear(e.seen)
	}
	e.seen[at] = exemplar{trace, time.Now()}
}

// with is a counter with its exemplar, if it has one.
func (e *exemplars) with(m prometheus.Metric, l limit, outcome string) prometheus.Metric {
	e.mu.Lock()
	last, known := e.seen[counted{l, outcome}]
	e.mu.Unlock()
	if !known {
		return m
	}
	with, err := prometheus.NewMetricWithExemplars(m, prometheus.Exemplar{Value: 1, Labels: prometheus.Labels{traceLabel: last.trace}, Timestamp: last.at})
	if err != nil { // a label that is too long, and this one is not
		return m
	}
	return with
}

// observe adds a time to a histogram, with its trace if it has one.
func observe(o prometheus.Observer, took time.Duration, traceID string) {
	if traceID == "" {
		o.Observe(took.Seconds())
		return
	}
	o.(prometheus.ExemplarObserver).ObserveWithExemplar(took.Seconds(), prometheus.Labels{traceLabel: traceID})
}
