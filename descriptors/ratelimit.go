package descriptors

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// units are the periods of the reference's form.
var units = map[string]Unit{
	"second": Second, "minute": Minute, "hour": Hour, "day": Day, "week": Week, "month": Month, "year": Year,
}

// rateLimit reads the reference's form of a limit: requests_per_unit tokens in
// each unit, and as many at most at once.
func (w *walker) rateLimit(f field) *limitSpec {
	if f.null() {
		w.warn(f.value, "remove it, or state a unit and requests_per_unit", "rate_limit is empty and limits nothing")
		return nil
	}
	fields, ok := w.fields(f.value, rateLimitFields)
	if !ok {
		return nil
	}
	s := &limitSpec{meaning: &meaning{algorithm: tokenBucket, reference: true, limit: w.unitDefaults(), heaviest: 1}, at: at(w.text, f.key)}
	s.limit.Reference = w.text.dialect == Reference
	if name, ok := fields["name"]; ok && !name.null() {
		s.name, s.at = w.name(name), at(w.text, name.value)
	}
	w.replaces(fields, s)
	unlimited := false
	if u, ok := fields["unlimited"]; ok {
		unlimited, _ = w.boolean(u)
	}
	unit, unitStated := fields["unit"]
	if unlimited {
		s.limit.Unlimited = true
		if _, known := units[strings.ToLower(unit.text())]; known {
			w.fail(unit.value, "remove unit or unlimited", "an unlimited rate_limit has a unit")
		} else if unitStated {
			w.warn(unit.key, "remove it", "unit means nothing beside unlimited: true")
		}
		if n, ok := fields["requests_per_unit"]; ok {
			w.warn(n.key, "remove it", "requests_per_unit means nothing beside unlimited: true")
		}
		return s
	}
	if !unitStated {
		w.fail(f.value, "write unit: second, minute, hour, day, week, month or year", "the rate_limit has no unit")
		return s
	}
	w.perUnit(f.value, unit, fields, s)
	return s
}

// perUnit reads requests_per_unit in unit into s.
func (w *walker) perUnit(n *yaml.Node, unit field, fields map[string]field, s *limitSpec) {
	requests, sound := int64(0), true
	if f, ok := fields["requests_per_unit"]; ok && !f.null() {
		requests, sound = w.loose(f, 0, maxTokens)
	} else {
		w.warn(n, "write requests_per_unit: 0 if that is meant", "the rate_limit has no requests_per_unit and refuses everything")
	}
	u, known := units[strings.ToLower(unit.text())]
	if !known {
		w.fail(unit.value, "use second, minute, hour, day, week, month or year", "unit cannot be %s", kindOf(unit.value))
		return
	}
	switch {
	case sound && s.limit.Reference:
		s.referenceUnit(requests, u)
	case sound:
		period, _ := u.period(1)
		w.ratedBucket(unit.value, nil, s, rate{requests, period, u})
	}
}

// text is what a field states in one word, empty for a list, a map or a field that is
// not there.
func (f field) text() string {
	if f.value == nil || f.value.Kind != yaml.ScalarNode {
		return ""
	}
	return f.value.Value
}
