package descriptors

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
)

func overridden(o Override, descriptor string) *Request {
	r := request(descriptor)
	r.Descriptors[0].Override = &o
	return r
}

func TestOverride_StandsInForTheTree(t *testing.T) {
	r := rulesOf(t, "domain: llm\ndefaults: {on_store_error: deny, response: openai, time_zone: Europe/Berlin, week_start: sunday}\ndescriptors: [{key: a, limits: [{rate: 10/s, weight: 3, shadow_mode: true}]}]")
	refilled := func(period time.Duration) buckets.Bucket {
		b, err := buckets.Terms{Tokens: 5, Period: period, Capacity: 5, MaxDebt: 5}.TokenBucket()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	window := func(c buckets.Calendar) buckets.Bucket {
		if c.Unit != buckets.Aligned {
			c.Zone, c.WeekStart = berlin, time.Sunday
		}
		return buckets.FixedWindow{Limit: 5, Debt: 5, Calendar: c}
	}
	for _, c := range []struct {
		o      Override
		period time.Duration
		bucket buckets.Bucket
	}{
		{Override{5, Second, 0}, time.Second, refilled(time.Second)},
		{Override{5, Minute, 1}, time.Minute, refilled(time.Minute)},
		{Override{5, Hour, 2}, 2 * time.Hour, refilled(2 * time.Hour)},
		{Override{5, Hour, 24}, day, window(buckets.Calendar{Length: day})},
		{Override{5, Day, 1}, day, window(buckets.Calendar{Unit: buckets.CalendarDay})},
		{Override{5, Day, 2}, 2 * day, window(buckets.Calendar{Length: 2 * day})},
		{Override{5, Week, 1}, week, window(buckets.Calendar{Unit: buckets.CalendarWeek})},
		{Override{5, Month, 0}, 30 * day, window(buckets.Calendar{Unit: buckets.CalendarMonth})},
		{Override{5, Year, 1}, 365 * day, window(buckets.Calendar{Unit: buckets.CalendarYear})},
	} {
		for _, descriptor := range []string{"a=x", "nowhere=in the=tree"} {
			res := r.Resolve(overridden(c.o, descriptor))
			if len(res.Matches) != 1 || res.BadOverrides != 0 || len(res.Unmatched) != 0 {
				t.Fatalf("%+v on %q answers %+v", c.o, descriptor, res)
			}
			l, charge := res.Matches[0].Limit, res.Matches[0].Charge
			want := c.bucket
			if l.Name != "override" || l.Requests != 5 || l.Period != c.period || l.Response != forms["openai"] ||
				!reflect.DeepEqual(charge.Bucket, want) || charge.Cost != 1 || charge.OnStoreError != buckets.Deny || charge.Role != buckets.Enforce {
				t.Errorf("%+v on %q is charged %+v of %+v", c.o, descriptor, charge, l)
			}
		}
	}
}

func TestOverride_BadOneIsCountedAndTheTreeDecides(t *testing.T) {
	r := rulesOf(t, "domain: llm\ndescriptors: [{key: a, limits: [{rate: 10/s}]}]")
	for _, o := range []Override{
		{5, UnknownUnit, 0},
		{5, Unit(99), 1},
		{5, Year, math.MaxUint32}, // longer than a duration holds
		{5, Year, 101},            // its window could end past what numbers hold
	} {
		res := r.Resolve(overridden(o, "a=x"))
		if res.BadOverrides != 1 || len(res.Matches) != 1 || res.Matches[0].Limit.Name != "a" {
			t.Errorf("%+v answers %+v, want the tree's limit and one bad override", o, res)
		}
	}
}

func TestOverride_ZeroRequestsRefuseAlways(t *testing.T) {
	r := rulesOf(t, "domain: llm\n")
	res := r.Resolve(overridden(Override{0, Minute, 1}, "a=x"))
	if len(res.Matches) != 1 || !res.Matches[0].Charge.Hopeless() || res.BadOverrides != 0 {
		t.Errorf("an override of 0 requests answers %+v", res)
	}
}

func TestOverride_NeedsAKnownDomain(t *testing.T) {
	req := overridden(Override{5, Second, 1}, "a=x")
	req.Domain = "other"
	if res := rulesOf(t, "domain: llm\n").Resolve(req); res.KnownDomain || len(res.Matches) != 0 {
		t.Errorf("an unknown domain answers %+v", res)
	}
}

// A bucket of 5 a second and one of 7 a second are not one bucket, and neither
// is a limit of the tree.
func TestOverride_KeyCarriesAmountUnitAndMultiplier(t *testing.T) {
	r := rulesOf(t, "domain: llm\npassive: [api]\ndescriptors: [{key: a, limits: [{rate: 5/s, name: 'o:5/1*1'}]}]")
	seen := map[string]bool{r.Resolve(request("a=x")).Matches[0].Charge.Key: true}
	for _, o := range []Override{{5, Second, 1}, {7, Second, 1}, {5, Minute, 1}, {5, Second, 2}, {51, Second, 1}, {5, Second, 11}} {
		c := r.Resolve(overridden(o, "a=x")).Matches[0].Charge
		if seen[c.Key] || seen[c.Limit] {
			t.Errorf("%+v has the key %q or the limit %q of another", o, c.Key, c.Limit)
		}
		seen[c.Key], seen[c.Limit] = true, true
	}
	// Windows stand apart from the token buckets that days and longer once were.
	if key := r.Resolve(overridden(Override{5, Day, 1}, "a=x")).Matches[0].Charge.Key; !strings.HasSuffix(key, "/w:5/1*4") {
		t.Errorf("a day has the key %q", key)
	}
	one, same := overridden(Override{5, Second, 0}, "a=x"), overridden(Override{5, Second, 1}, "api=z a=x")
	if a, b := r.Resolve(one).Matches[0].Charge.Key, r.Resolve(same).Matches[0].Charge.Key; a != b {
		t.Errorf("one override has two keys, %q and %q", a, b)
	}
}
