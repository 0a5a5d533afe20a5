package descriptors

import (
	"errors"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/weir-rls/weir/buckets"
)

// maxRefill is the longest period of a token bucket: budgets of a month or a year
// want windows.
const maxRefill = 4 * week

// tokenBucket makes a token bucket of r and of the other fields, and answers the
// terms of it too.
func (w *walker) tokenBucket(n *yaml.Node, fields map[string]field, limit *Limit, r rate) (terms buckets.Terms, sound bool) {
	if r.period > maxRefill {
		w.fail(n, "use fixed_window or sliding_window", "a token bucket refills in at most 4 weeks")
		return terms, false
	}
	burst, sound := r.tokens, true
	b, burstStated := fields["burst"]
	if burstStated {
		burst, sound = w.integer(b, 1, buckets.MaxTicks)
	}
	missing, ok := w.initial(fields, burst, sound)
	sound = sound && ok
	debt, ok := w.debt(fields, burst)
	if !sound || !ok {
		return terms, false
	}
	terms = buckets.Terms{Tokens: r.tokens, Period: r.period, Capacity: burst, Missing: missing, MaxDebt: debt, MaxWait: limit.MaxWait}
	_, debtStated := fields["max_debt"]
	if limit.Bucket, ok = w.compileTerms(n, &terms, debtStated); !ok {
		return terms, false
	}
	if r.period >= day && r.tokens > 0 && !burstStated {
		w.warn(n, "state a smaller burst, or use fixed_window, if that is too much",
			"a full bucket refills while it is used: up to %d may pass in the first %s", 2*r.tokens, limit.PeriodText())
	}
	return terms, r.tokens > 0
}

// compileTerms compiles a token bucket or reports at n why it cannot be.
func (w *walker) compileTerms(n *yaml.Node, terms *buckets.Terms, debtStated bool) (buckets.Bucket, bool) {
	bucket, err := terms.TokenBucket()
	if err != nil && !debtStated {
		var gaveUp bool
		if bucket, gaveUp, err = withDebt(terms); gaveUp {
			w.warn(n, "choose a smaller burst or a rounder rate, or write max_debt: 0",
				"a debt of the burst cannot be counted exactly: what is used after the end is charged down to an empty bucket at most")
		}
	}
	if err != nil {
		remedy := ""
		if terms.MaxWait > 0 {
			remedy = "or a shorter max_wait"
		}
		w.fail(n, remedy, "%v", err)
		return nil, false
	}
	return bucket, true
}

// withDebt compiles terms whose debt nobody asked for: it is given up, and
// without is true, if the numbers are exact only then.
func withDebt(terms *buckets.Terms) (bucket buckets.TokenBucket, without bool, err error) {
	bucket, err = terms.TokenBucket()
	if !errors.Is(err, buckets.ErrInexact) || terms.MaxDebt == 0 {
		return bucket, false, err
	}
	alone := *terms
	alone.MaxDebt = 0
	exact, inexact := alone.TokenBucket()
	if inexact != nil {
		return bucket, false, err
	}
	*terms = alone
	return exact, true, nil
}

// initial is how many tokens a bucket lacks that was never seen. sound tells that
// the burst is known.
func (w *walker) initial(fields map[string]field, burst int64, sound bool) (missing int64, ok bool) {
	f, stated := fields["initial"]
	if !stated {
		return 0, true
	}
	if f.value.Kind == yaml.ScalarNode && f.value.Tag == "!!int" {
		level, ok := w.integer(f, 0, buckets.MaxTicks)
		if ok && sound && level > burst {
			w.fail(f.value, "write full, or raise the burst", "initial is %d, more than the bucket's capacity, %d", level, burst)
			return 0, false
		}
		return burst - level, ok
	}
	switch f.value.Value {
	case "full":
		return 0, true
	case "empty":
		return burst, true
	}
	w.fail(f.value, "use full, empty or a number of tokens", "initial cannot be %s", kindOf(f.value))
	return 0, false
}

const (
	maxWait           = day
	defaultMaxWaiters = 1000
	mostWaiters       = 1_000_000
)

// waiting reads how long, and how many, callers may wait for a limit.
func (w *walker) waiting(fields map[string]field, limit *Limit) {
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
