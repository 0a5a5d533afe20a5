package descriptors

import (
	"time"

	"github.com/weir-rls/weir/buckets"
)

const (
	minOpenFor = 100 * time.Millisecond
	maxOpenFor = day

	// minProbeTTL is how long a probe may take at least before it is given up: one
	// that is given up too early lets another request through to a service that
	// is perhaps just slow.
	minProbeTTL = 30 * time.Second
)

// breaker reads a circuit breaker.
func (w *walker) breaker(f field) *limitSpec {
	fields, ok := w.fields(f.value, breakerFields)
	if !ok {
		return nil
	}
	s := &limitSpec{meaning: &meaning{algorithm: breaker, limit: w.defaults}, at: at(w.text, f.key)}
	w.common(fields, s)
	b := buckets.Breaker{Failures: 5, Probes: 1}
	if f, ok := fields["failures"]; ok {
		b.Failures, _ = w.integer(f, 1, 1_000_000)
	}
	if f, ok := fields["probes"]; ok {
		b.Probes, _ = w.integer(f, 1, 1000)
	}
	openFor := 30 * time.Second
	if f, ok := fields["open_for"]; ok {
		openFor, _ = w.duration(f, minOpenFor, maxOpenFor, "a breaker tries again within a day")
	}
	b.OpenFor, b.ProbeTTL = openFor.Microseconds(), max(openFor, minProbeTTL).Microseconds()
	s.limit.Bucket = b
	return s
}
