package stats

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	client "github.com/DataDog/datadog-go/v5/statsd"
)

// Mogrifier renames metrics and gives them tags, for dogstatsd.
type Mogrifier struct {
	Name    string            // what the settings call it
	Pattern string            // a regular expression
	Metric  string            // new name; $1 is what the first group matched
	Tags    map[string]string // likewise
}

// dogstatsd sends lines over UDP, with tags.
type dogstatsd struct {
	interval   time.Duration
	tags       []string
	mogrifiers []mogrifier
	client     *client.Client
	sent       map[numberKey]uint64 // of each counter
}

type mogrifier struct {
	pattern *regexp.Regexp
	metric  string
	tags    map[string]string
}

func newDogstatsd(o Options) (*dogstatsd, error) {
	d := &dogstatsd{interval: o.FlushInterval, sent: map[numberKey]uint64{}}
	for _, key := range slices.Sorted(maps.Keys(o.ExtraTags)) {
		d.tags = append(d.tags, key+":"+o.ExtraTags[key])
	}
	for _, m := range o.Mogrifiers {
		compiled, err := m.compile()
		if err != nil {
			return nil, fmt.Errorf("USE_DOG_STATSD_MOGRIFIERS: DOG_STATSD_MOGRIFIER_%s_%w", m.Name, err)
		}
		d.mogrifiers = append(d.mogrifiers, compiled)
	}
	var err error
	// Counters are added up here already, and the client would hold them back.
	d.client, err = client.New(o.StatsdAddress, client.WithoutClientSideAggregation())
	if err != nil {
		return nil, fmt.Errorf("dogstatsd at %s, which STATSD_HOST and STATSD_PORT name: %w", o.StatsdAddress, err)
	}
	return d, nil
}

var group = regexp.MustCompile(`\$\d+`)

// compile checks a mogrifier. An error begins with the end of the setting's name.
func (m Mogrifier) compile() (mogrifier, error) {
	switch {
	case m.Pattern == "":
		return mogrifier{}, fmt.Errorf("PATTERN is not set: it must be a regular expression")
	case m.Metric == "":
		return mogrifier{}, fmt.Errorf("NAME is not set: it must name the metric, with $1 for what the first group matched")
	}
	pattern, err := regexp.Compile(m.Pattern)
	if err != nil {
		return mogrifier{}, fmt.Errorf("PATTERN: %w", err)
	}
	check := func(setting, template string) error {
		for _, g := range group.FindAllString(template, -1) {
			if n, err := strconv.Atoi(g[1:]); err != nil || n > pattern.NumSubexp() {
				return fmt.Errorf("%s has %s, but the pattern %q has %d groups", setting, g, m.Pattern, pattern.NumSubexp())
			}
		}
		return nil
	}
	if err := check("NAME", m.Metric); err != nil {
		return mogrifier{}, err
	}
	for _, key := range slices.Sorted(maps.Keys(m.Tags)) {
		if key == "" || m.Tags[key] == "" {
			return mogrifier{}, fmt.Errorf("TAGS has the tag %q:%q: a tag needs a key and a value", key, m.Tags[key])
		}
		if err := check("TAGS", m.Tags[key]); err != nil {
			return mogrifier{}, err
		}
	}
	return mogrifier{pattern, m.Metric, m.Tags}, nil
}

// mogrify returns the name and the tags by which a metric is sent.
func (d *dogstatsd) mogrify(name string) (string, []string) {
	for _, m := range d.mogrifiers {
		found := m.pattern.FindStringSubmatch(name)
		if found == nil {
			continue
		}
		fill := func(template string) string {
			return group.ReplaceAllStringFunc(template, func(g string) string {
				n, _ := strconv.Atoi(g[1:])
				return found[n]
			})
		}
		tags := slices.Clone(d.tags)
		for _, key := range slices.Sorted(maps.Keys(m.tags)) {
			// A comma would begin another tag.
			tags = append(tags, key+":"+strings.ReplaceAll(fill(m.tags[key]), ",", "_"))
		}
		return fill(m.metric), tags
	}
	return name, d.tags
}

func (d *dogstatsd) timer(name string) func(time.Duration) {
	name, tags := d.mogrify(name)
	return func(took time.Duration) {
		_ = d.client.TimeInMilliseconds(name, milliseconds(took), tags, 1)
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (d *dogstatsd) run(ctx context.Context, stats *Stats) error {
	return every(ctx, d.interval, func(context.Context) { d.flush(stats) })
}

// flush sends what has changed. What UDP loses is lost.
func (d *dogstatsd) flush(stats *Stats) {
	stats.read(func(v number) bool {
		grown := v.n - d.sent[v.key()]
		if v.grows && grown == 0 {
			return true
		}
		name, tags := d.mogrify(v.name())
		if !v.grows {
			_ = d.client.Gauge(name, float64(v.n), tags, 1)
			return true
		}
		_ = d.client.Count(name, whole(grown), tags, 1)
		d.sent[v.key()] = v.n
		return true
	})
	_ = d.client.Flush()
}

func (d *dogstatsd) close() { _ = d.client.Close() }
