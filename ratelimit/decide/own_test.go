package decide

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/memory"
)

const owned = `
domain: d
descriptors:
- {key: own, limits: [{name: bucket, rate: 2/min, burst: 2}]}
- {key: two, limits: [{name: wide, rate: 10/min, burst: 10}, {name: narrow, rate: 3/min, burst: 3}]}
- {key: seen, limits: [{name: seen, rate: 1/min, burst: 1, shadow_mode: true}]}
- {key: part, quota_mode: true, limits: [{name: one, rate: 1/min, burst: 1}]}
- {key: ref, rate_limit: {unit: minute, requests_per_unit: 1}}
- {key: many, rate_limit: {unit: minute, requests_per_unit: 2}}
`

// A limit of weir's own form takes what it admits, and is refused alone.
func TestOwnLimits_AreJudgedBesideTheOthers(t *testing.T) {
	for name, steps := range map[string][][2]string{
		"alone":                {{"own=v", "OK: OK 1"}, {"own=v", "OK: OK 0"}, {"own=v", "OVER: OVER 0"}},
		"what is refused":      {{"own=v 3", "OVER: OVER 0"}, {"own=v 2", "OK: OK 0"}},
		"beside one refused":   {{"ref=v own=v", "OK: OK 0 OK 1"}, {"ref=v own=v", "OVER: OVER 0 OK 0"}, {"own=v", "OVER: OVER 0"}},
		"refused beside one":   {{"own=v 2", "OK: OK 0"}, {"own=v many=v", "OVER: OVER 0 OK 1"}, {"many=v", "OK: OK 0"}},
		"the narrow one":       {{"two=v", "OK: OK 2"}, {"two=v 2", "OK: OK 0"}, {"two=v", "OVER: OVER 0"}},
		"in shadow mode":       {{"seen=v", "OK: OK 0"}, {"seen=v", "OK: OK 0"}},
		"a quota":              {{"part=v part=w", "OK: OK 0 OK 0"}, {"part=v part=x", "OK: OVER 0 OK 0"}, {"part=v part=x", "OVER: OVER 0 OVER 0"}},
		"a look":               {{"own=v 0", "OK: OK 2"}, {"own=v 2", "OK: OK 0"}, {"own=v 0", "OVER: OVER 0"}},
		"twice in one":         {{"own=v own=v own=v", "OVER: OK 0 OK 0 OVER 0"}, {"own=v", "OVER: OVER 0"}},
		"more than a call has": {{strings.Repeat("many=v ", 18) + "own=v", "OVER: OK 1 OK 0" + strings.Repeat(" OVER 0", 16) + " OK 1"}},
	} {
		w := newWorld(t, owned, nil)
		for i, step := range steps {
			asked := step[0]
			if fields := strings.Fields(asked); len(fields) == 2 && !strings.Contains(fields[1], "=") {
				if got := w.ask(t, request(asked)); got != step[1] {
					t.Errorf("%s, step %d: %s, want %s", name, i, got, step[1])
				}
			} else if got := w.ask(t, request(fields...)); got != step[1] {
				t.Errorf("%s, step %d: %s, want %s", name, i, got, step[1])
			}
		}
	}
}

// Under STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT nothing is charged beside what refuses.
func TestStopIncrement_ChargesOnlyWhatRefuses(t *testing.T) {
	stop := func(o *Options) { o.Settings.StopIncrement = true }
	for name, steps := range map[string][][2]string{
		"the others keep what is left":        {{"ref=v many=v", "OK: OK 0 OK 1"}, {"ref=v many=v", "OVER: OVER 0 OK 1"}, {"many=v", "OK: OK 0"}},
		"beside own limits":                   {{"ref=v own=v", "OK: OK 0 OK 1"}, {"ref=v own=v", "OVER: OVER 0 OK 1"}, {"own=v", "OK: OK 0"}},
		"an own limit that refuses":           {{"own=v own=v", "OK: OK 0 OK 0"}, {"own=v many=v", "OVER: OVER 0 OK 2"}, {"many=v", "OK: OK 1"}},
		"an own limit in shadow mode":         {{"seen=v", "OK: OK 0"}, {"seen=v many=v", "OK: OK 0 OK 1"}},
		"one that has room once, asked twice": {{"ref=v ref=v many=v", "OVER: OK 0 OVER 0 OK 1"}},
	} {
		w := newWorld(t, owned, stop)
		for i, step := range steps {
			if got := w.ask(t, request(strings.Fields(step[0])...)); got != step[1] {
				t.Errorf("%s, step %d: %s, want %s", name, i, got, step[1])
			}
		}
	}
}

// However many ask at once, what passes is charged on both limits, and on the wider one
// nothing else.
func TestStopIncrement_IsOneStep(t *testing.T) {
	const rules = "domain: d\ndescriptors:\n- {key: a, rate_limit: {unit: minute, requests_per_unit: 30}}\n- {key: b, rate_limit: {unit: minute, requests_per_unit: 1000}}\n"
	w := newWorld(t, rules, func(o *Options) { o.Settings.StopIncrement, o.Settings.LocalCacheBytes = true, 1<<16 })
	var passed atomic.Int64
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for range 20 {
				answer, err := w.ShouldRateLimit(context.Background(), request("a=v", "b=v"))
				if err != nil {
					t.Error(err)
				} else if answer.OverallCode == rls.RateLimitResponse_OK {
					passed.Add(1)
				}
			}
		})
	}
	callers.Wait()
	if got, want := w.ask(t, request("b=v 0")), "OK: OK 970"; got != want || passed.Load() != 30 {
		t.Errorf("%d passed, then %s; want 30, then %s", passed.Load(), got, want)
	}
}

// counting is a store that counts its calls.
type counting struct {
	buckets.Store
	calls, charges int
}

func (c *counting) Take(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
	c.calls++
	c.charges += len(charges)
	return c.Store.Take(ctx, charges)
}

// Most requests cost one call, whatever they meet.
func TestCalls_AreAsFewAsCanBe(t *testing.T) {
	for _, c := range []struct {
		asked []string
		stop  bool
		calls int
	}{
		{[]string{"nothing=v"}, false, 0},
		{[]string{"ref=v", "many=v", "own=v", "two=v"}, false, 1},
		{[]string{"ref=v", "ref=v", "ref=v"}, false, 1},
		{[]string{"ref=v", "many=v"}, true, 1},
		{[]string{"ref=v 2", "many=v"}, true, 2},
		{strings.Fields(strings.Repeat("many=v ", 33)), false, 3},
	} {
		store := &counting{}
		w := newWorld(t, owned, func(o *Options) {
			store.Store = o.Store
			o.Store, o.Settings.StopIncrement = store, c.stop
		})
		w.ask(t, request(c.asked...))
		if store.calls != c.calls {
			t.Errorf("%v, stop %v: %d calls, want %d", c.asked, c.stop, store.calls, c.calls)
		}
	}
}

// Limits of a second go to their own store, all others to the other one.
func TestPerSecond_HasItsOwnStore(t *testing.T) {
	var main, second counting
	w := newWorld(t, "domain: d\ndescriptors:\n- {key: s, rate_limit: {unit: second, requests_per_unit: 1}}\n- {key: m, rate_limit: {unit: minute, requests_per_unit: 1}}\n- {key: own, limits: [{rate: 5/s}]}\n",
		func(o *Options) {
			main.Store, second.Store = o.Store, memory.New(memory.Options{Now: o.Now})
			o.Store, o.PerSecond = &main, &second
		})
	w.ask(t, request("s=v", "m=v", "s=w", "own=v"))
	if main.charges != 2 || second.charges != 2 || main.calls+second.calls != 2 {
		t.Errorf("%d charges in the main store, %d in that of seconds", main.charges, second.charges)
	}
}

// The same bucket, met with other amounts, is one.
func TestOverride_SharesTheBucketOfItsUnit(t *testing.T) {
	w := newWorld(t, owned, func(o *Options) { o.Settings.LocalCacheBytes = 1 << 16 })
	low := request("many=v 2")
	low.Descriptors[0].Limit = override(1, 2)
	for i, step := range []struct {
		asked *rls.RateLimitRequest
		want  string
	}{
		{low, "OVER: OVER 0"},
		{request("many=v 0"), "OK: OK 0"}, // not what the cache knows of the lower limit
		{request("many=v"), "OVER: OVER 0"},
	} {
		if got := w.ask(t, step.asked); got != step.want {
			t.Errorf("step %d: %s, want %s", i, got, step.want)
		}
	}
	w.clock.advance(time.Minute)
	if got := w.ask(t, request("many=v")); got != "OK: OK 1" {
		t.Error(got)
	}
}

func TestHits_BeyondAllNumbersAreCountedAndGivenBack(t *testing.T) {
	w := newWorld(t, owned, nil)
	for i, step := range [][2]string{{"many=v 18446744073709551615", "OVER: OVER 0"}, {"many=v 9223372036854775807", "OVER: OVER 0"}, {"many=v 0", "OVER: OVER 0"}} {
		if got := w.ask(t, request(step[0])); got != step[1] {
			t.Errorf("step %d: %s, want %s", i, got, step[1])
		}
	}
	back := request("many=v 18446744073709551615")
	back.Descriptors[0].IsNegativeHits = true
	if got := w.ask(t, back); got != "OK: OK 2" {
		t.Errorf("given back: %s", got)
	}
	if got := fmt.Sprint(w.stats.Limit("d", "many").TotalNegativeHits.Value()); got != "18446744073709551615" {
		t.Errorf("total_negative_hits is %s", got)
	}
}
