package descriptors

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

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
