package descriptors

import (
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// referenceRules compiles one file's text in the Reference dialect, which must have no
// errors.
func referenceRules(t testing.TB, content string) *Rules {
	t.Helper()
	a := assemble([]*file{parse(Reference.text("test.yaml", []byte(content)))}, Options{Dialect: Reference})
	if a.faults.Failed() {
		t.Fatalf("the rules have errors:\n%s\n%s", a.faults.Text(), content)
	}
	return newRules(a.domains)
}

// one is the one match of a descriptor.
func one(t testing.TB, r *Rules, d Descriptor) Match {
	t.Helper()
	res := r.Resolve(&Request{Domain: "llm", Descriptors: []Descriptor{d}})
	if len(res.Matches) != 1 {
		t.Fatalf("%q meets %d limits, want 1", d.Entries, len(res.Matches))
	}
	return res.Matches[0]
}

// A unit is so many seconds, counted from 1 January 1970: a week begins on a Thursday, a
// month has 30 days and a year 365. Neither time zone nor burst changes that, nor is a
// refused request forgotten: whatever is asked counts, however much.
func TestReference_UnitsAreWindowsFromTheEpochThatCountWhatTheyRefuse(t *testing.T) {
	for unit, seconds := range map[Unit]int64{
		Second: 1, Minute: 60, Hour: 3600, Day: 86400, Week: 7 * 86400, Month: 30 * 86400, Year: 365 * 86400,
	} {
		rules := referenceRules(t, "domain: llm\ndefaults: {time_zone: Asia/Taipei, week_start: sunday}\ndescriptors: [{key: a, rate_limit: {unit: "+refUnits[unit]+", requests_per_unit: 4294967295}}]")
		override := &Override{Requests: math.MaxUint32, Unit: unit}
		for _, d := range []Descriptor{{Entries: entries("a=x")}, {Entries: entries("a=x"), Override: override}} {
			m := one(t, rules, d)
			w, ok := m.Charge.Bucket.(buckets.FixedWindow)
			if l := m.Limit; !ok || !l.Reference || l.Unit != unit || l.Requests != math.MaxUint32 || l.Period != time.Duration(seconds)*time.Second {
				t.Fatalf("%v is %+v of %+v", unit, m.Charge.Bucket, m.Limit.Settings)
			}
			now := int64(1_800_000_123_456_789)
			start, end := w.Calendar.Bounds(now)
			if length := seconds * 1_000_000; end-start != length || start%length != 0 || start > now || end <= now {
				t.Errorf("%v: %d is in the window of %d to %d", unit, now, start, end)
			}
			checkLimit(t, m.Limit)
			state, settle := &buckets.State{}, m.Charge
			settle.Mode = buckets.Settle
			for want := range int64(3) {
				settle.Cost = math.MaxUint32
				o := buckets.Judge([]buckets.Charge{settle}, []*buckets.State{state}, []*buckets.State{nil}, now)
				if o[0].Used != (want+1)*math.MaxUint32 {
					t.Errorf("%v: %d are counted after %d of %d", unit, o[0].Used, want+1, settle.Cost)
				}
			}
		}
	}
}

// A name and an amount may change, and a limit may come with the request: the count stays.
func TestReference_ABucketIsOfItsEntriesAndUnit(t *testing.T) {
	key := func(limit string, d Descriptor) string {
		return one(t, referenceRules(t, "domain: llm\ndescriptors: [{key: a, rate_limit: {"+limit+"}}, {key: b, limits: [{rate: 1/s}]}]"), d).Charge.Key
	}
	plain := Descriptor{Entries: entries("a=x")}
	minute := key("unit: minute, requests_per_unit: 5", plain)
	overridden := func(o Override) Descriptor { return Descriptor{Entries: plain.Entries, Override: &o} }
	for _, same := range []string{
		key("unit: MINUTE, requests_per_unit: 7, name: n", plain),
		key("unit: hour, requests_per_unit: 7", overridden(Override{9, Minute, 0})),
		key("unit: hour, requests_per_unit: 7", overridden(Override{3, Minute, 1})),
	} {
		if same != minute {
			t.Errorf("the keys %q and %q differ", same, minute)
		}
	}
	seen := map[string]bool{minute: true}
	for _, other := range []string{
		key("unit: hour, requests_per_unit: 5", plain),
		key("unit: minute, requests_per_unit: 5", overridden(Override{5, Minute, 2})),
		key("unit: minute, requests_per_unit: 5", Descriptor{Entries: entries("a=y")}),
		key("unit: minute, requests_per_unit: 5", Descriptor{Entries: entries("b=x")}),
	} {
		if seen[other] {
			t.Errorf("two buckets have the key %q", other)
		}
		seen[other] = true
	}
}

func TestReference_OverridesAreNothingButTheirNumbers(t *testing.T) {
	r := referenceRules(t, `
domain: llm
descriptors:
  - {key: a, shadow_mode: true, metadata: {team: x}, rate_limit: {unit: day, requests_per_unit: 1, name: n}}
  - {key: b, rate_limit: {unlimited: true, replaces: [{name: n}, {name: override}]}}`)
	o := Override{7, Minute, 5}
	res := r.Resolve(&Request{Domain: "llm", Descriptors: []Descriptor{{Entries: entries("a=x c="), Override: &o}, {Entries: entries("b=x")}}})
	if len(res.Matches) != 2 {
		t.Fatalf("met %+v", res.Matches)
	}
	m := res.Matches[0]
	if l := m.Limit; m.Charge.Role != buckets.Enforce || l.Shadow || l.Quota || l.Unlimited || l.Metadata != nil || l.Requests != 7 || l.Period != 5*time.Minute || l.Unit != Minute {
		t.Errorf("the override is %+v", m)
	}
	if name := m.Limit.StatName(entries("a=x c=")); name != "a_x.c" {
		t.Errorf("it is counted as %q", name)
	}
	for _, bad := range []Override{{7, UnknownUnit, 1}, {7, Unit(99), 0}, {7, Year, 101}} {
		res = r.Resolve(&Request{Domain: "llm", Descriptors: []Descriptor{{Entries: entries("a=x"), Override: &bad}}})
		if res.BadOverrides != 1 || len(res.Matches) != 1 || res.Matches[0].Limit.Name != "n" {
			t.Errorf("%+v answers %+v, want the tree's limit and one bad override", bad, res)
		}
	}
}

// The reference service joins key and value with a _, and refuses what is then alike.
func TestReference_JoinedKeysDoNotCollide(t *testing.T) {
	r := referenceRules(t, `
domain: llm
descriptors:
  - {key: a, value: b, rate_limit: {unit: day, requests_per_unit: 1}}
  - {key: a_b, rate_limit: {unit: day, requests_per_unit: 2}}
  - {key: a, value: b_c, rate_limit: {unit: day, requests_per_unit: 3}}
  - {key: a_b, value: c, rate_limit: {unit: day, requests_per_unit: 4}}`)
	seen := map[string]bool{}
	for text, want := range map[string]int64{"a=b": 1, "a_b=": 2, "a_b=x": 2, "a=b_c": 3, "a_b=c": 4} {
		m := one(t, r, Descriptor{Entries: entries(text)})
		if m.Limit.Requests != want || seen[m.Charge.Key] {
			t.Errorf("%q meets %d with the key %q", text, m.Limit.Requests, m.Charge.Key)
		}
		seen[m.Charge.Key] = true
	}
}

func TestReference_WeirsOwnLimitsMeanWhatTheySay(t *testing.T) {
	const limits = `
domain: llm
defaults: {time_zone: Asia/Taipei}
pools: [{name: units, rate: 10/s, burst: 20}]
descriptors:
  - key: a
    limits: [{rate: 10/s, burst: 20}, {rate: 5/day}, {name: slide, rate: 3/min, algorithm: sliding_window, count: all}]
  - {key: b, draw: {pool: units}}
  - {key: c, value_cidr: 10.0.0.0/8, rate_limit: {unit: day, requests_per_unit: 1}}`
	for _, text := range []string{"a=x", "b=x"} {
		there, here := rulesOf(t, limits).Resolve(request(text)), referenceRules(t, limits).Resolve(request(text))
		for i := range there.Matches {
			a, b := there.Matches[i], here.Matches[i]
			if !reflect.DeepEqual(a.Charge, b.Charge) || b.Limit.Reference {
				t.Errorf("%s is charged %+v, by weir serve %+v", text, b.Charge, a.Charge)
			}
		}
	}
	r := referenceRules(t, limits)
	var names []string
	for _, m := range r.Resolve(request("a=x")).Matches {
		names = append(names, m.Limit.StatName(entries("a=x")))
	}
	if !slices.Equal(names, []string{"a.token_bucket", "a.fixed_window", "a.slide"}) {
		t.Errorf("they are counted as %q", names)
	}
	if name := one(t, r, Descriptor{Entries: entries("c=10.1.2.3")}).Limit.StatName(entries("c=10.1.2.3")); name != "c_10.0.0.0/8" {
		t.Errorf("a network is counted as %q", name)
	}
}

func TestReference_RefusesWhatTheServiceLacks(t *testing.T) {
	for field, rules := range map[string]string{
		"max_wait":    "descriptors: [{key: a, limits: [{rate: 1/s, max_wait: 1s}]}]",
		"max_waiters": "pools: [{name: p, rate: 1/s, max_wait: 1s, max_waiters: 5}]",
		"count":       "descriptors: [{key: a, limits: [{rate: 1/day, count: success}]}]",
		"slots":       "descriptors: [{key: a, limits: [{algorithm: concurrency, slots: 1, slot_ttl: 1m}]}]",
		"slot_ttl":    "pools: [{name: p, slots: 5, slot_ttl: 1m}]",
		"breaker":     "descriptors: [{key: a, breaker: {}}]",
		"feedback":    "pools: [{name: p, rate: 1/s, feedback: {}}]",
		"instances":   "pools: [{name: p, rate: 1/s, instances: {units_each: 1, min: 1, max: 2}}]",
		"presets":     "presets: [{model_limits: {}}]",
	} {
		name := filepath.Join(t.TempDir(), "rules.yaml")
		if err := os.WriteFile(name, []byte("domain: llm\n"+rules+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, faults := Load([]string{name}, Options{Dialect: Reference})
		found := slices.ContainsFunc(faults, func(f Fault) bool {
			return f.Severity == Error && f.Line == 2 && f.Caret >= 0 && f.Excerpt != "" && strings.HasPrefix(f.Message, field) && strings.Contains(f.Remedy, "weir serve")
		})
		if !found {
			t.Errorf("%s is not refused with a way out: %s", field, faults.Text())
		}
		if _, faults = Load([]string{name}, Options{}); faults.Failed() {
			t.Errorf("weir serve refuses %s: %s", field, faults.Text())
		}
	}
}

// Receipts and ends are weir's own: here their keys are like any other, of rules, too.
func TestReference_NoKeyIsWeirsOwn(t *testing.T) {
	r := referenceRules(t, "domain: llm\ndescriptors: [{key: weir.end, descriptors: [{key: weir.receipt, rate_limit: {unit: day, requests_per_unit: 1}}]}]")
	d := Descriptor{Entries: entries("weir.end=1 weir.receipt=x")}
	if m := one(t, r, d); m.Charge.Mode != buckets.Take || m.Limit.StatName(d.Entries) != "weir.end.weir.receipt" {
		t.Errorf("they are met with %+v, as %q", m.Charge, m.Limit.StatName(d.Entries))
	}
}

func TestKeyPrefix_StandsBeforeEveryKeyAndMovesNoSlot(t *testing.T) {
	const content = "domain: llm\nhash_tag: entity\npools: [{name: p, rate: 1/s}]\ndescriptors: [{key: a, rate_limit: {unit: day, requests_per_unit: 1}}, {key: b, draw: {pool: p}}]"
	keys := func(prefix string) (keys []string) {
		for _, dialect := range []Dialect{Weir, Reference} {
			a := assemble([]*file{parse(dialect.text("test.yaml", []byte(content)))}, Options{Dialect: dialect, KeyPrefix: prefix})
			for _, text := range []string{"a=x", "b=x", "a=" + strings.Repeat("x", 600)} {
				keys = append(keys, one(t, newRules(a.domains), Descriptor{Entries: entries(text)}).Charge.Key)
			}
		}
		return keys
	}
	for prefix, want := range map[string]string{"": "", "rl:": "rl:", "a{b} c": "a%7Bb%7D%20c", strings.Repeat("p", 300): "#"} {
		plain := keys("")
		for i, key := range keys(prefix) {
			if !strings.HasPrefix(key, want) || !strings.HasSuffix(key, plain[i]) || strings.Index(key, "{") > 44 || len(key) > len(plain[i])+44 {
				t.Errorf("with the prefix %.10q the key is %q, was %q", prefix, key, plain[i])
			}
			if a, b := ReadKey(key, nil), ReadKey(plain[i], nil); a == nil || !reflect.DeepEqual(a, b) {
				t.Errorf("%q is read as %v, want %v", key, a, b)
			}
		}
	}
}

// Whatever reads a file, and reads it again, does so in the source's dialect.
func TestReference_SourcesKeepTheirDialect(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const rules = "domain: llm\ndescriptors: [{key: %, rate_limit: {unit: week, requests_per_unit: 1}}]"
	write("a.yaml", strings.ReplaceAll(rules, "%", "a"))
	s, given := NewSource(dir, Options{Dialect: Reference, MergeDomains: true}), NewSource("", Options{Dialect: Reference})
	s.Reload()
	write("b.yaml", strings.ReplaceAll(rules, "%", "b")) // a.yaml was forgotten, and is read again
	s.Reload()
	given.Replace([]Given{{Name: "x", Content: []byte(strings.ReplaceAll(rules, "%", "a"))}}, true)
	for source, texts := range map[*Source][]string{s: {"a=x", "b=x"}, given: {"a=x"}} {
		for _, text := range texts {
			if m := one(t, source.Rules(), Descriptor{Entries: entries(text)}); !m.Limit.Reference || m.Limit.Unit != Week {
				t.Errorf("%s meets %+v, %v", text, m.Limit.Settings, source.Faults())
			}
		}
	}
}

// What the reference service reads over, it reads over: a file that it has loaded for years
// is loaded, with a warning.
func TestReference_LoadsWhatItLoadsThere(t *testing.T) {
	const content = `
domain: other
domain: llm
unit: day
descriptors:
  - key: a
    name: here
    requests_per_unit: 3
    rate_limit:
      shadow_mode: true
      quota_mode: true
      metadata: {x: [y]}
      unit: hour
      unit: minute
      requests_per_unit: 5
      replaces: [{name: b, value: x}]
    rate_limit: {unit: day, <<: {unit: second}, requests_per_unit: 7}
  - {key: b, rate_limit: {unlimited: true, unit: "", replaces: }}
--- # what follows is not read
domain: second
`
	name := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	r, faults := Load([]string{name}, Options{Dialect: Reference})
	if faults.Failed() || len(faults) < 6 {
		t.Fatalf("the file has these faults: %s", faults.Text())
	}
	if m := one(t, r, Descriptor{Entries: entries("a=x")}); m.Limit.Requests != 7 || m.Limit.Unit != Day || m.Limit.Shadow || m.Limit.Name != "a" {
		t.Errorf("the limit is %+v", m.Limit.Settings)
	}
	if !one(t, r, Descriptor{Entries: entries("b=x")}).Limit.Unlimited {
		t.Error("the unlimited rule is not")
	}
	if _, faults = Load([]string{name}, Options{}); !faults.Failed() {
		t.Error("weir serve takes it, too")
	}
}

// A quota in shadow mode is one that is not used up, and admits what other quotas refuse:
// nobody is to be told that it means nothing.
func TestReference_AQuotaInShadowModeIsNoContradiction(t *testing.T) {
	a := assemble([]*file{parse(Reference.text("test.yaml", []byte(
		"domain: llm\ndescriptors: [{key: a, quota_mode: true, shadow_mode: true, rate_limit: {unit: day, requests_per_unit: 1}}]",
	)))}, Options{Dialect: Reference})
	if len(a.faults) != 0 {
		t.Error(a.faults.Text())
	}
}

// The reference fails a call that its store does not answer, and Envoy decides. Who wants
// otherwise says so.
func TestReference_AStoreThatFailsFailsTheCallUnlessTheFileSaysOtherwise(t *testing.T) {
	for file, want := range map[string]buckets.OnStoreError{
		"": buckets.Fail, "defaults: {time_zone: Asia/Taipei}\n": buckets.Fail, "defaults: {on_store_error: deny}\n": buckets.Deny, "defaults: {on_store_error: local}\n": buckets.Local,
	} {
		rules := referenceRules(t, "domain: llm\n"+file+"descriptors: [{key: a, rate_limit: {unit: day, requests_per_unit: 1}}]")
		for _, d := range []Descriptor{{Entries: entries("a=x")}, {Entries: entries("a=x"), Override: &Override{Requests: 1, Unit: Day}}} {
			if got := one(t, rules, d).Charge.OnStoreError; got != want {
				t.Errorf("%q, override %v: %v, want %v", file, d.Override, got, want)
			}
		}
	}
}

// A pattern of values and one of keys that read alike are two.
func TestReference_SharedBucketsOfPatternsThatReadAlikeAreTheirOwn(t *testing.T) {
	rules := referenceRules(t, `domain: llm
descriptors:
- {key: a, value: "a*", share_threshold: true, rate_limit: {unit: day, requests_per_unit: 1}}
- {key: "a*", share_threshold: true, rate_limit: {unit: day, requests_per_unit: 1}}
`)
	values, keys := one(t, rules, Descriptor{Entries: entries("a=a1")}), one(t, rules, Descriptor{Entries: entries("a=b")})
	if again := one(t, rules, Descriptor{Entries: entries("a=a2")}); again.Charge.Key != values.Charge.Key {
		t.Errorf("values of one pattern have the keys %q and %q", values.Charge.Key, again.Charge.Key)
	}
	if values.Charge.Key == keys.Charge.Key {
		t.Errorf("both patterns have the key %q", keys.Charge.Key)
	}
}
