package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
)

// rulesOf is a rule file with one bucket for (pool, backend), of which an API
// takes its weight, and one for each user.
func rulesOf(pool, user string) string {
	return fmt.Sprintf(`domain: e2e
passive: [api]
defaults: {response: openai}
descriptors:
  - key: pool
    value: backend
    limits: [{name: backend, %s, weight: {by: api, values: {a: 1, b: 2, c: 3}, default: 1}}]
  - key: user
    limits: [{name: user, %s}]
`, pool, user)
}

const (
	slow100  = "rate: 100/hour, burst: 100" // a token in 36 s: none comes back during a test
	slow60   = "rate: 60/hour, burst: 60"
	plentyOf = "rate: 1000000/s, burst: 1000000"
)

var backend = headers{"X-Pool": "backend"}

func api(name string) headers { return headers{"X-Pool": "backend", "X-Api": name} }

// refilled is how many whole tokens can have come back in that time.
func refilled(perSecond float64, took time.Duration) int {
	return int(math.Floor(perSecond * took.Seconds()))
}

func TestC01_ThreeEnvoysAndTwoReplicasShareExactlyOneBucket(t *testing.T) {
	for _, c := range []struct {
		name, pool string
		perSecond  float64
	}{
		{"100 an hour", slow100, 100.0 / 3600},
		{"10 a second", "rate: 10/s, burst: 100", 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			top := run(t, spec{envoys: 3, weirs: 2, redis: true, rules: rulesOf(c.pool, plentyOf)})
			got, took := top.burst(t, 300, backend)
			most := 100 + refilled(c.perSecond, took)
			if got[200] < 100 || got[200] > most || got.total() != 300 {
				t.Errorf("%v of 300 in %v, want 100 to %d passed", got, took, most)
			}
			top.judged(t, got)
			t.Logf("%v in %v, at most %d", got, took, most)
		})
	}
}

func TestN1_TwoHundredAtOnceOnALimitOfSixty(t *testing.T) {
	for _, redis := range []bool{false, true} {
		t.Run(fmt.Sprintf("redis %v", redis), func(t *testing.T) {
			top := run(t, spec{envoys: 1, weirs: 1, redis: redis, rules: rulesOf(plentyOf, slow60)})
			got, took := top.burst(t, 200, headers{"X-User": "u"})
			if got[200] != 60 || got[429] != 140 {
				t.Errorf("%v in %v, want 60 of 200 passed", got, took)
			}
			top.judged(t, got)
		})
	}
}

func TestC02_EachAPICostsItsWeight(t *testing.T) {
	for name, want := range map[string]int{"a": 100, "b": 50, "c": 33, "unnamed": 100} {
		t.Run(name, func(t *testing.T) {
			top := run(t, spec{envoys: 1, weirs: 1, rules: rulesOf(slow100, plentyOf)})
			got, _ := top.burst(t, 120, api(name))
			if got[200] != want || got.total() != 120 {
				t.Errorf("%v, want %d of 120 passed", got, want)
			}
			top.judged(t, got)
		})
	}
}

func TestC17_OneTokenLeftRefusesTwoAndPassesOne(t *testing.T) {
	top := run(t, spec{envoys: 1, weirs: 2, redis: true, rules: rulesOf(slow100, plentyOf)})
	got := top.send(t, 33, api("c"))
	if got[200] != 33 {
		t.Fatalf("%v, want all 33 of 99 tokens passed", got)
	}
	for _, step := range []struct {
		api  string
		want int
	}{{"b", 429}, {"c", 429}, {"b", 429}, {"a", 200}, {"a", 429}} {
		answers := top.send(t, 1, api(step.api))
		if answers[step.want] != 1 {
			t.Errorf("api %s: %v, want %d", step.api, answers, step.want)
		}
		got.add(answers)
	}
	top.judged(t, got)
}

func TestC17_RefusedRequestsTakeNothingFromTheOtherDescriptor(t *testing.T) {
	top := run(t, spec{envoys: 3, weirs: 2, redis: true, rules: rulesOf(slow100, "rate: 10/hour, burst: 10")})
	both := headers{"X-Pool": "backend", "X-User": "u"}
	got, _ := top.burst(t, 200, both) // 10 pass, 190 are refused by the user's limit
	if got[200] != 10 {
		t.Errorf("%v, want 10 of 200 passed", got)
	}
	rest, _ := top.burst(t, 150, backend)
	if rest[200] != 90 {
		t.Errorf("%v, want the other 90 of 100 tokens still there", rest)
	}
	top.judged(t, got.add(rest))
}

func TestC05_OverCapacityIs429WithItsReason(t *testing.T) {
	rules := rulesOf(slow100, "rate: 1/hour, burst: 1") + "    metadata: {plan: {name: gold, seats: 3}}\n"
	top := run(t, spec{envoys: 1, weirs: 1, rules: rules})
	c, user := client(t, 1), headers{"X-User": "u"}
	first := get(c, top.fronts[0], user)
	if first.status != 200 {
		t.Fatalf("the first answer is %+v", first)
	}
	// Envoy knows what the rule states of who passes, and of nobody else.
	if told := first.header.Get("X-Rule-Metadata"); told != `{"plan":{"name":"gold","seats":3}}` {
		t.Errorf("the rule's metadata is %q to Envoy", told)
	}
	refused := get(c, top.fronts[0], user)
	if told := refused.header.Get("X-Rule-Metadata"); strings.Contains(told, "gold") {
		t.Errorf("Envoy is told %q of a refusal", told)
	}
	if refused.status != 429 || refused.header.Get("Content-Type") != "application/json" {
		t.Errorf("the refusal is %+v", refused)
	}
	var body struct {
		Error struct{ Message, Type, Code string }
	}
	if err := json.Unmarshal([]byte(refused.body), &body); err != nil || body.Error.Message == "" || body.Error.Code == "" {
		t.Errorf("the body is %q: %v", refused.body, err)
	}
	top.judged(t, tally{200: 1, 429: 1})
}

func TestG13_ClientsSeeTheirLimitState(t *testing.T) {
	top := run(t, spec{envoys: 1, weirs: 1, rules: rulesOf(slow100, "rate: 2/hour, burst: 2")})
	c, user := client(t, 1), headers{"X-User": "u"}
	for i, want := range []struct {
		status          int
		remaining       string
		least, most     int // seconds until the bucket is full or, when refused, until the next token
		wantsRetryAfter bool
	}{
		{200, "1", 1790, 1800, false},
		{200, "0", 3590, 3600, false},
		{429, "0", 1790, 1800, true},
	} {
		got := get(c, top.fronts[0], user)
		reset, err := strconv.Atoi(got.header.Get("X-Ratelimit-Reset"))
		if got.status != want.status || got.header.Get("X-Ratelimit-Remaining") != want.remaining || err != nil || reset < want.least || reset > want.most {
			t.Errorf("request %d: %d %v, want %+v", i+1, got.status, got.header, want)
		}
		if n := len(got.header.Values("X-Ratelimit-Limit")); n != 1 || got.header.Get("X-Ratelimit-Limit") != "2" {
			t.Errorf("request %d: X-RateLimit-Limit is %q, want 2", i+1, got.header.Values("X-Ratelimit-Limit"))
		}
		wait, err := strconv.Atoi(got.header.Get("Retry-After"))
		if want.wantsRetryAfter != (err == nil) || (err == nil && wait != reset) {
			t.Errorf("request %d: Retry-After is %q with reset %d", i+1, got.header.Get("Retry-After"), reset)
		}
	}
	top.judged(t, tally{200: 2, 429: 1})
}

func TestC10_TheUpstreamSeesExactlyWhatPassed(t *testing.T) {
	top := run(t, spec{envoys: 3, weirs: 2, redis: true, rules: rulesOf(slow100, slow60)})
	got := tally{}
	for _, h := range []headers{api("c"), {"X-User": "u"}, {"X-Pool": "backend", "X-User": "v"}} {
		answers, _ := top.burst(t, 90, h)
		got.add(answers)
	}
	// c: 33 of 99 tokens; u: 60 of 60; v: the 1 token that is left.
	if got[200] != 94 || top.served.Load() != 94 {
		t.Errorf("%v, and the upstream saw %d, want 94", got, top.served.Load())
	}
	top.judged(t, got)
}
