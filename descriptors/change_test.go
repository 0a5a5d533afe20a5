package descriptors

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/weir-rls/weir/buckets"
)

// sourceOf serves one file's text, which must have no errors.
func sourceOf(t *testing.T, content string) *Source {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, map[string]string{"a.yaml": content})
	s := NewSource(dir, Options{})
	if r := s.Reload(); r.Faults.Failed() {
		t.Fatalf("the rules have errors:\n%s", r.Faults.Text())
	}
	return s
}

// change reads a change of the domain "llm" as it is kept.
func change(t *testing.T, text string) Change {
	t.Helper()
	c := Change{Domain: "llm"}
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// set makes changes live, which must all fit.
func set(t *testing.T, s *Source, texts ...string) {
	t.Helper()
	var changes []Change
	for _, text := range texts {
		changes = append(changes, change(t, text))
	}
	if faults := s.SetChanges(changes); len(faults) > 0 {
		t.Fatalf("faults: %+v", faults)
	}
}

// met tells what a descriptor is charged: the capacities of its buckets, with ! for
// one that is not enforced, and free for what is unlimited.
func met(r *Rules, descriptor string) string {
	var found []string
	for _, m := range r.Resolve(request(descriptor)).Matches {
		text := "free"
		if !m.Limit.Unlimited {
			text = fmt.Sprint(m.Charge.Bucket.Size())
			if m.Charge.Role != buckets.Enforce {
				text += "!"
			}
		}
		found = append(found, text)
	}
	return strings.Join(found, " ")
}

const changedRules = `
domain: llm
unmatched: deny
pools: [{name: units, rate: 10/s, burst: 100}, {name: workers, slots: 20}]
descriptors:
  - {key: user, limits: [{name: fast, rate: 10/s}, {name: daily, rate: 1000/day}, {name: flight, algorithm: concurrency, slots: 5}]}
  - key: user
    value: vip
    limits: [{name: vip, rate: 50/s}]
  - {key: ip, value_cidr: 10.0.0.0/8, limits: [{name: net, rate: 7/s, shadow_mode: true}]}
  - {key: "team_*", value: "t*", descriptors: [{key: model, value: m1, descriptors: [{key: user, limits: [{name: deep, rate: 6/s}]}]}]}
  - {key: api, value: a, draw: {pool: units, weight: 3}}
  - {key: api, value: b, draw: {pool: units, class: bs}}
  - {key: api, value: c, draw: {pool: units, class: bs}}
  - {key: job, draw: {pool: workers}}
  - {key: path, value: /a, rate_limit: {unit: second, requests_per_unit: 5, name: shared}}
  - {key: path, value: /b, rate_limit: {unit: second, requests_per_unit: 6, name: shared}}
  - {key: open, rate_limit: {unlimited: true, name: open}}
  - {key: heavy, limits: [{name: heavy, rate: 10/s, burst: 40, weight: {by: api, values: {a: 30}}}]}
  - {key: filled, limits: [{name: filled, rate: 10/s, initial: 8}]}
  - {key: service, breaker: {name: gate}}
  - {key: off, limits: [{name: off, rate: 9/s, enabled: false}]}
  - {key: minute, limits: [{name: minute, algorithm: fixed_window, rate: 9/min}]}
`

// Each change with what some descriptors then meet.
func TestM20_AChangeIsLiveAndNothingElseMoves(t *testing.T) {
	const user, vip, units, bs = "10 1000 5", "50", "100", "100"
	asStated := map[string]string{
		"user=a": user, "user=b": user, "user=vip": vip, "ip=10.1.1.1": "7!", "ip=10.1.1.2": "7!", "team_x=t1 model=m1 user=a": "6",
		"team_x=t1 model=m1 user=b": "6", "team_y=t1 model=m1 user=a": "6", "api=a": units, "api=b": bs, "api=c": bs, "job=x": "20",
		"path=/a": "5", "path=/b": "6", "open=x": "free", "open=y": "free", "heavy=x": "40", "filled=x": "10", "service=x": "2147483648", "service=y": "2147483648", "off=x": "", "off=y": "", "minute=x": "9",
	}
	for _, test := range []struct{ change, moved string }{
		{`{"limit":"fast","rate":"20/s"}`, "user=a:20 1000 5; user=b:20 1000 5"},
		{`{"limit":"fast","burst":70}`, "user=a:70 1000 5; user=b:70 1000 5"},
		{`{"limit":"fast","rate":"0/s"}`, "user=a:0 1000 5; user=b:0 1000 5"},
		{`{"limit":"fast","enabled":false}`, "user=a:1000 5; user=b:1000 5"},
		{`{"limit":"fast","enabled":true}`, ""},
		{`{"limit":"off","enabled":true}`, "off=x:9; off=y:9"},
		{`{"limit":"off","enabled":true,"for":{"off":"x"}}`, "off=x:9"},
		{`{"limit":"off","rate":"3/s"}`, ""},
		{`{"limit":"daily","rate":"2000/day"}`, "user=a:10 2000 5; user=b:10 2000 5"},
		{`{"limit":"flight","slots":8}`, "user=a:10 1000 8; user=b:10 1000 8"},
		{`{"limit":"fast","rate":"20/s","for":{"user":"a"}}`, "user=a:20 1000 5"},
		{`{"limit":"fast","unlimited":true,"for":{"user":"a"}}`, "user=a:free 1000 5"},
		{`{"limit":"fast","enabled":false,"for":{"user":"a"}}`, "user=a:1000 5"},
		{`{"limit":"flight","blocked":true,"for":{"user":"a"}}`, "user=a:10 1000 0"},
		{`{"limit":"daily","blocked":true,"for":{"user":"a"}}`, "user=a:10 0 5"},
		{`{"limit":"net","blocked":true,"for":{"ip":"10.1.1.1"}}`, "ip=10.1.1.1:0"},
		{`{"limit":"net","blocked":true,"for":{"ip":"::ffff:10.1.1.1"}}`, "ip=10.1.1.1:0"},
		{`{"limit":"open","blocked":true,"for":{"open":"x"}}`, "open=x:0"},
		{`{"limit":"open","enabled":false}`, "open=x:; open=y:"},
		{`{"limit":"deep","rate":"9/s","for":{"team_x":"t1","user":"a"}}`, "team_x=t1 model=m1 user=a:9"},
		{`{"limit":"shared","rate":"1/s"}`, "path=/a:1; path=/b:1"},
		{`{"limit":"units","burst":200}`, "api=a:200; api=b:200; api=c:200"},
		{`{"limit":"units","enabled":false}`, "api=a:; api=b:; api=c:"},
		{`{"limit":"bs","enabled":false}`, "api=b:; api=c:"},
		{`{"limit":"workers","slots":30}`, "job=x:30"},
		{`{"limit":"gate","enabled":false}`, "service=x:; service=y:"},
		{`{"limit":"gate","enabled":false,"for":{"service":"x"}}`, "service=x:"},
		{`{"limit":"minute","rate":"20/hour"}`, "minute=x:20"},
		{`{"enabled":true}`, ""},
	} {
		t.Run(test.change, func(t *testing.T) {
			s := sourceOf(t, changedRules)
			want := map[string]string{}
			for descriptor, text := range asStated {
				want[descriptor] = text
			}
			for _, moved := range strings.Split(test.moved, "; ") {
				descriptor, text, _ := cut(moved)
				want[descriptor] = text
			}
			delete(want, "")
			set(t, s, test.change)
			for descriptor, text := range want {
				if got := met(s.Rules(), descriptor); got != text {
					t.Errorf("%s meets %q, want %q", descriptor, got, text)
				}
			}
			set(t, s)
			for descriptor, text := range asStated {
				if got := met(s.Rules(), descriptor); got != text {
					t.Errorf("undone, %s meets %q, want %q", descriptor, got, text)
				}
			}
		})
	}
}

// cut is "a=b c=d:text" at its last colon.
func cut(s string) (before, after string, found bool) {
	if i := strings.LastIndex(s, ":"); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

func TestM07_ABadChangeChangesNothingAndNamesItsField(t *testing.T) {
	for _, test := range []struct{ change, field, message string }{
		{`{"limit":"fast"}`, "", "sets nothing"},
		{`{"domain":"","limit":"fast","rate":"1/s"}`, "domain", "names no domain"},
		{`{"domain":"other","limit":"fast","rate":"1/s"}`, "domain", "no rules of a domain"},
		{`{"limit":"none","rate":"1/s"}`, "limit", `no limit, pool or preset "none"`},
		{`{"limit":"fast","rate":"20"}`, "rate", "no period"},
		{`{"limit":"fast","rate":"-1/s"}`, "rate", "not a number of tokens"},
		{`{"limit":"fast","rate":"4294967296/s"}`, "rate", "not a number of tokens"},
		{`{"limit":"fast","rate":"1/fortnight"}`, "rate", "not a period"},
		{`{"limit":"fast","rate":"100/month"}`, "rate", "at most 4 weeks"},
		{`{"limit":"fast","burst":9007199254740991}`, "burst", "cannot be represented exactly"},
		{`{"limit":"fast","burst":0}`, "burst", "between 1 and"},
		{`{"limit":"fast","burst":-5}`, "burst", "between 1 and"},
		{`{"limit":"fast","slots":5}`, "slots", "means nothing with token_bucket"},
		{`{"limit":"flight","slots":0}`, "slots", "between 1 and"},
		{`{"limit":"flight","slots":4294967296}`, "slots", "between 1 and"},
		{`{"limit":"flight","rate":"5/s"}`, "rate", "means nothing with concurrency"},
		{`{"limit":"daily","burst":5}`, "burst", "means nothing with fixed_window"},
		{`{"limit":"daily","rate":"5/500ms"}`, "rate", "a second or longer"},
		{`{"limit":"heavy","burst":20}`, "burst", "a weight of the limit is 30"},
		{`{"limit":"heavy","rate":"1/s","burst":20}`, "burst", "a weight of the limit is 30"},
		{`{"limit":"filled","rate":"5/s"}`, "rate", "initial is 8"},
		{`{"limit":"gate","rate":"5/s"}`, "rate", "of a breaker only enabled"},
		{`{"limit":"gate","blocked":true,"for":{"service":"x"}}`, "blocked", "of a breaker only enabled"},
		{`{"limit":"bs","rate":"5/s"}`, "rate", "draws from a pool"},
		{`{"limit":"bs","enabled":false,"for":{"api":"b"}}`, "for", "changes for all"},
		{`{"limit":"units","rate":"5/s","for":{"api":"b"}}`, "for", "changes for all"},
		{`{"limit":"units","slots":5}`, "slots", "means nothing"},
		{`{"limit":"units","burst":2}`, "burst", "more than the bucket's capacity of 2"},
		{`{"limit":"workers","rate":"5/s"}`, "rate", "means nothing"},
		{`{"limit":"open","rate":"5/s"}`, "rate", "unlimited"},
		{`{"limit":"fast","total":5}`, "total", "only a preset"},
		{`{"rate":"5/s"}`, "rate", "of a domain as a whole"},
		{`{"enabled":true,"for":{"user":"a"}}`, "for", "no entries"},
		{`{"limit":"fast","unlimited":true}`, "unlimited", "for one bucket only"},
		{`{"limit":"fast","blocked":true}`, "blocked", "for one bucket only"},
		{`{"limit":"fast","blocked":true,"unlimited":true,"for":{"user":"a"}}`, "unlimited", "nothing else"},
		{`{"limit":"fast","blocked":true,"rate":"1/s","for":{"user":"a"}}`, "blocked", "nothing else"},
		{`{"limit":"fast","rate":"1/s","for":{"user":"vip"}}`, "for", "another rule"},
		{`{"limit":"vip","rate":"1/s","for":{"user":"vip"}}`, "for.user", "no value of it open"},
		{`{"limit":"fast","rate":"1/s","for":{"user":"a","model":"x"}}`, "for.model", "no value of it open"},
		{`{"limit":"deep","rate":"1/s","for":{"user":"a"}}`, "for", `"team_*" is missing`},
		{`{"limit":"deep","rate":"1/s","for":{"team_x":"no","user":"a"}}`, "for", "another rule, or none"},
		{`{"limit":"net","rate":"1/s","for":{"ip":"11.0.0.1"}}`, "for", "another rule, or none"},
	} {
		t.Run(test.change, func(t *testing.T) {
			s := sourceOf(t, changedRules)
			good, bad := change(t, `{"limit":"daily","rate":"77/day"}`), change(t, test.change)
			if bad.Limit == good.Limit {
				good = change(t, `{"limit":"vip","rate":"77/s"}`)
			}
			before := s.Rules()
			list := []Change{good, bad}
			faults := s.TryChanges(list)
			if s.Rules() != before {
				t.Errorf("to try it changed the rules")
			}
			if len(faults) != 1 || faults[0].Change != 1 || faults[0].Field != test.field || !strings.Contains(faults[0].Message, test.message) {
				t.Fatalf("the faults are %+v, want one of %q: %s", faults, test.field, test.message)
			}
			f := faults[0]
			if f.Domain != bad.Domain || f.Limit != bad.Limit || f.Unknown != (test.field == "limit" || test.field == "domain" && bad.Domain != "") {
				t.Errorf("the fault is %+v", f)
			}
			s.SetChanges([]Change{good})
			only := s.Rules()
			if again := s.SetChanges(list); !slices.Equal(again, faults) {
				t.Errorf("set: %+v, tried: %+v", again, faults)
			}
			for _, l := range only.Limits() {
				now, _ := s.Rules().LimitByID(l.ID())
				if now.Bucket != l.Bucket || now.Disabled != l.Disabled || len(now.apart) > 0 {
					t.Errorf("%s became %+v", l.Name, now)
				}
			}
		})
	}
}
