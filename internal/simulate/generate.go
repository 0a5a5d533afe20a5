package simulate

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-rls/weir/descriptors"
)

// Load is a trace that is made up: the same for the same seed.
type Load struct {
	start   int64
	count   int64
	every   float64 // microseconds between two requests, on average
	poisson bool
	seed    uint64
	layout  *layout
	draws   []draw // of names

	number int64
	passed float64
	random *rand.Rand
}

// draw chooses the value of a field.
type draw struct {
	name   string
	at     int // of the layout's names, nobody: it is a key alone
	choose func(*rand.Rand) string
}

// mostGenerated bounds what one run may ask for: a billion requests take two hours.
const mostGenerated = 1_000_000_000

// Generate reads what load is wanted, as in
//
//	rate=500/s,for=10m,user=zipf(1000),api=one-of(a:3,b:1)
func Generate(spec string, seed uint64, f *Format) (*Load, error) {
	l := &Load{start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro(), seed: seed, layout: newLayout(f)}
	var rate float64
	length := time.Minute
	for _, part := range split(spec) {
		name, text, ok := strings.Cut(part, "=")
		if name = strings.TrimSpace(name); !ok || name == "" || text == "" {
			return nil, fmt.Errorf("%q is not NAME=WHAT, as in rate=500/s or user=zipf(1000)", part)
		}
		err := error(nil)
		switch name {
		case "rate":
			rate, err = rateOf(text)
		case "for":
			if length, err = time.ParseDuration(text); err != nil || length <= 0 {
				err = fmt.Errorf("for=%s is no duration, such as 10m", text)
			}
		case "start":
			if l.start, ok = timeOf(text); !ok {
				err = fmt.Errorf("start=%s is no time: %s", text, timeRemedy)
			}
		case "arrivals":
			if l.poisson = text == "poisson"; !l.poisson && text != "even" {
				err = fmt.Errorf("arrivals=%s is neither even nor poisson", text)
			}
		default:
			var choose func(*rand.Rand) string
			choose, err = chooser(name, text)
			l.draws = append(l.draws, draw{name, slices.Index(l.layout.names, name), choose})
		}
		if err != nil {
			return nil, err
		}
	}
	if rate == 0 {
		return nil, fmt.Errorf("rate is not stated: write how many requests there are, as in rate=500/s")
	}
	l.every = 1e6 / rate
	if count := rate * length.Seconds(); count > mostGenerated {
		return nil, fmt.Errorf("rate=... for %s are %.0f requests, more than %d: shorten it", length, count, mostGenerated)
	}
	l.count = max(1, int64(math.Round(rate*length.Seconds())))
	l.random = rand.New(rand.NewPCG(seed, 0))
	return l, l.fits()
}

// fits tells of fields that a mapping wants and nobody makes, or of no key at all.
func (l *Load) fits() error {
	if len(l.layout.format.Map) == 0 && !slices.ContainsFunc(l.draws, func(d draw) bool { return d.at == nobody }) {
		return fmt.Errorf("no key is stated: write one, as in user=zipf(1000)")
	}
	for _, name := range l.layout.names[l.layout.meaningful:] {
		if !slices.ContainsFunc(l.draws, func(d draw) bool { return d.name == name }) {
			return fmt.Errorf("--map names %s, which is not generated: add %s=uniform(10)", name, name)
		}
	}
	return nil
}

// Requests is how many there are.
func (l *Load) Requests() int64 { return l.count }

// Next implements [Source].
func (l *Load) Next() (*Row, error) {
	if l.number == l.count {
		return nil, io.EOF
	}
	at := l.start + int64(l.passed)
	l.number++
	if l.poisson {
		l.passed += l.every * l.random.ExpFloat64()
	} else {
		l.passed = l.every * float64(l.number)
	}
	clear(l.layout.set)
	var keys []descriptors.Descriptor
	for i := range l.draws {
		d := &l.draws[i]
		value := d.choose(l.random)
		if d.at != nobody {
			l.layout.has[d.at], l.layout.set[d.at] = value, true
		} else if len(l.layout.format.Map) == 0 {
			keys = append(keys, descriptors.Descriptor{Entries: []descriptors.Entry{{Key: d.name, Value: value}}})
		}
	}
	row := &Row{At: at, Line: l.number}
	if bad := l.layout.rest(row); bad != nil {
		return nil, fmt.Errorf("--generate: %s: %s", bad.Why, bad.Remedy)
	}
	row.Request.Descriptors = append(row.Request.Descriptors, keys...)
	return row, nil
}

// split parts a text at its commas, but for those in parentheses.
func split(text string) (parts []string) {
	depth, start := 0, 0
	for i := range len(text) {
		switch text[i] {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				parts, start = append(parts, text[start:i]), i+1
			}
		}
	}
	return append(parts, text[start:])
}

func rateOf(text string) (float64, error) {
	count, unit, _ := strings.Cut(text, "/")
	n, err := strconv.ParseFloat(count, 64)
	seconds, known := map[string]float64{"s": 1, "min": 60, "hour": 3600, "day": 86400}[unit]
	if err != nil || !known || !(n > 0) || n/seconds > 1e6 {
		return 0, fmt.Errorf("rate=%s is no rate of up to 1000000/s, such as 500/s, 90/min, 10/hour or 5/day", text)
	}
	return n / seconds, nil
}

// mostValues bounds the values of a key that are generated.
const mostValues = 100_000_000

// chooser reads how the values of a field are chosen: zipf(N), uniform(N), one-of(a:3,b),
// or always the same.
func chooser(name, text string) (func(*rand.Rand) string, error) {
	word, inner, called := strings.Cut(text, "(")
	if !called {
		return func(*rand.Rand) string { return text }, nil
	}
	inner, closed := strings.CutSuffix(inner, ")")
	if !closed {
		return nil, fmt.Errorf("%s=%s: a parenthesis is not closed", name, text)
	}
	if word == "one-of" {
		return oneOf(name, inner)
	}
	n, err := strconv.ParseInt(inner, 10, 64)
	if word != "zipf" && word != "uniform" {
		return nil, fmt.Errorf("%s=%s: %s is none of zipf, uniform and one-of", name, text, word)
	}
	if err != nil || n < 1 || n > mostValues {
		return nil, fmt.Errorf("%s=%s: %q is no number of values from 1 to %d", name, text, inner, mostValues)
	}
	valueOf := func(i int64) string { return name + "-" + strconv.FormatInt(i, 10) }
	if word == "uniform" {
		return func(r *rand.Rand) string { return valueOf(1 + r.Int64N(n)) }, nil
	}
	var zipf *rand.Zipf
	return func(r *rand.Rand) string {
		if zipf == nil {
			zipf = rand.NewZipf(r, 1.1, 1, uint64(n-1))
		}
		return valueOf(1 + int64(zipf.Uint64()))
	}, nil
}

// oneOf chooses among values, each so often as its weight says.
func oneOf(name, inner string) (func(*rand.Rand) string, error) {
	var values []string
	var upTo []int64
	total := int64(0)
	for _, part := range strings.Split(inner, ",") {
		value, text, weighed := strings.Cut(part, ":")
		weight := int64(1)
		if weighed {
			var err error
			if weight, err = strconv.ParseInt(text, 10, 32); err != nil || weight < 1 {
				return nil, fmt.Errorf("%s=one-of(%s): %q is no weight, a whole number from 1", name, inner, text)
			}
		}
		if value == "" {
			return nil, fmt.Errorf("%s=one-of(%s): a value is empty", name, inner)
		}
		total += weight
		values, upTo = append(values, value), append(upTo, total)
	}
	return func(r *rand.Rand) string {
		i, _ := slices.BinarySearch(upTo, r.Int64N(total)+1)
		return values[i]
	}, nil
}
