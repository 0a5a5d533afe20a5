package descriptors

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/weir-rls/weir/buckets"
)

// terms are what is stated of a limit that has a rate and decides over its bucket,
// whose algorithm is known.
type terms struct {
	rate       rate
	burst      int64 // 0: not stated
	debt       int64
	debtStated bool
	initial    initial
	level      int64 // of a bucket never seen that is partlyFull
	kept       int64 // tokens that could be used before a change, and stay used
	dates      dates // of a fixed window
}

// initial is how a bucket that was never seen begins.
type initial uint8

const (
	full initial = iota
	empty
	partlyFull
)

// flaw is what contradicts itself in what is stated of a limit, and the field to
// blame.
type flaw struct {
	severity               Severity
	field, message, remedy string
	algorithm              bool // the remedy is another algorithm
}

// flaws reports flaws where their fields stand, of those that do not at n.
func (w *walker) flaws(n *yaml.Node, fields map[string]field, flaws []flaw) (sound bool) {
	sound = true
	for _, f := range flaws {
		at := n
		if stated, ok := fields[f.field]; ok {
			at = stated.value
		}
		w.report(f.severity, at, f.remedy, "%s", f.message)
		sound = sound && f.severity != Error
	}
	return sound
}

// terms reads the terms beside the rate.
func (w *walker) terms(fields map[string]field, t *terms) (sound bool) {
	sound = true
	if f, ok := fields["burst"]; ok {
		t.burst, sound = w.integer(f, 1, buckets.MaxTicks)
	}
	if f, ok := fields["max_debt"]; ok {
		t.debt, t.debtStated = w.integer(f, 0, maxDebt)
		sound = sound && t.debtStated
	}
	if f, ok := fields["initial"]; ok {
		sound = w.initial(f, t) && sound
	}
	return sound
}

// initial reads how many tokens a bucket has that was never seen.
func (w *walker) initial(f field, t *terms) (ok bool) {
	if f.value.Kind == yaml.ScalarNode && f.value.Tag == "!!int" {
		t.initial = partlyFull
		t.level, ok = w.integer(f, 0, buckets.MaxTicks)
		return ok
	}
	switch f.value.Value {
	case "full":
		t.initial = full
	case "empty":
		t.initial = empty
	default:
		w.fail(f.value, "use full, empty or a number of tokens", "initial cannot be %s", kindOf(f.value))
		return false
	}
	return true
}

// maxRefill is the longest period of a token bucket: budgets of a month or a year
// want windows.
const maxRefill = 4 * week

// tokenBucket makes a token bucket of t, and answers it as the store's terms too.
func (t *terms) tokenBucket(limit *Settings) (made buckets.Terms, flaws []flaw) {
	limit.Requests, limit.Period = t.rate.tokens, t.rate.period
	burst := cmp.Or(t.burst, t.rate.tokens)
	made = buckets.Terms{Tokens: t.rate.tokens, Period: t.rate.period, Capacity: burst, MaxDebt: t.owes(burst), MaxWait: limit.MaxWait}
	switch {
	case t.rate.period > maxRefill:
		return made, []flaw{{Error, "rate", "a token bucket refills in at most 4 weeks", "use fixed_window or sliding_window", true}}
	case t.initial == empty:
		made.Missing = burst
	case t.initial == partlyFull && t.level > burst:
		message := fmt.Sprintf("initial is %d, more than the bucket's capacity, %d", t.level, burst)
		return made, []flaw{{Error, "initial", message, "write full, or raise the burst", false}}
	case t.initial == partlyFull:
		made.Missing = burst - t.level
	}
	bucket, err := made.TokenBucket()
	if err != nil && !t.debtStated {
		var gaveUp bool
		if bucket, gaveUp, err = withDebt(&made); gaveUp {
			flaws = append(flaws, flaw{
				Warning, "rate", "a debt of the burst cannot be counted exactly: what is used after the end is charged down to an empty bucket at most",
				"choose a smaller burst or a rounder rate, or write max_debt: 0", false,
			})
		}
	}
	if err != nil {
		remedy := ""
		if made.MaxWait > 0 {
			remedy = "or a shorter max_wait"
		}
		return made, append(flaws, flaw{Error, "rate", err.Error(), remedy, false})
	}
	limit.Bucket = t.keeping(&made, bucket)
	if t.rate.period >= day && t.rate.tokens > 0 && t.burst == 0 {
		flaws = append(flaws, flaw{
			Warning, "rate", fmt.Sprintf("a full bucket refills while it is used: up to %d may pass in the first %s", 2*t.rate.tokens, limit.PeriodText()),
			"state a smaller burst, or use fixed_window, if that is too much", false,
		})
	}
	return made, flaws
}

// keeping is the bucket of made that keeps what was used before a change, as much
// of it as the same clock counts: a coarser one would overstate delays.
func (t *terms) keeping(made *buckets.Terms, bucket buckets.TokenBucket) buckets.TokenBucket {
	if t.kept <= made.Capacity || made.Tokens == 0 {
		return bucket
	}
	keeps := *made
	keeps.Kept = max(0, min(t.kept, buckets.MaxTicks/4/bucket.TicksPerToken)-made.Capacity)
	if kept, err := keeps.TokenBucket(); err == nil {
		*made = keeps
		return kept
	}
	return bucket
}

// keepingPool is the same of a pool.
func keepingPool(terms buckets.Terms, of []buckets.ClassTerms) (bucket buckets.TokenBucket, classes []buckets.Class, err error) {
	plain := terms
	plain.Kept = 0
	bucket, classes, err = buckets.NewPool(plain, of)
	if err != nil || terms.Kept == 0 {
		return bucket, classes, err
	}
	if kept, parts, err := buckets.NewPool(terms, of); err == nil && kept.Quantum == bucket.Quantum {
		return kept, parts, nil
	}
	return bucket, classes, nil
}

// owes is how many tokens a settlement may overdraw.
func (t *terms) owes(otherwise int64) int64 {
	if t.debtStated {
		return t.debt
	}
	return otherwise
}

// make makes the bucket of a limit that has a rate.
func (s *limitSpec) make() (flaws []flaw) {
	l, r := &s.limit, s.terms.rate
	l.Requests, l.Period = r.tokens, r.period
	switch s.algorithm {
	case tokenBucket:
		_, flaws = s.terms.tokenBucket(l)
	case slidingWindow:
		l.Bucket = buckets.SlidingWindow{Limit: r.tokens, Debt: s.terms.owes(r.tokens), Window: r.period.Microseconds(), Parts: buckets.DefaultParts}
	default:
		if r.period < time.Second {
			flaws = []flaw{{
				Error, "rate", "a fixed window is a second or longer: a shorter one would be over before the store is asked",
				"write algorithm: token_bucket or sliding_window", true,
			}}
		}
		l.Bucket = buckets.FixedWindow{Limit: r.tokens, Debt: s.terms.owes(r.tokens), Calendar: s.terms.dates.calendar(r)}
	}
	return flaws
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
