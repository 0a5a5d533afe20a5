package telemetry

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// decisions counts what became of the limits that requests met. A counter of the
// library for each limit and outcome takes 1 kB, and three cache misses to find: of
// 100,000 limits that were a third of what a decision costs. Here a limit has one entry
// of some 150 bytes, and counters are made of it when metrics are read.
type decisions struct {
	counted, tokens *prometheus.Desc

	mu       sync.RWMutex
	outcomes []string // the words, in order of their first use; a few
	of       map[limit]*counts
}

type limit struct{ domain, name string }

// counts are those of one limit, by the place of the outcome's word.
type counts struct {
	outcomes [mostOutcomes]atomic.Uint64
	tokens   atomic.Uint64
}

const mostOutcomes = 9

func newDecisions() *decisions {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName("weir", "", name), help, labels, nil)
	}
	return &decisions{
		counted: desc("decisions_total", "Limits that requests met, by what became of each.", "domain", "limit", "outcome"),
		tokens:  desc("charged_tokens_total", "Tokens that requests were charged; of slots, how many they held.", "domain", "limit"),
		of:      map[limit]*counts{},
	}
}

// count records one limit that a request met.
func (d *decisions) count(domain, name, outcome string, tokens int64) {
	d.mu.RLock()
	of, place := d.of[limit{domain, name}], d.place(outcome)
	d.mu.RUnlock()
	if of == nil || place < 0 {
		of, place = d.add(limit{domain, name}, outcome)
	}
	of.outcomes[place].Add(1)
	if tokens > 0 {
		of.tokens.Add(uint64(tokens))
	}
}

// place is that of an outcome's word, -1 if it is new. d.mu is held.
func (d *decisions) place(outcome string) int {
	for i := range d.outcomes {
		if d.outcomes[i] == outcome {
			return i
		}
	}
	return -1
}

func (d *decisions) add(l limit, outcome string) (*counts, int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.of[l] == nil {
		d.of[l] = &counts{}
	}
	if d.place(outcome) < 0 {
		d.outcomes = append(d.outcomes, outcome)
	}
	return d.of[l], d.place(outcome)
}

// Describe implements [prometheus.Collector].
func (d *decisions) Describe(descs chan<- *prometheus.Desc) {
	descs <- d.counted
	descs <- d.tokens
}

// Collect implements [prometheus.Collector].
func (d *decisions) Collect(metrics chan<- prometheus.Metric) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for l, of := range d.of {
		for i, outcome := range d.outcomes {
			if n := of.outcomes[i].Load(); n > 0 {
				metrics <- prometheus.MustNewConstMetric(d.counted, prometheus.CounterValue, float64(n), l.domain, l.name, outcome)
			}
		}
		if n := of.tokens.Load(); n > 0 {
			metrics <- prometheus.MustNewConstMetric(d.tokens, prometheus.CounterValue, float64(n), l.domain, l.name)
		}
	}
}
