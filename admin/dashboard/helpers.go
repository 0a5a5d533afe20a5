package dashboard

import (
	"errors"
	"html/template"
	"strconv"
	"strings"
	"time"
)

// helpers are what templates can call beside what Go's do themselves.
func (d *dashboard) helpers() template.FuncMap {
	return template.FuncMap{
		"asset":  d.files.url,
		"number": number,
		"plural": plural,
		"time":   func(t time.Time) moment { return moment{t.UTC()} },
		"named":  named,
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
