package dashboard

import (
	"errors"
	"html/template"
	"math"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/weir-rls/weir/traffic"
)

// helpers are what templates can call beside what Go's do themselves.
func (d *dashboard) helpers() template.FuncMap {
	return template.FuncMap{
		"asset":   d.files.url,
		"number":  number,
		"plural":  plural,
		"time":    func(t time.Time) moment { return moment{t.UTC()} },
		"named":   named,
		"link":    limitLink,
		"rate":    rate,
		"took":    took,
		"share":   func(part, whole float64) int64 { return int64(math.Round(100 * part / math.Max(whole, 1e-9))) },
		"wide":    func(n int) int64 { return int64(n) },
		"refused": func(c traffic.Counts) int64 { return c.Refused + c.ShadowRefused },
		"join":    join,
		"inc":     func(i int) int { return i + 1 },
		"portion": portion,
		"base":    filepath.Base,
	}
}

// number is a whole number with a thin space between its thousands.
func number(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "−", digits[1:]
	}
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "\u202f" + digits[at:]
	}
	return sign + digits
}

// portion is how many hundredths of a whole a part is, for the width of a bar.
func portion(part, whole int64) int64 {
	if whole <= 0 {
		return 0
	}
	return int64(100 * (float64(max(0, min(part, whole))) / float64(whole)))
}

// plural is a number and what it counts: 1 limit, 2 limits.
func plural(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + one + "s"
}

// moment is a time as a page shows it: the script makes "3 min ago" of it and has the
// rest shown when the pointer is over it.
type moment struct{ at time.Time }

// Machine is the time for the script.
func (m moment) Machine() string { return m.at.Format(time.RFC3339) }

// Absolute is the time as people write it, in UTC.
func (m moment) Absolute() string { return m.at.Format("2 Jan 2006, 15:04:05 UTC") }

// Zero tells that there is no time.
func (m moment) Zero() bool { return m.at.IsZero() }

// named names what a part of parts.html is given: named "text" .Name "link" .Link.
func named(pairs ...any) (map[string]any, error) {
	all := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, errors.New("named: a name is not a text")
		}
		all[name] = pairs[i+1]
	}
	return all, nil
}

// limitLink is the page of a limit, a pool or a preset.
func limitLink(domain, limit string) string {
	return home + "/limits/" + url.PathEscape(domain) + "/" + url.PathEscape(limit)
}

// rate is a number of something in a second, with as many digits as tell something.
func rate(perSecond float64) string {
	switch {
	case perSecond >= 100 || perSecond == math.Trunc(perSecond):
		return number(int64(math.Round(perSecond)))
	case perSecond >= 10:
		return strconv.FormatFloat(perSecond, 'f', 1, 64)
	}
	return strconv.FormatFloat(perSecond, 'f', 2, 64)
}

// took is a number of seconds in the unit that fits, a dash for none.
func took(seconds float64) string {
	for _, unit := range []struct {
		text string
		size float64
	}{{"s", 1}, {"ms", 1e-3}, {"µs", 1e-6}} {
		if seconds >= unit.size {
			return strconv.FormatFloat(seconds/unit.size, 'g', 3, 64) + " " + unit.text
		}
	}
	return "–"
}

// join is a list of numbers for a script.
func join(all []int64) string {
	var b []byte
	for i, n := range all {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, n, 10)
	}
	return string(b)
}
