package service

import (
	"testing"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

var four = wrapperspb.UInt32(4)

// What Envoy and the caller are shown of each kind of limit, admitted and refused.
func TestG13_EachKindIsShownInTermsOfItsOwn(t *testing.T) {
	const rules = `
domain: d
descriptors:
  - {key: month, limits: [{name: month, rate: 1/month}]}
  - {key: year, limits: [{name: year, rate: 1/year}]}
  - {key: quota, limits: [{name: quota, rate: 1/day, time_zone: Asia/Taipei}]}
  - {key: sliding, limits: [{name: sliding, algorithm: sliding_window, rate: 1/min}]}
  - {key: slots, limits: [{name: slots, algorithm: concurrency, slots: 1, slot_ttl: 10m}]}
  - {key: empty, limits: [{name: empty, rate: 1/4s, burst: 4, initial: empty}]}
`
	rate := func(name string, unit rls.RateLimitResponse_RateLimit_Unit) *rls.RateLimitResponse_RateLimit {
		return &rls.RateLimitResponse_RateLimit{Name: name, RequestsPerUnit: 1, Unit: unit}
	}
	for _, c := range []struct {
		key           string
		limit         *rls.RateLimitResponse_RateLimit
		reset         time.Duration // told to who is admitted, 0 for none
		refused       time.Duration // and to who is refused
		message       string
		refuseAtFirst bool
	}{ // now is Friday, 15 January 2027, 08:00 UTC
		{"month", rate("month", rls.RateLimitResponse_RateLimit_MONTH), 400 * time.Hour, 400 * time.Hour, `rate limit "month" of 1 per month exceeded, retry after 1440000 s`, false},
		{"year", rate("year", rls.RateLimitResponse_RateLimit_YEAR), 8416 * time.Hour, 8416 * time.Hour, `rate limit "year" of 1 per year exceeded, retry after 30297600 s`, false},
		{"quota", rate("quota", rls.RateLimitResponse_RateLimit_DAY), 8 * time.Hour, 8 * time.Hour, `rate limit "quota" of 1 per day exceeded, retry after 28800 s`, false},
		{"sliding", rate("sliding", rls.RateLimitResponse_RateLimit_MINUTE), 61 * time.Second, 61 * time.Second, `rate limit "sliding" of 1 per minute exceeded, retry after 61 s`, false},
		{"slots", nil, 0, 0, `all 1 slots of "slots" are in use`, false},
		{
			"empty", &rls.RateLimitResponse_RateLimit{Name: "empty", RequestsPerUnit: 1, Unit: rls.RateLimitResponse_RateLimit_SECOND, UnitMultiplier: four},
			0, 4 * time.Second, `rate limit "empty" of 1 per 4 seconds exceeded, retry after 4 s`, true,
		},
	} {
		w := newWorld(t, rules)
		w.options.Headers = HeadersLegacy
		if !c.refuseAtFirst {
			want := &rls.RateLimitResponse_DescriptorStatus{Code: rls.RateLimitResponse_OK, CurrentLimit: c.limit}
			if c.reset > 0 {
				want.DurationUntilReset = durationpb.New(c.reset)
			}
			if diff := cmp.Diff(want, w.ask(request(c.key + "=x")).Statuses[0], protocmp.Transform()); diff != "" {
				t.Errorf("%s admitted, want -, got +:\n%s", c.key, diff)
			}
		}
		answer := w.ask(request(c.key + "=x"))
		want := &rls.RateLimitResponse_DescriptorStatus{Code: rls.RateLimitResponse_OVER_LIMIT, CurrentLimit: c.limit}
		if c.refused > 0 {
			want.DurationUntilReset = durationpb.New(c.refused)
		}
		if diff := cmp.Diff(want, answer.Statuses[0], protocmp.Transform()); diff != "" {
			t.Errorf("%s refused, want -, got +:\n%s", c.key, diff)
		}
		if got := string(answer.RawBody); got != c.message+"\n" {
			t.Errorf("%s: body %q, want %q", c.key, got, c.message)
		}
		if _, told := headersOf(answer)["Retry-After"]; told != (c.refused > 0) {
			t.Errorf("%s: Retry-After is there: %v", c.key, told)
		}
	}
}

// A breaker has no number of requests left, and one that admits says nothing of
// the limits beside it.
func TestABreakerShowsNoLevel(t *testing.T) {
	w := newWorld(t, `
domain: d
descriptors:
  - {key: pay, breaker: {failures: 1, open_for: 30s}, limits: [{name: rate, rate: 10/s}]}
`)
	w.options.Headers = HeadersLegacy
	answer := w.ask(request("pay=x"))
	if s := answer.Statuses[0]; s.CurrentLimit.GetName() != "rate" || s.LimitRemaining != 9 || headersOf(answer)["X-RateLimit-Remaining"] != "9" {
		t.Errorf("closed: %v", answer)
	}
	w.end(receiptOf(answer), 500)
	answer = w.ask(request("pay=x"))
	s := answer.Statuses[0]
	if s.CurrentLimit != nil || s.LimitRemaining != 0 || s.DurationUntilReset.GetSeconds() != 30 || headersOf(answer)["X-RateLimit-Limit"] != "" {
		t.Errorf("open: %v", answer)
	}
}

// An API's class is guaranteed its part, and what it borrows is counted apart.
func TestC06_AClassBorrowsAndIsGuaranteed(t *testing.T) {
	w := newWorld(t, `
domain: d
pools: [{name: units, rate: 10/s, burst: 100}]
descriptors:
  - {key: api, value: a, draw: {pool: units, weight: 1}}
  - {key: api, value: c, draw: {pool: units, weight: 3}}
`)
	for w.admits("api=c") {
	}
	for i := range 15 { // 0.3 x 100 / 2
		if !w.admits("api=a") {
			t.Fatalf("request %d within the guarantee of the class is refused", i+1)
		}
	}
	if w.admits("api=a") || w.admits("api=c") {
		t.Error("admitted beyond the pool")
	}
	// c: 5 guaranteed, 23 borrowed of what is above both guarantees
	w.expect(map[string]int{"d api=c allowed": 5, "d api=c borrowed": 23, "d api=a allowed": 15, "d api=a denied": 1, "d api=c denied": 2})
}
