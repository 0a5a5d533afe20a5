package service

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ratelimit "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/waiting"
	"github.com/weir-rls/weir/descriptors"
)

// A costs 1, B 2, C 3 of one capacity of 100; what Envoy sends as hits only
// multiplies it.
func TestC02_EveryAPIHasItsUnit(t *testing.T) {
	for api, want := range map[string]int{"a": 100, "b": 50, "c": 33, "unknown": 100} {
		w := newWorld(t, weighted)
		passed := 0
		for w.admits("pool=backend,api=" + api) {
			passed++
		}
		if passed != want {
			t.Errorf("api %s passed %d times, want %d", api, passed, want)
		}
	}
}

// A bucket never seen is full; then each request deducts what it costs or
// nothing, also when all come at once: of 100 tokens 33 times 3, and 1 is left.
func TestC03_DeductWholeOrRefuse(t *testing.T) {
	w := newWorld(t, weighted)
	w.options.Observe.Decision = func(*descriptors.Limit, Outcome, int64, string) {}
	w.options.Observe.Request = func(Result, time.Duration, string) {}
	var passed atomic.Int32
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			answer, err := w.ShouldRateLimit(context.Background(), request("pool=backend,api=c"))
			if err == nil && answer.OverallCode == rls.RateLimitResponse_OK {
				passed.Add(1)
			}
		})
	}
	all.Wait()
	if passed.Load() != 33 {
		t.Errorf("%d of 200 requests for 3 tokens passed, want 33", passed.Load())
	}
	if !w.admits("pool=backend,api=a") || w.admits("pool=backend,api=a") {
		t.Error("not exactly 1 token is left")
	}
}

// Capacity 100, 10 tokens each second, once, and never above the capacity.
func TestC04_CapacityRefillsContinuouslyUpToItsBurst(t *testing.T) {
	w := newWorld(t, weighted)
	drain := func() (passed int) {
		for w.admits("pool=backend,api=a") {
			passed++
		}
		return passed
	}
	if got := drain(); got != 100 {
		t.Fatalf("a full bucket admitted %d", got)
	}
	for _, step := range []struct {
		wait time.Duration
		want int
	}{{100 * time.Millisecond, 1}, {time.Second, 10}, {time.Hour, 100}} {
		w.now = w.now.Add(step.wait)
		if got := drain(); got != step.want {
			t.Errorf("after %v the bucket admitted %d, want %d", step.wait, got, step.want)
		}
	}
}

func TestC17_OneTokenLeft(t *testing.T) {
	w := newWorld(t, weighted)
	r := request("pool=backend,api=a")
	r.HitsAddend = 99
	w.ask(r)
	if w.admits("pool=backend,api=b") {
		t.Error("cost 2 passed on 1 token")
	}
	if !w.admits("pool=backend,api=a") {
		t.Error("the refused request took the last token")
	}
}

// A request passes all of its descriptors or is charged to none.
func TestARefusedRequestTakesNothingFromItsOtherDescriptors(t *testing.T) {
	w := newWorld(t, weighted)
	for range 5 {
		w.admits("user=u")
	}
	for range 10 {
		if answer := w.ask(request("pool=backend,api=c", "user=u")); answer.OverallCode != rls.RateLimitResponse_OVER_LIMIT {
			t.Fatal("the exhausted user passed")
		} else if answer.Statuses[0].Code != rls.RateLimitResponse_OK || answer.Statuses[0].LimitRemaining != 100 {
			t.Fatalf("the pool's status is %v", answer.Statuses[0])
		}
	}
	if w.observed["d units not_charged"] != 10 || w.observed["d per-user denied"] != 10 {
		t.Errorf("counted %v", w.observed)
	}
}

func TestHits(t *testing.T) {
	w := newWorld(t, weighted)
	remaining := func(r *rls.RateLimitRequest) uint32 { return w.ask(r).Statuses[0].LimitRemaining }
	with := func(hits *wrapperspb.UInt64Value, negative bool, ofRequest uint32) *rls.RateLimitRequest {
		r := request("pool=backend,api=b")
		r.HitsAddend = ofRequest
		r.Descriptors[0].HitsAddend, r.Descriptors[0].IsNegativeHits = hits, negative
		return r
	}
	for _, step := range []struct {
		name string
		r    *rls.RateLimitRequest
		want uint32
	}{
		{"none counts as one", with(nil, false, 0), 98},
		{"the request's", with(nil, false, 5), 88},
		{"the descriptor's before the request's", with(wrapperspb.UInt64(10), false, 5), 68},
		{"a look takes nothing", with(wrapperspb.UInt64(0), false, 5), 68},
		{"negative hits are given back", with(wrapperspb.UInt64(3), true, 0), 74},
		{"never above full", with(wrapperspb.UInt64(1<<63), true, 0), 100},
		{"a cost beyond any number is refused", with(wrapperspb.UInt64(1<<64-1), false, 0), 0},
		{"and takes nothing", with(wrapperspb.UInt64(0), false, 0), 100},
	} {
		if got := remaining(step.r); got != step.want {
			t.Errorf("%s: %d left, want %d", step.name, got, step.want)
		}
	}
}

// A look is judged as one hit: at 1 token left, a look that costs 2 is refused.
func TestALookIsJudgedAsOneHit(t *testing.T) {
	w := newWorld(t, weighted)
	drain := request("pool=backend,api=a")
	drain.HitsAddend = 99
	w.ask(drain)
	look := request("pool=backend,api=b")
	look.Descriptors[0].HitsAddend = wrapperspb.UInt64(0)
	if w.ask(look).OverallCode != rls.RateLimitResponse_OVER_LIMIT {
		t.Error("a look that one hit would not pass was admitted")
	}
}

// What is given back is given back, whatever becomes of what is asked beside it.
func TestARefundStandsInARefusedRequest(t *testing.T) {
	w := newWorld(t, weighted)
	drain := request("pool=backend,api=a")
	drain.HitsAddend = 100
	w.ask(drain)
	for range 5 {
		w.admits("user=u")
	}
	mixed := request("pool=backend,api=a", "user=u")
	mixed.Descriptors[0].HitsAddend, mixed.Descriptors[0].IsNegativeHits = wrapperspb.UInt64(7), true
	if answer := w.ask(mixed); answer.OverallCode != rls.RateLimitResponse_OVER_LIMIT || answer.Statuses[0].LimitRemaining != 7 {
		t.Errorf("got %v", answer)
	}
}

func TestUnlimitedAndUnmatchedAndUnknownAreAdmitted(t *testing.T) {
	w := newWorld(t, weighted)
	if s := w.ask(request("free=x")).Statuses[0]; s.LimitRemaining != 1<<32-1 || s.CurrentLimit != nil {
		t.Errorf("unlimited shows %v", s)
	}
	if s := w.ask(request("nobody=knows")).Statuses[0]; s.Code != rls.RateLimitResponse_OK || s.CurrentLimit != nil {
		t.Errorf("no match shows %v", s)
	}
	stranger := request("user=u")
	stranger.Domain = "other"
	if w.ask(stranger).OverallCode != rls.RateLimitResponse_OK {
		t.Error("an unknown domain was refused")
	}
	if w.observed["d unmatched"] != 1 || w.observed["unknown domain"] != 1 {
		t.Errorf("counted %v", w.observed)
	}
}

func TestUnmatchedDenyRefusesAndTakesNothing(t *testing.T) {
	w := newWorld(t, `
domain: d
unmatched: deny
descriptors:
  - {key: user, limits: [{name: per-user, rate: 1/min}]}
`)
	answer := w.ask(request("user=u", "other=x"))
	if answer.OverallCode != rls.RateLimitResponse_OVER_LIMIT || answer.Statuses[1].Code != rls.RateLimitResponse_OVER_LIMIT {
		t.Fatalf("got %v", answer)
	}
	if answer.DynamicMetadata.Fields["reason"].GetStringValue() != "unmatched" {
		t.Errorf("metadata %v", answer.DynamicMetadata)
	}
	if !w.admits("user=u") {
		t.Error("the refused request was charged to the limit beside it")
	}
}

func TestAnOverrideStandsInForTheTree(t *testing.T) {
	w := newWorld(t, weighted)
	r := request("user=u")
	r.Descriptors[0].Limit = &ratelimit.RateLimitDescriptor_RateLimitOverride{RequestsPerUnit: 2, Unit: typev3.RateLimitUnit_MINUTE, UnitMultiplier: wrapperspb.UInt32(2)}
	answer := w.ask(r)
	if l := answer.Statuses[0].CurrentLimit; l.GetRequestsPerUnit() != 2 || l.GetUnitMultiplier().GetValue() != 2 || answer.Statuses[0].LimitRemaining != 1 {
		t.Errorf("got %v", answer.Statuses[0])
	}
}

// The reference service ends with this request.
func TestAnOverrideOfUnknownUnitIsIgnoredAndCounted(t *testing.T) {
	w := newWorld(t, weighted)
	r := request("user=u")
	r.Descriptors[0].Limit = &ratelimit.RateLimitDescriptor_RateLimitOverride{RequestsPerUnit: 5}
	if s := w.ask(r).Statuses[0]; s.CurrentLimit.GetName() != "per-user" {
		t.Errorf("the tree did not decide: %v", s)
	}
	if w.observed["d bad override"] != 1 {
		t.Errorf("counted %v", w.observed)
	}
}

// A client may be able to make Envoy send many descriptors. That must be judged:
// an error would admit the request.
func TestExcessIsJudgedNotThrown(t *testing.T) {
	many := func(n int) *rls.RateLimitRequest {
		r := &rls.RateLimitRequest{Domain: "d"}
		for range n {
			r.Descriptors = append(r.Descriptors, descriptor("user=u"))
		}
		return r
	}
	w := newWorld(t, weighted)
	for _, n := range []int{17, 32, 33, 100_000} {
		if answer := w.ask(many(n)); answer.OverallCode != rls.RateLimitResponse_OVER_LIMIT {
			t.Errorf("%d descriptors were admitted", n)
		} else if len(answer.Statuses) > 32 {
			t.Errorf("%d descriptors were answered with %d statuses", n, len(answer.Statuses))
		}
	}
	if w.options.AllowExcess = true; w.ask(many(33)).OverallCode != rls.RateLimitResponse_OK {
		t.Error("on_excess: allow refused")
	}
	if w.observed["excess"] != 5 {
		t.Errorf("counted %v", w.observed)
	}
	if !w.admits("user=u") {
		t.Error("an excessive request was charged")
	}
}

func TestWhatOnlyAnOperatorCanCauseIsAnError(t *testing.T) {
	w := newWorld(t, weighted)
	failing := New(w.options)
	failing.options.Room = waiting.New(waiting.Options{Store: failingStore{errors.New("redis://user:secret@host refused")}})
	none := New(w.options)
	none.options.Rules = func() *descriptors.Rules { return nil }
	noDomain := request("user=u")
	noDomain.Domain = ""
	for _, c := range []struct {
		name string
		s    *Service
		r    *rls.RateLimitRequest
		want codes.Code
	}{
		{"empty domain", w.Service, noDomain, codes.InvalidArgument},
		{"no descriptors", w.Service, request(), codes.InvalidArgument},
		{"nil request", w.Service, nil, codes.InvalidArgument},
		{"no rules yet", none, request("user=u"), codes.Unavailable},
		{"store failure", failing, request("user=u"), codes.Unavailable},
	} {
		_, err := c.s.ShouldRateLimit(context.Background(), c.r)
		if status.Code(err) != c.want {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells a secret: %v", c.name, err)
		}
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := failing.ShouldRateLimit(gone, request("user=u")); status.Code(err) != codes.Canceled {
		t.Errorf("a caller that left got %v", err)
	}
}

type failingStore struct{ err error }

func (s failingStore) Take(context.Context, []buckets.Charge) ([]buckets.Outcome, error) {
	return nil, s.err
}
