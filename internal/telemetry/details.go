package telemetry

import (
	"strings"
	"sync"
	"unicode"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-rls/weir/descriptors"
)

// Bounds of what clients can make series of, by the values that they send. Of each value
// there is a series for each outcome that it had, and one of tokens.
const (
	mostDetails        = 1000 // in all
	mostDetailsOfLimit = 100
	mostDetailBytes    = 200 // of one
)

// otherDetail stands for all values that are beyond a bound.
const otherDetail = "other"

// details count what became of limits by the values that clients sent, where a rule asks
// for that. The first values that come are told apart until the process ends; with the
// name of a limit there is one series more for all others, as there are names in the rules.
type details struct {
	counted, tokens *prometheus.Desc
	decisions       *decisions // whose words for outcomes these are

	mu      sync.RWMutex
	of      map[detailed]*descriptors.Tally
	ofLimit map[limit]int
	all     int
}

type detailed struct {
	limit
	detail string
}

func newDetails(d *decisions) *details {
	return &details{
		counted: prometheus.NewDesc("weir_detailed_decisions_total", "Limits with detailed_metric or value_to_metric that requests met, by what clients sent and what became of each.",
			[]string{"domain", "limit", "detail", "outcome"}, nil),
		tokens: prometheus.NewDesc("weir_detailed_charged_tokens_total", "Tokens that requests were charged of limits with detailed_metric or value_to_metric, by what clients sent.",
			[]string{"domain", "limit", "detail"}, nil),
		decisions: d, of: map[detailed]*descriptors.Tally{}, ofLimit: map[limit]int{},
	}
}

// count records one limit that a request met, which [decisions.count] was told before.
func (d *details) count(l *descriptors.Limit, detail, outcome string, tokens int64) {
	of := d.tally(detailed{limit{l.Domain, l.Name}, detailLabel(detail)})
	of.Outcomes[d.decisions.place(outcome)].Add(1)
	if tokens > 0 {
		of.Tokens.Add(uint64(tokens))
	}
}

// tally finds what is counted of a detail, or of all others.
func (d *details) tally(at detailed) *descriptors.Tally {
	other := detailed{at.limit, otherDetail}
	d.mu.RLock()
	of := d.of[at]
	if of == nil && d.full(at.limit) {
		of = d.of[other]
	}
	d.mu.RUnlock()
	if of != nil {
		return of
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.of[at] == nil && d.full(at.limit) {
		at = other
	}
	if of = d.of[at]; of == nil {
		of = &descriptors.Tally{}
		d.of[at] = of
		if at != other {
			d.ofLimit[at.limit]++
			d.all++
		}
	}
	return of
}

// full tells that no more details of a limit are told apart. d.mu is held.
func (d *details) full(l limit) bool {
	return d.all >= mostDetails || d.ofLimit[l] >= mostDetailsOfLimit
}

// detailLabel is a text of a client's as the value of a label: of whole characters, without
// those that are not printable, and not longer than the bound.
func detailLabel(s string) string {
	end := ""
	if len(s) > mostDetailBytes {
		s, end = s[:mostDetailBytes], "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s) + end
}

// Describe implements [prometheus.Collector].
func (d *details) Describe(descs chan<- *prometheus.Desc) {
	descs <- d.counted
	descs <- d.tokens
}

// Collect implements [prometheus.Collector].
func (d *details) Collect(metrics chan<- prometheus.Metric) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	outcomes := *d.decisions.outcomes.Load()
	for at, of := range d.of {
		for k, outcome := range outcomes {
			if n := of.Outcomes[k].Load(); n > 0 {
				metrics <- prometheus.MustNewConstMetric(d.counted, prometheus.CounterValue, float64(n), at.domain, at.name, at.detail, outcome)
			}
		}
		if n := of.Tokens.Load(); n > 0 {
			metrics <- prometheus.MustNewConstMetric(d.tokens, prometheus.CounterValue, float64(n), at.domain, at.name, at.detail)
		}
	}
}
