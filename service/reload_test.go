package service

import (
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weir-rls/weir/descriptors"
)

// More slots are for those who wait already too, and what they gave back or
// settled beside it is not done a second time.
func TestWhoWaitsIsJudgedByTheNewRules(t *testing.T) {
	const rules = `
domain: d
descriptors:
  - {key: job, limits: [{name: jobs, algorithm: concurrency, slots: 1, slot_ttl: 1h, max_wait: 1h}]}
  - {key: tokens, limits: [{name: tokens, rate: 1/hour, burst: 100}]}
`
	w := newWorld(t, rules)
	var now atomic.Pointer[descriptors.Rules]
	now.Store(w.options.Rules())
	w.options.Rules = now.Load
	w.take("job=x")
	waiting := request("job=x", "tokens=x,weir.end=1")
	waiting.Descriptors[1].HitsAddend = wrapperspb.UInt64(60)
	answers := make(chan *rls.RateLimitResponse, 1)
	go func() { answers <- w.ask(waiting) }()
	for w.options.Room.Waiting() == 0 {
		runtime.Gosched()
	}
	now.Store(loadRules(t, strings.Replace(rules, "slots: 1,", "slots: 2,", 1)))
	w.options.Room.Change()
	answer := <-answers
	if answer.OverallCode != rls.RateLimitResponse_OK || answer.Statuses[1].LimitRemaining != 40 {
		t.Errorf("answered %v, want admitted, and 60 of 100 tokens charged once", answer)
	}
	w.expect(map[string]int{"d jobs waited": 1})
}

// Of quotas one is enough: what is told is when the first of them admits.
func TestOfQuotasTheFirstIsWaitedFor(t *testing.T) {
	w := newWorld(t, `
domain: d
descriptors:
  - {key: hourly, quota_mode: true, limits: [{name: hourly, rate: 1/hour}]}
  - {key: second, quota_mode: true, limits: [{name: second, rate: 1/s}]}
  - {key: all, limits: [{name: all, rate: 1/4s, burst: 2}]}
`)
	w.options.Headers = HeadersLegacy
	w.ask(request("hourly=x", "second=x"))
	for _, r := range []*rls.RateLimitRequest{request("hourly=x", "second=x"), request("second=x", "hourly=x")} {
		got := headersOf(w.ask(r))
		if got["Retry-After"] != "1" || got["X-RateLimit-Reset"] != "1" {
			t.Errorf("got %v, want 1 s", got)
		}
	}
	w.take("all=x")
	w.take("all=x")
	if got := headersOf(w.ask(request("hourly=x", "second=x", "all=x")))["Retry-After"]; got != "4" {
		t.Errorf("Retry-After %s beside a limit that takes 4 s", got)
	}
}

// What is written off is what was used and not charged, whatever its size.
func TestAllThatIsWrittenOffIsCounted(t *testing.T) {
	w := newWorld(t, endRules)
	for _, key := range []string{"tokens", "good"} {
		settle := request("weir.end=1," + key + "=x")
		settle.Descriptors[0].HitsAddend = wrapperspb.UInt64(1_000_000)
		w.ask(settle)
	}
	w.expect(map[string]int{"d tokens written off": 999_800, "d tokens tokens": 200, "d good written off": 999_994, "d good tokens": 6})
}

// Variables of what has no rate say what there is to say, or nothing.
func TestVariablesOfSlotsAndBreakers(t *testing.T) {
	w := newWorld(t, `
domain: d
defaults: {response: own}
responses: {own: {body: "{limit}|{burst}|{period}"}}
descriptors:
  - {key: slots, limits: [{algorithm: concurrency, slots: 1}]}
  - {key: pay, breaker: {failures: 1}}
`)
	w.take("slots=x")
	w.end(w.take("pay=x"), 500)
	for key, want := range map[string]string{"slots": "1|1|", "pay": "||"} {
		if got := string(w.ask(request(key + "=x")).RawBody); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
}
