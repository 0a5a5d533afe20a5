package service

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weir-rls/weir/buckets"
)

const feedbackRules = `
domain: d
pools:
  - {name: follows, rate: 3/s, feedback: {bad_percent: 5}}
  - {name: in-flight, slots: 2, slot_ttl: 20m, feedback: {}}
  - {name: plain, rate: 100/s}
descriptors:
  - {key: follows, value: a, draw: {pool: follows, class: all}}
  - {key: follows, value: b, draw: {pool: follows, class: all}}
  - {key: in-flight, draw: {pool: in-flight, class: slots}}
  - {key: plain, draw: {pool: plain, class: tokens}}
  - {key: service, breaker: {failures: 2, open_for: 30s}}
  - {key: both, descriptors: [{key: x, limits: [{name: good, algorithm: sliding_window, rate: 3/min, count: success}]}]}
`

// told is a world that keeps what pools that follow failures are told, in order.
func told(t testing.TB) (*world, *[]string) {
	w, log := newWorld(t, feedbackRules), &[]string{}
	w.options.Observe.Ended = func(domain, pool string, status int) {
		*log = append(*log, fmt.Sprintf("%s %s ended %d", domain, pool, status))
	}
	w.options.Observe.Limited = func(domain, pool string) { *log = append(*log, domain+" "+pool+" limited") }
	return w, log
}

func (w *world) tells(log *[]string, want ...string) {
	w.t.Helper()
	if !slices.Equal(*log, want) {
		w.t.Errorf("told %q, want %q", *log, want)
	}
	*log = nil
}

// A pool that follows failures learns how each request ended that it admitted, and
// what it refused. A failure that is told again, here or in another replica, is told
// once.
func TestC07_APoolIsToldHowItsRequestsEnd(t *testing.T) {
	w, log := told(t)
	first, second, third := w.take("follows=a"), w.take("follows=b"), w.take("follows=a")
	if answer := w.ask(request("follows=a")); answer.OverallCode != rls.RateLimitResponse_OVER_LIMIT {
		t.Fatal("the pool is not empty")
	}
	w.tells(log, "d follows limited")
	w.end(first, 200)
	w.tells(log, "d follows ended 200")
	for _, status := range []uint64{503, 503, 429} {
		w.end(second, status)
	}
	w.tells(log, "d follows ended 503")
	w.end(third, 0)
	w.end(third, 0)
	w.tells(log, "d follows ended 0")
	w.expect(map[string]int{"receipt redeemed": 3, "receipt repeated": 3})
	w.now = w.now.Add(time.Second)
	late, huge := w.take("follows=a"), w.take("follows=b")
	w.end(huge, 1<<60)
	w.tells(log, "d follows ended 1000")
	w.now = w.now.Add(9 * time.Minute)
	w.end(late, 500)
	w.tells(log, "d follows ended 500")
	w.end("forged", 500)
	w.tells(log)
	slot := w.take("in-flight=i")
	w.now = w.now.Add(19 * time.Minute)
	w.end(slot, 500)
	w.tells(log, "d in-flight ended 500")
}

// Envoy that is not set up to send the status tells nothing.
func TestC07_AnUnknownStatusIsNotTold(t *testing.T) {
	w, log := told(t)
	w.ask(request("weir.receipt=" + w.take("follows=a")))
	w.tells(log)
	w.expect(map[string]int{"receipt redeemed": 1})
}

// Slots are given back as ever, and one request of two draws ends once for each
// pool; what else its receipt decides is done too.
func TestC07_FeedbackBesideOtherEnds(t *testing.T) {
	w, log := told(t)
	take := func() string {
		return receiptOf(w.ask(request("in-flight=i", "follows=a", "follows=b", "service=s", "both=b,x=y", "plain=p")))
	}
	w.end(take(), 503)
	w.tells(log, "d in-flight ended 503", "d follows ended 503")
	if l := w.levels("in-flight=i")["slots"]; l.Used != 0 || l.Remaining != 2 {
		t.Errorf("the slot is not given back: %+v", l)
	}
	w.now = w.now.Add(time.Second)
	w.end(take(), 502)
	w.tells(log, "d in-flight ended 502", "d follows ended 502")
	if s, g := w.levels("service=s")["service:breaker"], w.levels("both=b,x=y")["good"]; s.State != "open" || g.Capacity != 3 || g.Used != 0 {
		t.Errorf("breaker %+v, successes %+v", s, g)
	}
}

// A refused request has no receipt, and one that only looks none either.
func TestC07_OnlyWhatWasAdmittedEnds(t *testing.T) {
	w, _ := told(t)
	look := request("follows=a")
	look.Descriptors[0].HitsAddend = wrapperspb.UInt64(0)
	if answer := w.ask(look); receiptOf(answer) != "" {
		t.Error("a look has a receipt")
	}
	for range 3 {
		w.take("follows=a")
	}
	if answer := w.ask(request("follows=a", "plain=p")); receiptOf(answer) != "" {
		t.Error("a refusal has a receipt")
	}
}

// A pool without feedback costs what it did: no receipt, no random number, no call
// when the stream ends. Nobody who listens to refusals and breakers: nothing either.
func TestC07_APoolWithoutFeedbackCostsNothing(t *testing.T) {
	w, log := told(t)
	if receipt := w.take("plain=p"); receipt != "" {
		t.Errorf("receipt %q", receipt)
	}
	w.tells(log)
	plain, follows := w.allocations("plain=p"), w.allocations("follows=a")
	if plain > maxAllocs || follows <= plain {
		t.Errorf("a draw allocates %v times, more than %v; with feedback %v times", plain, maxAllocs, follows)
	}
}

// maxAllocs is what a draw allocated before there was feedback.
const maxAllocs = 22

// The end of a success asks the store nothing.
func TestC07_ASuccessCostsTheStoreNothing(t *testing.T) {
	w, log := told(t)
	receipt, charges := w.take("follows=a"), 0
	w.use(counted{w.store, &charges})
	w.end(receipt, 200)
	if charges != 0 {
		t.Errorf("%d charges", charges)
	}
	w.tells(log, "d follows ended 200")
}

type counted struct {
	buckets.Store
	charges *int
}

func (s counted) Take(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
	*s.charges += len(charges)
	return s.Store.Take(ctx, charges)
}

// An end that the store could not mark may be told later, once.
func TestC07_AFailureDuringAnOutageIsToldOnceItIsOver(t *testing.T) {
	w, log := told(t)
	shared := w.outage()
	receipt := w.take("follows=a")
	shared.broken = true
	w.end(receipt, 500)
	w.tells(log)
	shared.broken = false
	w.end(receipt, 500)
	w.tells(log, "d follows ended 500")
	w.expect(map[string]int{"receipt failed": 1})
}

// Who leaves while he is judged has used the tokens of a pool, as those of any
// other bucket, and holds no slot.
func TestC07_WhoLeavesIsHandedBackNoTokens(t *testing.T) {
	w, log := told(t)
	ctx, leave := context.WithCancel(context.Background())
	w.use(leaving{w.store, leave})
	if _, err := w.ShouldRateLimit(ctx, request("follows=a", "plain=p", "in-flight=i")); err == nil {
		t.Fatal("who left is answered")
	}
	for name, used := range map[string]int64{"all": 1, "tokens": 1, "slots": 0} {
		if l := w.levels("follows=a", "plain=p", "in-flight=i")[name]; l.Limit == "" || l.Used != used {
			t.Errorf("%d of %s are used, want %d", l.Used, name, used)
		}
	}
	w.tells(log)
}

// leaving is a store whose caller leaves while it judges.
type leaving struct {
	buckets.Store
	leave func()
}

func (s leaving) Take(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
	s.leave()
	return s.Store.Take(ctx, charges)
}
