package service

import (
	"encoding/json"
	"slices"
	"testing"
)

// A problem names all limits that refused and no other; what exceeds no quota is
// not said to, and where no limit refused there is no type to tell.
func TestG11_AProblemIsOfTheTypeThatIsTrue(t *testing.T) {
	const rules = `
domain: d
unmatched: deny
defaults: {response: problem}
descriptors:
  - key: user
    limits:
      - {name: second, rate: 1/s}
      - {name: minute, rate: 1/min}
      - {name: hour, rate: 100/hour}
      - {name: trial, rate: 1/min, shadow_mode: true}
  - {key: service, breaker: {failures: 1, open_for: 30s}}
  - {key: strict, limits: [{name: strict, rate: 1/s, on_store_error: deny}]}
  - {key: other, limits: [{name: '限 "x"', rate: 1/s}]}
`
	const unavailable = "temporary-reduced-capacity"
	for _, c := range []struct {
		descriptors []string
		prepare     func(*world)
		kind        string
		violated    []string
	}{
		{[]string{"user=u", "other=o"}, func(w *world) { w.ask(request("user=u")) }, "quota-exceeded", []string{"second", "minute"}},
		{[]string{"user=u", "user=v"}, func(w *world) { w.ask(request("user=u", "user=v")) }, "quota-exceeded", []string{"second", "minute"}},
		{[]string{"other=o"}, func(w *world) { w.ask(request("other=o")) }, "quota-exceeded", []string{`限 "x"`}},
		{[]string{"service=s"}, func(w *world) { w.end(w.take("service=s"), 500) }, unavailable, nil},
		{[]string{"strict=s"}, func(w *world) { w.outage().broken = true }, unavailable, nil},
		{[]string{"nobody=n"}, func(*world) {}, "", nil},
		{slices.Repeat([]string{"other=o"}, 33), func(*world) {}, "", nil},
	} {
		w := newWorld(t, rules)
		c.prepare(w)
		answer := w.ask(request(c.descriptors...))
		var got struct {
			Type, Title, Detail string
			Violated            []string `json:"violated-policies"`
			Status              *int
		}
		if err := json.Unmarshal(answer.RawBody, &got); err != nil || headersOf(answer)["Content-Type"] != "application/problem+json" {
			t.Errorf("%q: %v: %s", c.descriptors, err, answer.RawBody)
		}
		kind, title := "about:blank", ""
		switch {
		case c.kind == unavailable:
			title = "Request cannot be satisfied due to temporary server capacity constraints"
		case c.kind != "":
			title = "Request cannot be satisfied as assigned quota has been exceeded"
		}
		if c.kind != "" {
			kind = "https://iana.org/assignments/http-problem-types#" + c.kind
		}
		if got.Type != kind || got.Title != title || got.Detail == "" || !slices.Equal(got.Violated, c.violated) || got.Status != nil {
			t.Errorf("%.100q: %s", c.descriptors, answer.RawBody)
		}
	}
}
