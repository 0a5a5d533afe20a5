package service

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"

	"github.com/weir-rls/weir/buckets/guard"
)

func TestC05_OverCapacityIsRefusedWithAllAClientNeeds(t *testing.T) {
	w := newWorld(t, `
domain: d
defaults: {response: openai}
descriptors:
  - {key: user, limits: [{name: per-user, rate: 4/4s, burst: 3}]}
`)
	w.options.Headers = HeadersLegacy
	for range 3 {
		w.admits("user=u")
	}
	answer := w.ask(request("user=u"))
	if answer.OverallCode != rls.RateLimitResponse_OVER_LIMIT {
		t.Fatal("the fourth of three was admitted")
	}
	want := map[string]string{
		"Retry-After": "1", "Content-Type": "application/json",
		"X-RateLimit-Limit": "3", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1",
	}
	got := headersOf(answer)
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s: %q, want %q", name, got[name], value)
		}
	}
	var body struct {
		Error struct{ Message, Type, Code string }
	}
	if err := json.Unmarshal(answer.RawBody, &body); err != nil || body.Error.Code != "rate_limit_exceeded" || !strings.Contains(body.Error.Message, "per-user") {
		t.Errorf("body %s: %v", answer.RawBody, err)
	}
	if name := answer.DynamicMetadata.Fields["limit"].GetStringValue(); name != "per-user" {
		t.Errorf("the metadata names the limit %q", name)
	}
	s := answer.Statuses[0]
	if s.Code != rls.RateLimitResponse_OVER_LIMIT || s.LimitRemaining != 0 || s.DurationUntilReset.AsDuration() != time.Second {
		t.Errorf("status %v", s)
	}
	if l := s.CurrentLimit; l.Name != "per-user" || l.RequestsPerUnit != 4 || l.Unit != rls.RateLimitResponse_RateLimit_SECOND || l.UnitMultiplier.GetValue() != 4 {
		t.Errorf("current limit %v", l)
	}
}

func TestC16_ACostAboveTheCapacityNeverPassesAndPromisesNothing(t *testing.T) {
	w := newWorld(t, weighted)
	r := request("pool=backend,api=c")
	r.HitsAddend = 34 // costs 102 of 100
	answer := w.ask(r)
	if answer.OverallCode != rls.RateLimitResponse_OVER_LIMIT {
		t.Fatal("102 of 100 tokens were granted")
	}
	if after, there := headersOf(answer)["Retry-After"]; there {
		t.Errorf("Retry-After: %s, though it can never pass", after)
	}
	if reset := answer.Statuses[0].DurationUntilReset; reset != nil {
		t.Errorf("reset in %v, though it can never pass", reset)
	}
	if want := "the request needs more than the 100 tokens that rate limit \"units\" can hold\n"; string(answer.RawBody) != want {
		t.Errorf("body %q, want %q", answer.RawBody, want)
	}
	w.options.Headers = HeadersLegacy
	if got := headersOf(w.ask(r))["X-RateLimit-Reset"]; got != "0" {
		t.Errorf("X-RateLimit-Reset: %s on a full bucket", got)
	}
	if !w.admits("pool=backend,api=a") || w.observed["d units denied"] != 2 {
		t.Error("the refused cost was charged")
	}
}

func TestG13_AnAdmittedClientSeesItsState(t *testing.T) {
	w := newWorld(t, weighted)
	w.options.Headers = HeadersLegacy
	answer := w.ask(request("user=u"))
	if s := answer.Statuses[0]; s.LimitRemaining != 4 || s.DurationUntilReset.AsDuration() != 12*time.Second {
		t.Errorf("status %v, want 4 left and full in 12s", s)
	}
	if l := answer.Statuses[0].CurrentLimit; l.RequestsPerUnit != 5 || l.Unit != rls.RateLimitResponse_RateLimit_MINUTE || l.UnitMultiplier != nil {
		t.Errorf("current limit %v, want 5 per minute", l)
	}
	got := headersOf(answer)
	if got["X-RateLimit-Limit"] != "5" || got["X-RateLimit-Remaining"] != "4" || got["X-RateLimit-Reset"] != "12" {
		t.Errorf("headers %v", got)
	}
	if len(answer.RawBody) > 0 || answer.DynamicMetadata != nil || got["Content-Type"] != "" || got["Retry-After"] != "" {
		t.Error("an admitted request carries what belongs to a refusal")
	}
	if w.options.Headers = HeadersOff; len(w.ask(request("user=u")).ResponseHeadersToAdd) != 0 {
		t.Error("headers were sent though they are off")
	}
}

func TestTheHeadersShowTheLimitClosestToItsEnd(t *testing.T) {
	w := newWorld(t, weighted)
	w.options.Headers = HeadersLegacy
	for _, order := range [][]string{{"pool=backend,api=a", "user=u", "free=x"}, {"free=x", "user=u", "pool=backend,api=a"}} {
		if got := headersOf(w.ask(request(order...)))["X-RateLimit-Limit"]; got != "5" {
			t.Errorf("%v: the headers show a limit of %s, want the user's with the lower share left", order, got)
		}
	}
}

func TestAShadowLimitIsReportedAndNeverRefuses(t *testing.T) {
	w := newWorld(t, `
domain: d
descriptors:
  - key: user
    limits: [{name: real, rate: 10/min}, {name: trial, rate: 1/min, shadow_mode: true}]
`)
	for i := range 3 {
		answer := w.ask(request("user=u"))
		if answer.OverallCode != rls.RateLimitResponse_OK || answer.Statuses[0].Code != rls.RateLimitResponse_OK {
			t.Fatalf("request %d was refused by a shadow limit", i)
		}
		if name := answer.Statuses[0].CurrentLimit.Name; name != "real" {
			t.Errorf("the status shows %q before the limit that is enforced", name)
		}
	}
	if w.observed["d trial allowed"] != 1 || w.observed["d trial shadow_denied"] != 2 {
		t.Errorf("counted %v", w.observed)
	}
}

func TestSeveralLimitsShowTheOneThatRefused(t *testing.T) {
	w := newWorld(t, `
domain: d
descriptors:
  - key: user
    limits: [{name: minute, rate: 2/min}, {name: hour, rate: 3/hour}]
`)
	for range 2 {
		w.admits("user=u")
	}
	answer := w.ask(request("user=u"))
	if name := answer.Statuses[0].CurrentLimit.GetName(); name != "minute" {
		t.Errorf("the status shows %q, want the one that refused", name)
	}
	w.now = w.now.Add(time.Minute)
	w.admits("user=u")
	answer = w.ask(request("user=u")) // minute has 1 left, hour none
	if got := headersOf(answer)["Retry-After"]; answer.Statuses[0].CurrentLimit.GetName() != "hour" || got != "1140" {
		t.Errorf("%q refused, Retry-After %s; want hour and 20 min less 1 min", answer.Statuses[0].CurrentLimit.GetName(), got)
	}
}

// What a client is told must hold: the longest of the delays, rounded up.
func TestRetryAfterIsWhenAllLimitsAdmit(t *testing.T) {
	w := newWorld(t, `
domain: d
descriptors:
  - key: user
    limits: [{name: second, rate: 1/s, shadow_mode: true}, {name: seconds, rate: 2/5s}, {name: minute, rate: 2/min}]
`)
	for range 2 {
		w.admits("user=u")
	}
	w.now = w.now.Add(100 * time.Millisecond)
	answer := w.ask(request("user=u")) // 2.4 s for one more of seconds, 29.9 s for one more of minute
	reversed := newWorld(t, `
domain: d
descriptors:
  - key: user
    limits: [{name: minute, rate: 2/min}, {name: seconds, rate: 2/5s}]
`)
	for range 2 {
		reversed.admits("user=u")
	}
	if got := headersOf(reversed.ask(request("user=u")))["Retry-After"]; got != "30" {
		t.Errorf("Retry-After: %s where the longest delay comes first, want 30", got)
	}
	if got := headersOf(answer)["Retry-After"]; got != "30" {
		t.Errorf("Retry-After: %s, want 29.9 s rounded up", got)
	}
	if s := answer.Statuses[0]; s.CurrentLimit.GetName() != "minute" || s.DurationUntilReset.AsDuration() != 30*time.Second {
		t.Errorf("the status shows %v, want the limit that refuses longest", s)
	}
	if want := "rate limit \"minute\" of 2 per minute exceeded, retry after 30 s\n"; string(answer.RawBody) != want {
		t.Errorf("body %q, want %q", answer.RawBody, want)
	}
	w.now = w.now.Add(30 * time.Second)
	if !w.admits("user=u") {
		t.Error("refused again after the delay that was promised")
	}
}

// Two descriptors may meet one bucket. The request needs both costs, so the
// delay is for both, and there is none if a full bucket does not hold both.
func TestRetryAfterIsForAllThatARequestAsksOfABucket(t *testing.T) {
	w := newWorld(t, `
domain: d
passive: [api]
descriptors:
  - {key: user, limits: [{name: per-user, rate: 1/s, burst: 10, weight: {by: api, values: {four: 4, six: 6}}}]}
`)
	drain := request("user=u")
	drain.HitsAddend = 8
	w.ask(drain)
	twice := request("user=u,api=four", "user=u,api=four")
	if got := headersOf(w.ask(twice))["Retry-After"]; got != "6" {
		t.Errorf("Retry-After: %s for 4 and 4 of 2 tokens, want 6", got)
	}
	w.now = w.now.Add(6 * time.Second)
	if answer := w.ask(twice); answer.OverallCode != rls.RateLimitResponse_OK {
		t.Errorf("refused again after the delay that was promised: %v", answer)
	}
	w.now = w.now.Add(time.Hour)
	answer := w.ask(request("user=u,api=six", "user=u,api=six"))
	if after, there := headersOf(answer)["Retry-After"]; there || answer.Statuses[1].DurationUntilReset != nil {
		t.Errorf("Retry-After: %s for 6 and 6 of a bucket of 10, which can never pass: %v", after, answer.Statuses)
	}
}

func TestAPeriodThatEnvoyCannotNameIsNotShown(t *testing.T) {
	w := newWorld(t, `
domain: d
descriptors:
  - {key: user, limits: [{name: odd, rate: 2/1500ms}]}
`)
	w.admits("user=u")
	w.admits("user=u")
	answer := w.ask(request("user=u"))
	if s := answer.Statuses[0]; s.CurrentLimit != nil {
		t.Errorf("a period of 1.5 s is shown as %v", s.CurrentLimit)
	}
	if want := "rate limit \"odd\" of 2 per 1.5s exceeded, retry after 1 s\n"; string(answer.RawBody) != want {
		t.Errorf("body %q, want %q", answer.RawBody, want)
	}
	w = newWorld(t, "domain: d\ndescriptors: [{key: user, limits: [{name: long, rate: 1/2week, algorithm: token_bucket}]}]\n")
	w.admits("user=u")
	if want := "rate limit \"long\" of 1 per 2 weeks exceeded, retry after 1209600 s\n"; string(w.ask(request("user=u")).RawBody) != want {
		t.Errorf("body %q, want %q", w.ask(request("user=u")).RawBody, want)
	}
}

// A limit that still admits may have the lower share left; the client must see
// the one that refused.
func TestARefusalIsShownBeforeALowerShareLeft(t *testing.T) {
	w := newWorld(t, `
domain: d
descriptors:
  - {key: heavy, limits: [{name: heavy, rate: 10/hour, weight: 6}]}
  - {key: light, limits: [{name: light, rate: 100/hour}]}
`)
	w.options.Headers = HeadersLegacy
	drain := request("light=x")
	drain.HitsAddend = 95
	w.ask(drain)
	w.admits("heavy=x")
	for _, order := range [][]string{{"heavy=x", "light=x"}, {"light=x", "heavy=x"}} {
		if got := headersOf(w.ask(request(order...)))["X-RateLimit-Limit"]; got != "10" {
			t.Errorf("%v: the headers show a limit of %s, want that of 4/10 left which refused, not of 5/100", order, got)
		}
	}
}

// Without the store nobody knows what is left; a number would be made up.
func TestWithoutTheStoreNoNumbersAreMadeUp(t *testing.T) {
	w := newWorld(t, `
domain: d
descriptors:
  - {key: open, limits: [{name: open, rate: 5/min, on_store_error: allow}]}
  - {key: closed, limits: [{name: closed, rate: 5/min, on_store_error: deny}]}
`)
	w.options.Headers = HeadersLegacy
	w.use(guard.New(guard.Options{
		Store: failingStore{errors.New("down")}, Local: w.store, Timeout: time.Second, Observe: func(context.Context, time.Duration, error) {},
	}))
	answer := w.ask(request("open=x"))
	if s := answer.Statuses[0]; s.Code != rls.RateLimitResponse_OK || s.CurrentLimit != nil || len(answer.ResponseHeadersToAdd) != 0 {
		t.Errorf("admitted without the store: %v", answer)
	}
	answer = w.ask(request("closed=x"))
	s, got := answer.Statuses[0], headersOf(answer)
	if s.Code != rls.RateLimitResponse_OVER_LIMIT || s.CurrentLimit.GetName() != "closed" || s.LimitRemaining != 0 || s.DurationUntilReset != nil {
		t.Errorf("refused without the store: %v", s)
	}
	if len(got) != 1 || string(answer.RawBody) != "rate limit \"closed\" cannot be checked at the moment\n" {
		t.Errorf("headers %v and body %q, want a content type and the reason", got, answer.RawBody)
	}
}
