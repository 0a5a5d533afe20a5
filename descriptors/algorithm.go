package descriptors

import (
	"slices"
	"time"

	"go.yaml.in/yaml/v4"
)

// The algorithms of a limit, as files name them, and what else becomes a limit.
const (
	tokenBucket   = "token_bucket"
	fixedWindow   = "fixed_window"
	slidingWindow = "sliding_window"
	concurrency   = "concurrency"

	breaker = "breaker"
	draw    = "draw"
)

var algorithms = []string{tokenBucket, fixedWindow, slidingWindow, concurrency}

// fits says which algorithms a field of a limit has a meaning for; a field that
// is not named has one for all.
var fits = map[string][]string{
	"rate":       {tokenBucket, fixedWindow, slidingWindow},
	"burst":      {tokenBucket},
	"initial":    {tokenBucket},
	"max_debt":   {tokenBucket, fixedWindow, slidingWindow},
	"count":      {fixedWindow, slidingWindow},
	"time_zone":  {fixedWindow},
	"week_start": {fixedWindow},
	"slots":      {concurrency},
	"slot_ttl":   {concurrency},
}

// defaultAlgorithm is that of a limit that states none. A bucket that refills
// would admit nearly twice a daily budget on its first day.
func defaultAlgorithm(period time.Duration) string {
	if period >= day {
		return fixedWindow
	}
	return tokenBucket
}

// bucket reads the fields of one limit that make its bucket. sound tells that the
// bucket is known and admits something.
func (w *walker) bucket(n *yaml.Node, fields map[string]field, s *limitSpec) (sound bool) {
	f, chosen := fields["algorithm"]
	if chosen {
		word, ok := w.word(f, algorithms)
		if !ok {
			return false
		}
		s.algorithm = word
	}
	if s.algorithm == concurrency {
		w.misfits(fields, concurrency, true)
		return w.slots(n, fields, &s.limit)
	}
	f, ok := fields["rate"]
	if !ok {
		w.noRate(n, fields, chosen)
		return false
	}
	r, ok := w.rate(f)
	if !ok {
		return false
	}
	if !chosen {
		s.algorithm = defaultAlgorithm(r.period)
	}
	if w.misfits(fields, s.algorithm, chosen) {
		return false
	}
	return w.ratedBucket(f.value, fields, s, r)
}

func (w *walker) noRate(n *yaml.Node, fields map[string]field, chosen bool) {
	if slots, ok := fields["slots"]; ok && !chosen {
		w.fail(slots.key, "write algorithm: concurrency", "the limit has slots and no algorithm")
		return
	}
	w.fail(n, "state one, as in rate: 10/s", "the limit has no rate")
}

// misfits reports the fields that mean nothing for an algorithm.
func (w *walker) misfits(fields map[string]field, algorithm string, chosen bool) (found bool) {
	for name, meant := range fits {
		f, stated := fields[name]
		if !stated || slices.Contains(meant, algorithm) {
			continue
		}
		found = true
		remedy := "remove it, or write algorithm: " + meant[0]
		switch {
		case name == "rate":
			remedy = "remove it: slots say how much is admitted"
		case algorithm == fixedWindow && !chosen:
			remedy = "write algorithm: " + meant[0] + ", or remove it: a day and longer are windows"
		}
		w.fail(f.key, remedy, "%s means nothing with %s", name, algorithm)
	}
	return found
}

// ratedBucket makes the bucket of r and of the other fields, which may be none.
// Faults of the numbers are reported at n.
func (w *walker) ratedBucket(n *yaml.Node, fields map[string]field, s *limitSpec, r rate) (sound bool) {
	if s.reference {
		s.algorithm = defaultAlgorithm(r.period)
	}
	s.terms = terms{rate: r, dates: w.dates}
	if s.algorithm != tokenBucket {
		s.terms.dates = w.calendar(fields, r)
	}
	if f, stated := fields["count"]; stated {
		word, _ := w.word(f, countWords)
		if s.limit.CountSuccess = word == "success"; s.limit.CountSuccess && w.text.dialect == Reference {
			w.fail(f.value, otherwise, "count: success has no meaning here: in the form of envoyproxy/ratelimit nobody tells how a request ends")
		}
	}
	if !w.terms(fields, &s.terms) {
		return false
	}
	return w.flaws(n, fields, s.make()) && r.tokens > 0
}

// maxDebt bounds what a limit may owe: far above any use, and exact beside any
// limit.
const maxDebt = 1 << 50
