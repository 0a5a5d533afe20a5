package descriptors

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-rls/weir/buckets"
	"go.yaml.in/yaml/v4"
)

const (
	day  = 24 * time.Hour
	week = 7 * day

	// maxTokens bounds what a rate may add in a period: it is Envoy's bound too,
	// which reports the number as 32 bits.
	maxTokens = math.MaxUint32
	// maxPeriod is the longest period of a token bucket: budgets of a month or a
	// year want calendar windows.
	maxPeriod = 4 * week
)

// Remedies for a rate that cannot be read.
const (
	rateForms   = "write N/PERIOD, as in 10/s"
	numberForms = "write a whole number from 0 to 4294967295, without sign, point or leading zero"
	periodForms = "use s, min, hour, day or week, or several of them as in 30s, 5min or 1500ms"
)

// periods are the units of a rate.
var periods = map[string]time.Duration{
	"ms": time.Millisecond, "s": time.Second, "min": time.Minute, "hour": time.Hour, "day": day, "week": week,
}

// limitSpec is a limit as a file states it.
type limitSpec struct {
	limit     Limit // without Domain and Name
	algorithm string
	name      string // empty if the file gives none
	at        place  // of the name, else of the limit
	reference bool   // of the form rate_limit, whose names need not be unique
	replaces  []replacement
}

// limits reads a list of limits.
func (w *walker) limits(f field) []*limitSpec {
	items, ok := w.items(f)
	switch {
	case !ok:
		return nil
	case len(items) == 0:
		w.fail(f.value, "remove it, or state a limit", "limits is empty")
	case len(items) > buckets.MaxCharges:
		w.fail(f.value, "", "%d limits on one descriptor, more than %d", len(items), buckets.MaxCharges)
	}
	var specs []*limitSpec
	for _, n := range items {
		if s := w.limit(n); s != nil {
			specs = append(specs, s)
		}
	}
	return specs
}

// limit reads one limit of weir's own form.
func (w *walker) limit(n *yaml.Node) *limitSpec {
	fields, ok := w.fields(n, limitFields)
	if !ok {
		return nil
	}
	s := &limitSpec{algorithm: "token_bucket", at: at(w.text, n), limit: w.defaults}
	if f, ok := fields["algorithm"]; ok {
		w.word(f, []string{"token_bucket"}, []string{"fixed_window", "sliding_window", "concurrency"})
	}
	if f, ok := fields["name"]; ok {
		s.name, s.at = w.name(f), at(w.text, f.value)
	}
	w.enforcement(fields, &s.limit)
	w.replaces(fields, s)
	if f, ok := fields["on_store_error"]; ok {
		s.limit.OnStoreError = w.onStoreError(f)
	}
	if f, ok := fields["response"]; ok {
		s.limit.Response = w.response(f)
	}
	sound := w.bucket(n, fields, &s.limit)
	if f, ok := fields["weight"]; ok {
		s.limit.Weight = w.weight(f, s.limit.Bucket.Capacity, sound)
	}
	return s
}

// bucket reads rate and burst into limit. sound tells that the bucket's
// capacity is known.
func (w *walker) bucket(n *yaml.Node, fields map[string]field, limit *Limit) (sound bool) {
	rate, stated := fields["rate"]
	if !stated {
		w.fail(n, "state one, as in rate: 10/s", "the limit has no rate")
	}
	tokens, period, sound := int64(0), time.Duration(0), false
	if stated {
		tokens, period, sound = w.rate(rate)
	}
	burst := tokens
	b, burstStated := fields["burst"]
	if burstStated {
		var ok bool
		burst, ok = w.integer(b, 1, buckets.MaxTicks)
		sound = sound && ok
	}
	return sound && w.compileBucket(rate.value, limit, tokens, period, burst, burstStated)
}

// rate reads N/PERIOD.
func (w *walker) rate(f field) (tokens int64, period time.Duration, ok bool) {
	n := f.value
	if n.Kind != yaml.ScalarNode || !slices.Contains([]string{"!!str", "!!int", "!!float"}, n.Tag) {
		w.fail(n, rateForms, "rate cannot be %s", kindOf(n))
		return 0, 0, false
	}
	number, unit, found := strings.Cut(n.Value, "/")
	if !found {
		w.fail(n, rateForms, "the rate %s has no period", quote(n.Value))
		return 0, 0, false
	}
	tokens, err := decimal(number)
	ok = err == nil && tokens <= maxTokens
	if !ok {
		w.fail(n, numberForms, "%s is not a number of tokens", quote(number))
	}
	period, message, remedy := parsePeriod(unit)
	if message != "" {
		w.fail(n, remedy, "%s", message)
	}
	return tokens, period, ok && message == ""
}

// parsePeriod reads a unit of time, or a number of them. What it cannot read it
// explains in message and remedy.
func parsePeriod(s string) (period time.Duration, message, remedy string) {
	letters := strings.TrimLeft(s, "0123456789")
	digits := s[:len(s)-len(letters)]
	if letters == "month" || letters == "year" {
		return 0, quote(s) + " is not supported yet: a token bucket holds at most 4 weeks", periodForms
	}
	unit, known := periods[letters]
	if !known {
		return 0, quote(s) + " is not a period", periodForms
	}
	if digits == "" {
		return unit, "", ""
	}
	switch count, err := decimal(digits); {
	case err != nil && !errors.Is(err, strconv.ErrRange) || count == 0:
		return 0, quote(s) + " is not a period", periodForms
	case err != nil || count > int64(maxPeriod/unit):
		return 0, "the period " + quote(s) + " is longer than 4 weeks, which is not supported yet", periodForms
	default:
		return time.Duration(count) * unit, "", ""
	}
}

// compileBucket fills the numbers of limit, or reports at n why they cannot be.
func (w *walker) compileBucket(n *yaml.Node, limit *Limit, tokens int64, period time.Duration, burst int64, burstStated bool) bool {
	bucket, err := buckets.NewTokenBucket(tokens, period, burst)
	if err != nil {
		w.fail(n, "", "%v", err)
		return false
	}
	limit.Requests, limit.Period, limit.Bucket = tokens, period, bucket
	if period >= day && tokens > 0 && !burstStated {
		w.warn(n, "state a smaller burst if that is too much",
			"a full bucket refills while it is used: up to %d may pass in the first %s", 2*tokens, limit.PeriodText())
	}
	return tokens > 0
}

// decimal reads a number in plain digits: no sign, no leading zero.
func decimal(s string) (int64, error) {
	v, err := strconv.ParseInt(s, 10, 64)
	if err == nil && (v < 0 || strconv.FormatInt(v, 10) != s) {
		err = strconv.ErrSyntax
	}
	return v, err
}

// onStoreError and response read the fields that defaults and limits share.
func (w *walker) onStoreError(f field) buckets.OnStoreError {
	word, _ := w.word(f, []string{"local", "allow", "deny", "error"}, nil)
	switch word {
	case "allow":
		return buckets.Allow
	case "deny":
		return buckets.Deny
	case "error":
		return buckets.Fail
	}
	return buckets.Local
}

func (w *walker) response(f field) Response {
	if word, _ := w.word(f, []string{"plain", "openai"}, []string{"azure", "problem"}); word == "openai" {
		return OpenAIResponse
	}
	return PlainResponse
}

// maxName bounds the name of a limit, which travels with every refusal.
const maxName = 200

// name reads a limit's name.
func (w *walker) name(f field) string {
	name, ok := w.str(f)
	switch {
	case !ok:
		return ""
	case name == "":
		w.fail(f.value, "remove it, or write one", "the name is empty")
	case len(name) > maxName:
		w.fail(f.value, "", "the name has %d bytes, more than %d", len(name), maxName)
	case printable(name, maxName) != name:
		w.fail(f.value, "", "the name %s has unprintable characters", quote(name))
	}
	return name
}
