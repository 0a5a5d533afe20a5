package service

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/guard"
	"github.com/weir-rls/weir/buckets/memory"
)

// brokenAtTimes is a store that fails while it is told to.
type brokenAtTimes struct {
	buckets.Store
	broken bool
}

func (s *brokenAtTimes) Take(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
	if s.broken {
		return nil, errors.New("down")
	}
	return s.Store.Take(ctx, charges)
}

// outage puts a shared store that can be broken, and a guard, under the service.
func (w *world) outage() *brokenAtTimes {
	shared := &brokenAtTimes{Store: w.store}
	w.use(guard.New(guard.Options{
		Store: shared, Local: memory.New(memory.Options{Now: func() time.Time { return w.now }}),
		Timeout: time.Second, Observe: func(context.Context, time.Duration, error) {},
	}))
	return shared
}

// What was taken in a replica's own memory while the store was away must not be
// given back to the store, which never saw it.
func TestFailuresOfAnOutageGiveNothingToTheStore(t *testing.T) {
	w := newWorld(t, endRules)
	shared := w.outage()
	w.end(w.take("daily=x"), 200)
	shared.broken = true
	receipts := []string{w.take("daily=x"), w.take("daily=x")}
	if w.admits("daily=x") {
		t.Error("a fourth success passed in the outage")
	}
	shared.broken = false
	for _, receipt := range receipts {
		w.end(receipt, 500)
	}
	for range 2 {
		w.end(w.take("daily=x"), 200)
	}
	if w.admits("daily=x") {
		t.Error("a fourth success passed")
	}
}

// And a receipt that comes back during an outage is not said to be redeemed.
func TestReceiptsOfAnOutageFail(t *testing.T) {
	w := newWorld(t, endRules)
	shared := w.outage()
	slots, good := w.take("slots=x"), w.take("good=x")
	shared.broken = true
	w.end(slots, 200)
	w.end(good, 500)
	w.expect(map[string]int{"receipt failed": 2, "receipt redeemed": 0})
}

// A class that is taken out of a pool holds its slots no longer than their streams.
func TestSlotsOfARemovedClassComeBack(t *testing.T) {
	const rules = `
domain: d
pools: [{name: p, slots: 2, slot_ttl: 1h}]
descriptors:
  - {key: a, draw: {pool: p, class: a}}
  - {key: b, draw: {pool: p, class: b}}
`
	w := newWorld(t, rules)
	receipt := w.take("a=x")
	later := newWorld(t, strings.Replace(rules, "  - {key: a, draw: {pool: p, class: a}}\n", "", 1))
	later.use(w.store)
	later.take("b=x")
	if later.admits("b=x") {
		t.Fatal("three slots of two")
	}
	later.end(receipt, 200)
	later.take("b=x")
}

// At its cap the memory store puts all values of a pool into one bucket: what is
// given back must find it.
func TestSlotsOfAPoolComeBackAtTheCap(t *testing.T) {
	w := newWorld(t, `
domain: d
pools: [{name: p, slots: 4, slot_ttl: 1h, split_by: [tenant]}]
passive: [tenant]
descriptors:
  - {key: a, draw: {pool: p}}
  - {key: full, limits: [{rate: 1/hour}]}
`)
	w.use(memory.New(memory.Options{MaxBuckets: 2, Now: func() time.Time { return w.now }}))
	w.take("full=1")
	w.take("full=2")
	for i := range 20 {
		w.end(w.take(fmt.Sprintf("a=x,tenant=%d", i)), 200)
	}
}

// A receipt needs room for its gate beside what it gives back.
func TestSixteenLimitsWhoseEndMattersAreTooMany(t *testing.T) {
	rules, request := &strings.Builder{}, &rls.RateLimitRequest{Domain: "d"}
	rules.WriteString("domain: d\ndescriptors:\n")
	for i := range 16 {
		fmt.Fprintf(rules, "  - {key: k%d, limits: [{algorithm: sliding_window, rate: 1/min, count: success}]}\n", i)
		request.Descriptors = append(request.Descriptors, descriptor(fmt.Sprintf("k%d=x", i)))
	}
	w := newWorld(t, rules.String())
	if w.ask(request); w.observed["excess"] != 1 {
		t.Error("16 are judged")
	}
	request.Descriptors = request.Descriptors[:15]
	for range 3 {
		w.end(receiptOf(w.ask(request)), 500)
	}
	w.expect(map[string]int{"receipt redeemed": 3})
}

// While the store is away each limit does what it says, and shadow limits nothing.
func TestM12_EachLimitSaysWhatBecomesOfAnOutage(t *testing.T) {
	w := newWorld(t, `
domain: d
descriptors:
  - {key: local, limits: [{rate: 1/min}]}
  - {key: allow, limits: [{rate: 1/min, on_store_error: allow}]}
  - {key: deny, limits: [{rate: 1/min, on_store_error: deny}]}
  - {key: error, limits: [{rate: 1/min, on_store_error: error}]}
  - {key: shadow, limits: [{rate: 1/min, on_store_error: error, shadow_mode: true}]}
`)
	w.outage().broken = true
	for key, want := range map[string]int{"local": 1, "allow": 3, "deny": 0, "shadow": 3} {
		w.mustPass(want, 3, key+"=x")
	}
	if _, err := w.ShouldRateLimit(context.Background(), request("error=x")); status.Code(err) != codes.Unavailable {
		t.Errorf("on_store_error: error answers %v", err)
	}
}

// Whoever wants to see which answers were found without the store sees it where he asked
// for it, and by what they were found.
func TestAnswersWithoutTheStoreAreToldWhereAskedFor(t *testing.T) {
	w := newWorld(t, `
domain: d
descriptors:
  - {key: local, limits: [{rate: 1/hour}]}
  - {key: allow, limits: [{rate: 1/hour, on_store_error: allow}]}
  - {key: deny, limits: [{rate: 1/hour, on_store_error: deny}]}
`)
	shared := w.outage()
	told := func(key string) string {
		answer := w.ask(request(key + "=x"))
		in := answer.GetDynamicMetadata().GetFields()["degraded"].GetStringValue()
		return strings.TrimSpace(headersOf(answer)["X-RateLimit-Degraded"] + " " + in)
	}
	for _, key := range []string{"local", "allow", "deny"} {
		for _, style := range []DegradedStyle{DegradedHidden, DegradedInHeader, DegradedInMetadata} {
			w.options.Degraded, shared.broken = style, false
			if got := told(key); got != "" {
				t.Errorf("with the store, %s is told as %q", key, got)
			}
			shared.broken = true
			if got := told(key); got != key && style != DegradedHidden || got != "" && style == DegradedHidden {
				t.Errorf("without the store, %s is told as %q (style %d)", key, got, style)
			}
		}
		w.now = w.now.Add(time.Hour)
	}
	w.options.Degraded = DegradedInHeader
	if answer := w.ask(request("local=x")); headersOf(answer)["X-RateLimit-Degraded"] != "local" || answer.DynamicMetadata != nil {
		t.Errorf("%v", answer)
	}
}
