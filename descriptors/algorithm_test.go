package descriptors

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
)

func statedLimit(t *testing.T, limit string) *Limit {
	t.Helper()
	r := rulesOf(t, "domain: llm\ndefaults: {time_zone: Asia/Taipei}\ndescriptors: [{key: a, "+limit+"}]")
	return r.Limits()[0]
}

// A bucket that refills would admit nearly twice a daily budget on its first day,
// so a day and longer are windows unless a file says otherwise.
func TestAlgorithm_ADayAndLongerAreWindows(t *testing.T) {
	for limit, want := range map[string]string{
		"limits: [{rate: 10/s}]":                                          "token",
		"limits: [{rate: 10/23hour}]":                                     "token",
		"limits: [{rate: 10/24hour}]":                                     "aligned 24h0m0s",
		"limits: [{rate: 10/day}]":                                        "day Asia/Taipei",
		"limits: [{rate: 10/1day}]":                                       "day Asia/Taipei",
		"limits: [{rate: 10/2day}]":                                       "aligned 48h0m0s",
		"limits: [{rate: 10/week}]":                                       "week from Monday Asia/Taipei",
		"limits: [{rate: 10/week, week_start: saturday, time_zone: UTC}]": "week from Saturday UTC",
		"limits: [{rate: 10/month}]":                                      "month Asia/Taipei",
		"limits: [{rate: 10/year}]":                                       "year Asia/Taipei",
		"limits: [{rate: 10/day, algorithm: token_bucket}]":               "token",
		"limits: [{rate: 10/s, algorithm: fixed_window}]":                 "aligned 1s",
		"limits: [{rate: 10/30s, algorithm: fixed_window}]":               "aligned 30s",
		"limits: [{rate: 10/min, algorithm: fixed_window}]":               "minute Asia/Taipei",
		"limits: [{rate: 10/hour, algorithm: fixed_window}]":              "hour Asia/Taipei",
		"limits: [{rate: 10/min, algorithm: sliding_window}]":             "sliding 1m0s in 60",
		"limits: [{rate: 10/month, algorithm: sliding_window}]":           "sliding 720h0m0s in 60",
		"limits: [{rate: 10/year, algorithm: sliding_window}]":            "sliding 8760h0m0s in 60",
		"limits: [{algorithm: concurrency, slots: 10}]":                   "slots 10m0s",
		"limits: [{algorithm: concurrency, slots: 10, slot_ttl: 90s}]":    "slots 1m30s",
		"rate_limit: {unit: hour, requests_per_unit: 10}":                 "token",
		"rate_limit: {unit: DAY, requests_per_unit: 10}":                  "day Asia/Taipei",
		"rate_limit: {unit: week, requests_per_unit: 10}":                 "week from Monday Asia/Taipei",
		"rate_limit: {unit: month, requests_per_unit: 10}":                "month Asia/Taipei",
		"rate_limit: {unit: year, requests_per_unit: 10}":                 "year Asia/Taipei",
		"breaker: {}":                                "breaker 5 30s 1 30s",
		"breaker: {open_for: 2m, probes: 3}":         "breaker 5 2m0s 3 2m0s",
		"breaker: {open_for: 200ms, failures: 1000}": "breaker 1000 200ms 1 30s",
	} {
		l := statedLimit(t, limit)
		if got := kindText(l.Bucket); got != want {
			t.Errorf("%s is %q, want %q", limit, got, want)
		}
		if l.Bucket.Size() != 10 && kindText(l.Bucket)[0] != 'b' {
			t.Errorf("%s holds %d", limit, l.Bucket.Size())
		}
	}
}

func kindText(b buckets.Bucket) string {
	micros := func(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
	switch b := b.(type) {
	case buckets.TokenBucket:
		return "token"
	case buckets.SlidingWindow:
		return fmt.Sprintf("sliding %v in %d", micros(b.Window), b.Parts)
	case buckets.Slots:
		return fmt.Sprintf("slots %v", micros(b.TTL))
	case buckets.Breaker:
		return fmt.Sprintf("breaker %d %v %d %v", b.Failures, micros(b.OpenFor), b.Probes, micros(b.ProbeTTL))
	case buckets.FixedWindow:
		c := b.Calendar
		unit := map[buckets.CalendarUnit]string{
			buckets.CalendarMinute: "minute", buckets.CalendarHour: "hour", buckets.CalendarDay: "day",
			buckets.CalendarWeek: "week from " + c.WeekStart.String(), buckets.CalendarMonth: "month", buckets.CalendarYear: "year",
		}[c.Unit]
		if c.Unit == buckets.Aligned {
			return fmt.Sprintf("aligned %v", c.Length)
		}
		return unit + " " + c.Zone.String()
	}
	return "none"
}

func TestLimit_PeriodsOfACalendarHaveItsNames(t *testing.T) {
	for limit, want := range map[string]string{
		"limits: [{rate: 10/2week}]":                            "2 weeks",
		"rate_limit: {unit: month, requests_per_unit: 1}":       "month",
		"rate_limit: {unit: year, requests_per_unit: 1}":        "year",
		"limits: [{rate: 10/month, algorithm: sliding_window}]": "30 days",
		"limits: [{algorithm: concurrency, slots: 3}]":          "",
		"breaker: {}": "",
	} {
		if got := statedLimit(t, limit).PeriodText(); got != want {
			t.Errorf("%s has the period %q, want %q", limit, got, want)
		}
	}
	if month, week := statedLimit(t, "limits: [{rate: 1/month}]"), statedLimit(t, "limits: [{rate: 1/week}]"); month.CalendarUnit() != Month || week.CalendarUnit() != UnknownUnit {
		t.Errorf("a month is the unit %v, a week %v", month.CalendarUnit(), week.CalendarUnit())
	}
}

// max_debt is the burst, or the window's limit, unless it is stated; initial is
// what a new bucket holds; a wait reserves what refills meanwhile, and no more.
func TestAlgorithm_DebtLevelAndWaitOfABucket(t *testing.T) {
	l := statedLimit(t, "limits: [{rate: 1/4s, burst: 4, initial: empty, max_debt: 3, max_wait: 30s}]")
	b := l.Bucket.(buckets.TokenBucket)
	if perToken := b.TicksPerToken; b.Missing != 4*perToken || b.Debt != 3*perToken || b.Ahead != 30*perToken/4 {
		t.Errorf("compiled to %+v", b)
	}
	if l.MaxWait != 30*time.Second || l.MaxWaiters != 1000 {
		t.Errorf("waits %v, %d at a time", l.MaxWait, l.MaxWaiters)
	}
	b = statedLimit(t, "limits: [{rate: 10/s, burst: 20, initial: 5}]").Bucket.(buckets.TokenBucket)
	if b.Missing != 15*b.TicksPerToken || b.Debt != b.Full() || b.Ahead != 0 {
		t.Errorf("compiled to %+v", b)
	}
	if w := statedLimit(t, "limits: [{rate: 10/day}]").Bucket.(buckets.FixedWindow); w.Debt != 10 {
		t.Errorf("compiled to %+v", w)
	}
	if w := statedLimit(t, "limits: [{rate: 10/min, algorithm: sliding_window, max_debt: 0}]").Bucket.(buckets.SlidingWindow); w.Debt != 0 {
		t.Errorf("compiled to %+v", w)
	}
}

// 2^31-1 tokens of 1 hour and 2^52 ticks of burst leave no room for as much debt:
// the file loads all the same, as it did before there was any debt.
func TestAlgorithm_ADefaultDebtIsGivenUpWhereItIsNotExact(t *testing.T) {
	const limit = "domain: llm\ndescriptors: [{key: a, limits: [{rate: 1/s, burst: 3000000000000000%s}]}]"
	a := assemble([]*file{parse(newText("test.yaml", fmt.Appendf(nil, limit, "")))}, Options{})
	if a.faults.Failed() || a.faults.Count(Warning) != 1 {
		t.Fatalf("faults:\n%s", a.faults.Text())
	}
	if b := a.domains["llm"].limits[0].Bucket.(buckets.TokenBucket); b.Debt != 0 || b.Capacity != 3_000_000_000_000_000 {
		t.Errorf("compiled to %+v", b)
	}
	a = assemble([]*file{parse(newText("test.yaml", fmt.Appendf(nil, limit, ", max_debt: 3000000000000000")))}, Options{})
	if !a.faults.Failed() {
		t.Error("a debt that is stated is given up")
	}
}

// A value of one algorithm is nothing that another could read, and what one took
// another cannot give back.
func TestAlgorithm_AChangedOneMeetsNoValueOfTheFormer(t *testing.T) {
	var keys, ids []string
	for _, limit := range []string{
		"rate: 10/s", "rate: 10/s, algorithm: fixed_window", "rate: 10/s, algorithm: sliding_window", "algorithm: concurrency, slots: 10",
	} {
		for _, name := range []string{"", ", name: fixed_window", ", name: x"} {
			r := rulesOf(t, "domain: llm\ndescriptors: [{key: a, limits: [{"+limit+name+"}]}]")
			c := r.Resolve(request("a=x")).Matches[0].Charge
			keys, ids = append(keys, c.Key), append(ids, c.Limit)
			if l, found := r.LimitByID(c.Limit); !found || l != r.Limits()[0] || l.ID() != c.Limit {
				t.Errorf("%s: the id %q is not found", limit, c.Limit)
			}
		}
	}
	for _, texts := range [][]string{keys, ids} {
		if slices.Sort(texts); len(slices.Compact(slices.Clone(texts))) != 12 {
			t.Errorf("not twelve: %q", texts)
		}
	}
	if !slices.Contains(keys, "{llm}3:llm,1:a=1:x/n:x") || !slices.Contains(keys, "{llm}3:llm,1:a=1:x/a:token_bucket") {
		t.Errorf("token buckets lost their keys: %q", keys)
	}
	if _, found := rulesOf(t, "domain: llm\n").LimitByID("llm\x00a"); found {
		t.Error("an unknown id is found")
	}
}

func TestBreaker_CountsRequestsAndNotTheirCost(t *testing.T) {
	r := rulesOf(t, "domain: llm\ndescriptors: [{key: a, limits: [{rate: 10/s}], breaker: {name: down}}, {key: b, breaker: {}}]")
	req := request("a=x", "b=x")
	req.Hits = 7
	m := r.Resolve(req).Matches
	if len(m) != 3 || m[0].Limit.Name != "a" || m[1].Limit.Name != "down" || m[2].Limit.Name != "b:breaker" || m[1].Charge.Cost != 1 || m[0].Charge.Cost != 7 {
		t.Errorf("met %+v", m)
	}
	req.Descriptors[0].HasHits = true
	if c := r.Resolve(req).Matches[1].Charge; c.Mode != buckets.Look || c.Cost != 1 {
		t.Errorf("a look is %+v", c)
	}
}
