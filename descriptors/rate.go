package descriptors

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

const (
	day  = 24 * time.Hour
	week = 7 * day

	// maxTokens bounds what a rate may add in a period: it is Envoy's bound too,
	// which reports the number as 32 bits.
	maxTokens = math.MaxUint32
	// maxPeriod is the longest period of any rate.
	maxPeriod = 365 * day
)

// Remedies for a rate that cannot be read.
const (
	rateForms   = "write N/PERIOD, as in 10/s"
	numberForms = "write a whole number from 0 to 4294967295, without sign, point or leading zero"
	periodForms = "use s, min, hour, day, week, month or year, or several of the shorter as in 30s, 5min or 1500ms"
)

// periods are the units of a rate that have a length, and how Envoy calls them.
var periods = map[string]struct {
	length time.Duration
	unit   Unit
}{
	"ms": {time.Millisecond, UnknownUnit}, "s": {time.Second, Second}, "min": {time.Minute, Minute},
	"hour": {time.Hour, Hour}, "day": {day, Day}, "week": {week, Week},
}

// rate is so many tokens in each period.
type rate struct {
	tokens int64
	period time.Duration // of a month and a year what they usually have: 30 and 365 days
	unit   Unit          // of a period that is one of it; windows follow the calendar then
}

// rate reads N/PERIOD.
func (w *walker) rate(f field) (r rate, ok bool) {
	n := f.value
	if n.Kind != yaml.ScalarNode || !slices.Contains([]string{"!!str", "!!int", "!!float"}, n.Tag) {
		w.fail(n, rateForms, "%s cannot be %s", printable(f.key.Value, maxShown), kindOf(n))
		return rate{}, false
	}
	r, flaws := readRate(printable(f.key.Value, maxShown), n.Value)
	return r, w.flaws(n, nil, flaws)
}

// readRate reads N/PERIOD, which messages call what.
func readRate(what, text string) (r rate, flaws []flaw) {
	number, period, found := strings.Cut(text, "/")
	if !found {
		return r, []flaw{{Error, "rate", "the " + what + " " + quote(text) + " has no period", rateForms, false}}
	}
	tokens, err := decimal(number)
	if err != nil || tokens > maxTokens {
		flaws = append(flaws, flaw{Error, "rate", quote(number) + " is not a number of tokens", numberForms, false})
	}
	r, message := parsePeriod(period)
	if message != "" {
		flaws = append(flaws, flaw{Error, "rate", message, periodForms, false})
	}
	r.tokens = tokens
	return r, flaws
}

// ParseRate reads a rate as rules state it, as in 10/s or 1/4s: tokens in each
// period. Its error is a [ChangeFault] of the field rate. A month and a year, which
// differ in length, are no periods here.
func ParseRate(text string) (tokens int64, period time.Duration, err error) {
	r, flaws := readRate("rate", text)
	if len(flaws) == 0 && (r.unit == Month || r.unit == Year) {
		flaws = []flaw{{Error, "rate", quote(text) + " is for windows: months and years differ in length", "write it in days, as in 1000/30day", false}}
	}
	if len(flaws) > 0 {
		return 0, 0, ChangeFault{Field: "rate", Message: flaws[0].message, Remedy: flaws[0].remedy}
	}
	return r.tokens, r.period, nil
}

// parsePeriod reads a unit of time, or a number of them. What it cannot read it
// explains in message.
func parsePeriod(s string) (r rate, message string) {
	switch s {
	case "month":
		return rate{period: 30 * day, unit: Month}, ""
	case "year":
		return rate{period: 365 * day, unit: Year}, ""
	}
	letters := strings.TrimLeft(s, "0123456789")
	digits := s[:len(s)-len(letters)]
	if letters == "month" || letters == "year" {
		return rate{}, "only one " + letters + " can be a period, not " + quote(s) + ": they differ in length"
	}
	p, known := periods[letters]
	if !known {
		return rate{}, quote(s) + " is not a period"
	}
	if digits == "" {
		return rate{period: p.length, unit: p.unit}, ""
	}
	switch count, err := decimal(digits); {
	case err != nil && !errors.Is(err, strconv.ErrRange) || count == 0:
		return rate{}, quote(s) + " is not a period"
	case err != nil || count > int64(maxPeriod/p.length):
		return rate{}, "the period " + quote(s) + " is longer than a year"
	case count == 1:
		return rate{period: p.length, unit: p.unit}, ""
	default:
		return rate{period: time.Duration(count) * p.length}, ""
	}
}

// decimal reads a number in plain digits: no sign, no leading zero.
func decimal(s string) (int64, error) {
	v, err := strconv.ParseInt(s, 10, 64)
	if err == nil && (v < 0 || strconv.FormatInt(v, 10) != s) {
		err = strconv.ErrSyntax
	}
	return v, err
}
