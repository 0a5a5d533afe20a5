package descriptors

import (
	"time"

	"go.yaml.in/yaml/v4"
)

const (
	maxWait           = day
	defaultMaxWaiters = 1000
	mostWaiters       = 1_000_000
)

// waiting reads how long, and how many, callers may wait for a limit.
func (w *walker) waiting(fields map[string]field, limit *Settings) {
	f, waits := fields["max_wait"]
	if waits {
		limit.MaxWait, _ = w.duration(f, time.Millisecond, maxWait, "a caller that waits longer than a day has gone")
		limit.MaxWaiters = defaultMaxWaiters
	}
	if f, stated := fields["max_waiters"]; stated {
		if !waits {
			w.fail(f.key, "state max_wait too, or remove it", "max_waiters means nothing without max_wait")
		}
		n, _ := w.integer(f, 1, mostWaiters)
		limit.MaxWaiters = int(n)
	}
}

// duration reads a duration in [least, most]; reason tells why no longer one is
// taken.
func (w *walker) duration(f field, least, most time.Duration, reason string) (time.Duration, bool) {
	d, err := time.ParseDuration(f.value.Value)
	name := printable(f.key.Value, maxShown)
	switch {
	case f.value.Kind != yaml.ScalarNode || f.value.Tag != "!!str" || err != nil || d%time.Microsecond != 0:
		w.fail(f.value, "write it as in 500ms, 30s, 10m or 1h", "%s cannot be %s", name, kindOf(f.value))
	case d > most:
		w.fail(f.value, "write at most "+shortly(most), "%s is %s: %s", name, quote(f.value.Value), reason)
	case d < least:
		w.fail(f.value, "write at least "+shortly(least), "%s is %s, too short", name, quote(f.value.Value))
	default:
		return d, true
	}
	return 0, false
}

// shortly is a duration without the units that are 0: 24h and not 24h0m0s.
func shortly(d time.Duration) string {
	switch {
	case d%time.Hour == 0:
		return d.Truncate(time.Hour).String()[:len(d.String())-len("0m0s")]
	case d%time.Minute == 0:
		return d.String()[:len(d.String())-len("0s")]
	}
	return d.String()
}
