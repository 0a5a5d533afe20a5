package stats

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/statsd_exporter/pkg/mapper"
)

// series is what Prometheus calls a metric.
type series struct {
	name   string
	help   string
	labels prometheus.Labels

	// The rest is for times alone.
	scale     float64 // from milliseconds
	summary   *mapper.SummaryOptions
	histogram mapper.HistogramOptions
}

const help = "Counted as the reference rate-limit service does."

// mapping tells which series a dotted name becomes.
type mapping func(name string, kind mapper.MetricType) series

// buckets are those of Prometheus' clients, and some for what is answered from memory.
var buckets = append([]float64{.0001, .00025, .0005, .001, .0025}, prometheus.DefBuckets...)

// defaultMapping gives the series that the reference gives when no mapping is set.
func defaultMapping(asMilliseconds bool) mapping {
	scale := 0.001
	if asMilliseconds {
		scale = 1
	}
	return func(name string, _ mapper.MetricType) series {
		if s, ok := limitSeries(name); ok {
			return s
		}
		if kind, ok := strings.CutPrefix(name, serviceScope+"call.should_rate_limit."); ok {
			return series{name: "ratelimit_service_should_rate_limit_error", labels: prometheus.Labels{"err_type": kind}}
		}
		if rest, ok := strings.CutPrefix(name, serverScope); ok {
			method, what, _ := strings.Cut(rest, ".")
			labels := prometheus.Labels{"grpc_method": method}
			switch what {
			case "total_requests":
				return series{name: "ratelimit_service_total_requests", labels: labels}
			case "response_time":
				return series{name: "ratelimit_service_response_time_seconds", labels: labels, scale: scale, histogram: mapper.HistogramOptions{Buckets: buckets}}
			}
		}
		return series{name: mapper.EscapeMetricName(name)}
	}
}

// limitSeries are the series of a limit. What it is of is in labels, of the first two levels
// alone, as levels beyond would be labels beyond.
func limitSeries(name string) (series, bool) {
	rest, ok := strings.CutPrefix(name, limitScope)
	end := strings.LastIndexByte(rest, '.')
	if !ok || end < 0 {
		return series{}, false
	}
	s := series{name: mapper.EscapeMetricName(limitScope + rest[end+1:])}
	if rest[end+1:] == notFound {
		s.labels = prometheus.Labels{"domain": rest[:end]}
		return s, true
	}
	levels := strings.Split(rest[:end], ".")
	s.labels = prometheus.Labels{}
	for i, label := range []string{"domain", "key1", "key2"} {
		if i < len(levels) {
			s.labels[label] = levels[i]
		}
	}
	return s, true
}

// fileMapping reads a mapping for statsd_exporter. What it does not map gets a name of the
// dotted one, except for limits: clients can make theirs, so they stay in labels.
func fileMapping(path string) (mapping, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m := &mapper.MetricMapper{Logger: promslog.NewNopLogger()}
	if err := m.InitFromYAMLString(string(text)); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return func(name string, kind mapper.MetricType) series {
		found, labels, ok := m.GetMapping(name, kind)
		if !ok {
			if s, ok := limitSeries(name); ok {
				return s
			}
			return series{name: mapper.EscapeMetricName(name), scale: 1, summary: &m.Defaults.SummaryOptions}
		}
		if found.Action == mapper.ActionTypeDrop {
			return series{}
		}
		s := series{name: mapper.EscapeMetricName(found.Name), help: found.HelpText, labels: labels, scale: 1}
		if found.Scale.Set {
			s.scale = found.Scale.Val
		}
		if found.ObserverType == mapper.ObserverTypeHistogram {
			s.histogram = *found.HistogramOptions
		} else if s.summary = found.SummaryOptions; s.summary == nil {
			s.summary = &m.Defaults.SummaryOptions
		}
		return s
	}, nil
}

// observer counts times.
type observer interface {
	prometheus.Observer
	prometheus.Collector
}

// observer returns a series that counts times. The client library panics where a mapping is
// wrong, as for buckets that are not in order.
func (s series) observer() (o observer, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	if s.summary == nil {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: s.name, Help: s.help, ConstLabels: s.labels, Buckets: slices.Clone(s.histogram.Buckets),
			NativeHistogramBucketFactor: s.histogram.NativeHistogramBucketFactor, NativeHistogramMaxBucketNumber: s.histogram.NativeHistogramMaxBuckets,
		}), nil
	}
	objectives := map[float64]float64{}
	for _, q := range s.summary.Quantiles {
		objectives[q.Quantile] = q.Error
	}
	return prometheus.NewSummary(prometheus.SummaryOpts{
		Name: s.name, Help: s.help, ConstLabels: s.labels, Objectives: objectives,
		MaxAge: s.summary.MaxAge, AgeBuckets: s.summary.AgeBuckets, BufCap: s.summary.BufCap,
	}), nil
}
