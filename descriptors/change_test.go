package descriptors

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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

func TestM07_TwoChangesOfTheSameAreRefused(t *testing.T) {
	s := sourceOf(t, changedRules)
	a := change(t, `{"limit":"fast","rate":"20/s","for":{"user":"a"}}`)
	b := change(t, `{"limit":"fast","rate":"30/s","for":{"user":"b"}}`)
	if faults := s.SetChanges([]Change{a, b, a}); len(faults) != 1 || faults[0].Change != 2 {
		t.Errorf("%+v", faults)
	}
	for _, text := range []string{`{"limit":"fast","rate":"20/s"}`, `{"limit":"units","rate":"20/s"}`, `{"limit":"none","rate":"20/s"}`} {
		twice := []Change{change(t, text), a, change(t, strings.Replace(text, "20", "30", 1))}
		if faults := s.SetChanges(twice); faults[len(faults)-1].Change != 2 || !strings.Contains(faults[len(faults)-1].Message, "for the same") {
			t.Errorf("%s twice: %+v", text, faults)
		}
	}
	x := change(t, `{"limit":"net","rate":"20/s","for":{"ip":"10.0.0.1"}}`)
	y := change(t, `{"limit":"net","rate":"30/s","for":{"ip":"::ffff:10.0.0.1"}}`)
	if faults := s.SetChanges([]Change{x, y}); len(faults) != 1 || faults[0].Change != 1 || faults[0].Field != "for" {
		t.Errorf("one bucket by two names: %+v", faults)
	}
}

// What is set for one bucket stands on what is set for all, in any order.
func TestC07_OneBucketStandsOnWhatIsSetForAll(t *testing.T) {
	all, one := `{"limit":"fast","rate":"20/s"}`, `{"limit":"fast","burst":70,"for":{"user":"a"}}`
	for _, list := range [][]string{{all, one}, {one, all}} {
		s := sourceOf(t, changedRules)
		set(t, s, list...)
		l := s.Rules().Resolve(request("user=a")).Matches[0].Limit
		if got := met(s.Rules(), "user=a"); got != "70 1000 5" || l.Requests != 20 {
			t.Errorf("%q: %s, %d requests", list, got, l.Requests)
		}
	}
	s := sourceOf(t, changedRules)
	set(t, s, `{"limit":"fast","enabled":false}`, one)
	if got := met(s.Rules(), "user=a"); got != "1000 5" {
		t.Errorf("switched off for all: %s", got)
	}
}

func TestM01_ADomainThatIsOffLimitsAndRefusesNothing(t *testing.T) {
	asks := []string{"user=a", "nothing=x", "api=a"}
	nothing := func(t *testing.T, r *Rules) {
		t.Helper()
		req := request(asks...)
		req.Descriptors = append(req.Descriptors, Descriptor{Entries: entries("user=a"), Override: &Override{Requests: 1, Unit: Second}})
		if res := r.Resolve(req); !res.KnownDomain || len(res.Matches)+len(res.Unmatched) > 0 || res.DenyUnmatched {
			t.Errorf("%+v", res)
		}
	}
	t.Run("in the file", func(t *testing.T) {
		nothing(t, rulesOf(t, strings.Replace(changedRules, "domain: llm\n", "domain: llm\nenabled: false\n", 1)))
	})
	t.Run("by a change", func(t *testing.T) {
		s := sourceOf(t, changedRules)
		set(t, s, `{"enabled":false}`)
		nothing(t, s.Rules())
		set(t, s)
		if res := s.Rules().Resolve(request(asks...)); len(res.Matches) != 4 || len(res.Unmatched) != 1 || !res.DenyUnmatched {
			t.Errorf("on again: %+v", res)
		}
	})
	t.Run("in the file, on by a change", func(t *testing.T) {
		s := sourceOf(t, strings.Replace(changedRules, "domain: llm\n", "domain: llm\nenabled: false\n", 1))
		set(t, s, `{"enabled":true}`)
		if res := s.Rules().Resolve(request(asks...)); len(res.Matches) != 4 {
			t.Errorf("%+v", res)
		}
	})
}

// A change outlives the files it was made for: it is told, left out, and back as
// soon as they fit again. Rules that do not change keep theirs.
func TestC07_AReloadKeepsChangesAndTellsThoseThatNoLongerFit(t *testing.T) {
	dir := t.TempDir()
	file := func(domain, limit string) string {
		return "domain: " + domain + "\ndescriptors: [{key: user, limits: [" + limit + "]}]\n"
	}
	put(t, dir, map[string]string{"a.yaml": file("llm", "{name: x, rate: 10/s}"), "b.yaml": file("other", "{name: x, rate: 10/s}")})
	s := NewSource(dir, Options{})
	early := s.SetChanges([]Change{change(t, `{"limit":"x","burst":50}`), change(t, `{"domain":"other","limit":"x","burst":60}`)})
	if len(early) != 2 || !early[0].Unknown {
		t.Fatalf("before there are rules: %+v", early)
	}
	step := func(what, limit, want string, unfit int) {
		t.Helper()
		if limit != "" {
			put(t, dir, map[string]string{"a.yaml": file("llm", limit)})
		}
		r := s.Reload()
		if got := met(s.Rules(), "user=a"); got != want || len(r.Changes) != unfit || unfit > 0 && (r.Changes[0].Domain != "llm" || r.Changes[0].Limit != "x") {
			t.Errorf("%s: %s, want %s; %+v", what, got, want, r.Changes)
		}
		if o := s.Rules().Resolve(&Request{Domain: "other", Descriptors: []Descriptor{{Entries: entries("user=a")}}}); o.Matches[0].Charge.Bucket.Size() != 60 {
			t.Errorf("%s: the other domain has %d", what, o.Matches[0].Charge.Bucket.Size())
		}
	}
	step("first", "", "50", 0)
	step("another rate", "{name: x, rate: 20/s}", "50", 0)
	step("a window", "{name: x, algorithm: sliding_window, rate: 20/s}", "20", 1)
	step("broken", "{name: x, nonsense: 1}", "20", 1)
	step("renamed", "{name: y, rate: 20/s}", "20", 1)
	step("mended", "{name: x, rate: 30/s}", "50", 0)
	remove(t, filepath.Join(dir, "a.yaml"))
	if r := s.Reload(); len(r.Changes) != 1 || !r.Changes[0].Unknown {
		t.Errorf("without the domain: %+v", r.Changes)
	}
}

// A list that says the same of a domain leaves it as it is: nothing is compiled
// again, and no request sees another rule.
func TestM20_OnlyDomainsWithOtherChangesAreCompiledAgain(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"a.yaml": limited("a", "k", 1), "b.yaml": limited("b", "k", 1)})
	s := NewSource(dir, Options{})
	s.Reload()
	name := s.Rules().Limits()[0].Name
	s.SetChanges([]Change{{Domain: "a", Limit: name, Rate: "5/s"}, {Domain: "b", Limit: name, Rate: "5/s"}})
	before := s.Rules()
	s.SetChanges([]Change{{Domain: "b", Limit: name, Rate: "6/s"}, {Domain: "a", Limit: name, Rate: "5/s"}})
	after := s.Rules()
	if before.domains["a"] != after.domains["a"] || before.domains["b"] == after.domains["b"] {
		t.Error("not only the other domain was compiled again")
	}
	s.SetChanges([]Change{{Domain: "b", Limit: name, Rate: "6/s"}, {Domain: "a", Limit: name, Rate: "5/s"}})
	if s.Rules() != after {
		t.Error("the same list made other rules")
	}
}

// Whoever asks while changes come sees the rules before or after, never between.
func TestM20_RequestsDuringChangesSeeOneListOrTheOther(t *testing.T) {
	s := sourceOf(t, changedRules)
	lists := [][]Change{
		{change(t, `{"limit":"fast","rate":"20/s"}`), change(t, `{"limit":"daily","rate":"20/day"}`), change(t, `{"limit":"units","burst":20}`)},
		{change(t, `{"limit":"fast","rate":"30/s","for":{"user":"a"}}`), change(t, `{"limit":"daily","rate":"30/day","for":{"user":"a"}}`), change(t, `{"limit":"units","burst":30}`)},
	}
	s.SetChanges(lists[0])
	var asking sync.WaitGroup
	done := make(chan struct{})
	for range 3 {
		asking.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				m := s.Rules().Resolve(request("user=a", "api=a")).Matches
				if a, b, c := m[0].Charge.Bucket.Size(), m[1].Charge.Bucket.Size(), m[3].Charge.Bucket.Size(); a != b || b != c {
					t.Errorf("%d, %d and %d are of two lists", a, b, c)
					return
				}
				if l, known := s.Rules().LimitByID(m[0].Limit.ID()); !known || l.ChargeOn(m[0].Charge.Key, "").Bucket == nil {
					t.Error("the limit cannot be found")
					return
				}
			}
		})
	}
	for i := range 200 {
		s.SetChanges(lists[i%2])
		s.TryChanges(lists[(i+1)%2])
		s.Resize(map[PoolID]int64{{"llm", "workers"}: int64(20 + i%2)})
	}
	close(done)
	asking.Wait()
}

// A receipt that was given out before a bucket was set apart gives back to it.
func TestC07_AReceiptFindsTheBucketOfItsKey(t *testing.T) {
	s := sourceOf(t, changedRules)
	before := charge(t, s.Rules(), "user=a")
	for _, test := range []struct {
		change string
		size   int64
	}{
		{`{"limit":"fast","rate":"20/s","for":{"user":"a"}}`, 20},
		{`{"limit":"fast","unlimited":true,"for":{"user":"a"}}`, 10},
		{`{"limit":"fast","enabled":false,"for":{"user":"a"}}`, 10},
		{`{"limit":"fast","blocked":true,"for":{"user":"a"}}`, 0},
	} {
		set(t, s, test.change)
		l, known := s.Rules().LimitByID(before.Limit)
		if !known {
			t.Fatalf("%s: the limit is unknown", test.change)
		}
		if c := l.ChargeOn(before.Key, ""); c.Bucket == nil || c.Bucket.Size() != test.size || c.Limit != before.Limit {
			t.Errorf("%s: %+v", test.change, c)
		}
		if c := l.ChargeOn(charge(t, s.Rules(), "user=b").Key, ""); c.Bucket.Size() != 10 {
			t.Errorf("%s: another bucket has %d", test.change, c.Bucket.Size())
		}
	}
}

// A value for one of two entries of one key would be a guess.
func TestM07_ABucketOfTwoEntriesOfOneKeyCannotBeNamed(t *testing.T) {
	s := sourceOf(t, "domain: llm\ndescriptors: [{key: user, descriptors: [{key: user, limits: [{name: x, rate: 1/s}]}]}]\n")
	if faults := s.SetChanges([]Change{change(t, `{"limit":"x","blocked":true,"for":{"user":"a"}}`)}); len(faults) != 1 || faults[0].Field != "for" {
		t.Errorf("%+v", faults)
	}
}

// A pool that follows its backends must be countable at its largest, also changed.
func TestC07_APoolThatDoesNotFitIsAsStated(t *testing.T) {
	s := sourceOf(t, `
domain: llm
pools: [{name: units, rate: 10/s, burst: 100, instances: {units_each: 1, min: 1, max: 4294967295}}]
descriptors: [{key: api, draw: {pool: units}}]
`)
	faults := s.SetChanges([]Change{change(t, `{"limit":"units","rate":"4294967291/1000003ms"}`)})
	if len(faults) != 1 || faults[0].Field != "rate" {
		t.Errorf("%+v", faults)
	}
	if pools := s.Rules().Pools(); len(pools) != 1 || pools[0].Size != 100 {
		t.Errorf("the pools are %+v", pools)
	}
}

// What a change does not set of a bucket is as the file states it, also what the
// limit does to others.
func TestC07_ABucketSetApartReplacesWhatItsLimitReplaces(t *testing.T) {
	s := sourceOf(t, `
domain: llm
descriptors:
  - {key: user, limits: [{name: own, rate: 5/s, replaces: [{name: general}]}]}
  - {key: all, limits: [{name: general, rate: 10/s}]}
`)
	set(t, s, `{"limit":"own","rate":"6/s","for":{"user":"a"}}`)
	if m := s.Rules().Resolve(request("user=a", "all=x")).Matches; len(m) != 1 || m[0].Charge.Bucket.Size() != 6 {
		t.Errorf("%+v", m)
	}
	set(t, s, `{"limit":"general","rate":"6/s","for":{"all":"x"}}`)
	if m := s.Rules().Resolve(request("user=a", "all=x")).Matches; len(m) != 1 || m[0].Limit.Name != "own" {
		t.Errorf("%+v", m)
	}
}

func TestG25_ABlockedBucketRefusesAlways(t *testing.T) {
	s := sourceOf(t, `
domain: llm
defaults: {on_store_error: allow}
descriptors: [{key: ip, value_cidr: 0.0.0.0/0, limits: [{name: all, rate: 10/s, weight: 0, shadow_mode: true, max_wait: 5s, enforce_percent: 0}]}]
`)
	set(t, s, `{"limit":"all","blocked":true,"for":{"ip":"10.0.0.1"}}`)
	m := s.Rules().Resolve(request("ip=10.0.0.1")).Matches[0]
	if m.Charge.Role != buckets.Enforce || m.Charge.Cost != 1 || m.Charge.Bucket.Size() != 0 || m.Limit.MaxWait != 0 || m.Charge.OnStoreError != buckets.Deny {
		t.Errorf("%+v of %+v", m.Charge, m.Limit)
	}
}

const presetRules = `
domain: llm
presets: [{model_limits: {name: gate, total: 50, success: 40, groups: {vip: [200, 100]}}}]
pools: [{name: units, slots: 10}]
descriptors: [{key: taken, limits: [{name: gate/gold/total, rate: 1/s}]}, {key: draws, draw: {pool: units, weight: 5}}]
`

func TestM06_APresetIsChangedAsAWhole(t *testing.T) {
	s := sourceOf(t, presetRules)
	const vip, gold, other = "preset=gate user_group=vip user=a model=m", "preset=gate user_group=gold user=a model=m", "preset=gate user=a model=m"
	expect := func(what, asVIP, asGold, asOther string) {
		t.Helper()
		if a, b, c := met(s.Rules(), vip), met(s.Rules(), gold), met(s.Rules(), other); a != asVIP || b != asGold || c != asOther {
			t.Errorf("%s: vip %q, gold %q, others %q", what, a, b, c)
		}
	}
	expect("stated", "200 100", "50 40", "50 40")
	set(t, s, `{"limit":"gate","total":0,"success":7}`)
	expect("the global pair", "200 100", "7", "7")
	set(t, s, `{"limit":"gate","groups":{"silver":[1,1]}}`)
	expect("another table", "50 40", "50 40", "50 40")
	set(t, s, `{"limit":"gate","groups":{}}`)
	expect("no table", "50 40", "50 40", "50 40")
	set(t, s, `{"limit":"gate","enabled":false}`)
	expect("off", "", "", "")
	set(t, s, `{"limit":"gate","groups":{"vip":[300,150]}}`, `{"limit":"gate/vip/total","rate":"400/min"}`)
	expect("a preset, and one of its limits", "400 150", "50 40", "50 40")
	set(t, s)
	expect("undone", "200 100", "50 40", "50 40")

	unfit := []Change{change(t, `{"limit":"gate","total":8}`), change(t, `{"limit":"units","slots":3}`)}
	if faults := s.SetChanges(unfit); len(faults) != 1 || faults[0].Limit != "units" {
		t.Errorf("a pool that does not fit: %+v", faults)
	}
	expect("beside a pool that does not fit", "200 100", "8 40", "8 40")

	for _, test := range []struct{ change, field string }{
		{`{"limit":"gate","success":0}`, "success"},
		{`{"limit":"gate","total":-1}`, "total"},
		{`{"limit":"gate","groups":{"vip":[1,2147483648]}}`, "groups.vip[1]"},
		{`{"limit":"gate","rate":"1/s"}`, "rate"},
		{`{"limit":"gate","enabled":true,"for":{"user":"a"}}`, "for"},
		{`{"limit":"gate","groups":{"gold":[3,3]}}`, "groups"}, // its limit would have the name of another
	} {
		faults := s.SetChanges([]Change{change(t, `{"limit":"gate/gold/total","rate":"9/s"}`), change(t, test.change)})
		if len(faults) != 1 || faults[0].Change != 1 || faults[0].Field != test.field {
			t.Errorf("%s: %+v", test.change, faults)
		}
		if expect(test.change, "200 100", "50 40", "50 40"); met(s.Rules(), "taken=x") != "9" {
			t.Errorf("%s: the other change is lost", test.change)
		}
	}
}

// What is kept of a change is what was set: an empty table of groups is not none.
func TestM06_AChangeIsKeptAsItWasSet(t *testing.T) {
	for _, text := range []string{`{"limit":"gate","groups":{}}`, `{"limit":"x","burst":0}`, `{"limit":"x","enabled":false,"for":{"a":""}}`} {
		c := change(t, text)
		kept, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if again := change(t, string(kept)); !slices.Equal(again.stated(), c.stated()) || cmp.Compare(again.what(), c.what()) != 0 {
			t.Errorf("%s became %s", text, kept)
		}
	}
}

// thousands are changes for as many buckets of one limit.
func thousands(count int) (changes []Change) {
	for i := range count {
		changes = append(changes, Change{Domain: "llm", Limit: "fast", Rate: "20/s", For: map[string]string{"user": fmt.Sprint("u", i)}})
	}
	return changes
}

// However many buckets are set apart, a request pays for one look, and allocates
// nothing for it.
func TestM20_ChangesCostARequestNothing(t *testing.T) {
	s := sourceOf(t, changedRules)
	req := request("user=a", "user=u7")
	cost := func() float64 { return testing.AllocsPerRun(100, func() { s.Rules().Resolve(req) }) }
	without := cost()
	s.SetChanges(thousands(5000))
	if with := cost(); with != without {
		t.Errorf("%v allocations with changes, %v without", with, without)
	}
}

func BenchmarkResolve_Changes(b *testing.B) {
	for _, count := range []int{0, 10_000} {
		d := compileChanged("llm", []*file{parse(newText("test.yaml", []byte(changedRules)))}, thousands(count))
		r, req := newRules(map[string]*domain{"llm": d.domain}), request("user=a")
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			for b.Loop() {
				r.Resolve(req)
			}
		})
	}
}

// All replicas have to make 10,000 changes, the most there are, within a second.
func BenchmarkSetChanges_10000(b *testing.B) {
	files, changes := []*file{parse(newText("test.yaml", []byte(changedRules)))}, thousands(10_000)
	for b.Loop() {
		if c := compileChanged("llm", files, changes); len(c.faults) > 0 {
			b.Fatal(c.faults)
		}
	}
}
