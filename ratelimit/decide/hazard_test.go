package decide

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	ratelimit "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/descriptors"
)

func override(requests uint32, unit int32) *ratelimit.RateLimitDescriptor_RateLimitOverride {
	return &ratelimit.RateLimitDescriptor_RateLimitOverride{RequestsPerUnit: requests, Unit: typev3.RateLimitUnit(unit)}
}

// broken is a store that fails, or panics.
type broken struct{ err error }

func (b broken) Take(context.Context, []buckets.Charge) ([]buckets.Outcome, error) {
	if b.err == nil {
		panic("a fault")
	}
	return nil, b.err
}

// Each is UNKNOWN, with which Envoy does what its failure_mode_deny says.
func TestErrors_AreUnknownAndCounted(t *testing.T) {
	tooMany := request(strings.Fields(strings.Repeat("k ", maxDescriptors+1))...)
	for name, c := range map[string]struct {
		asked          *rls.RateLimitRequest
		change         func(*Options)
		want           string
		service, redis uint64
	}{
		"no domain":          {&rls.RateLimitRequest{Descriptors: request("k").Descriptors}, nil, "rate limit domain must not be empty", 1, 0},
		"no descriptors":     {request(), nil, "rate limit descriptor list must not be empty", 1, 0},
		"neither":            {&rls.RateLimitRequest{}, nil, "rate limit domain must not be empty", 1, 0},
		"too many":           {tooMany, nil, "more than 1000 rate limit descriptors", 1, 0},
		"no rules":           {request("k"), func(o *Options) { o.Rules = func() *descriptors.Rules { return nil } }, "no rate limit configuration loaded", 1, 0},
		"a store that fails": {request("k"), func(o *Options) { o.Store = broken{errors.New("secret")} }, "the bucket store failed", 0, 1},
		"a panic":            {request("k"), func(o *Options) { o.Store = broken{} }, "internal error", 1, 0},
		"a panic before":     {request("k"), func(o *Options) { o.Rules = func() *descriptors.Rules { panic("a fault") } }, "internal error", 1, 0},
	} {
		w := newWorld(t, "domain: d\ndescriptors:\n- {key: k, rate_limit: {unit: minute, requests_per_unit: 1}}\n", c.change)
		_, err := dial(t, w.Service).ShouldRateLimit(context.Background(), c.asked)
		if told := status.Convert(err); told.Code() != codes.Unknown || told.Message() != c.want {
			t.Errorf("%s: %v", name, err)
		}
		if s, r := w.stats.ServiceError.Value(), w.stats.RedisError.Value(); s != c.service || r != c.redis {
			t.Errorf("%s: service_error %d, redis_error %d", name, s, r)
		}
	}
}

// blind is what a guard answers by on_store_error while its store does not.
type blind struct{}

func (blind) Take(_ context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
	outcomes := make([]buckets.Outcome, len(charges))
	for i := range outcomes {
		outcomes[i] = buckets.Outcome{Admitted: true, Blind: true}
	}
	return outcomes, nil
}

// Without its store a rule is decided by what it says of that, and no number is told that
// nobody knows.
func TestStore_WhereItDoesNotAnswerOnStoreErrorDecides(t *testing.T) {
	for word, want := range map[string]string{"allow": "OK: OK 0 OK 0", "deny": "OVER: OVER 0 OK 0"} {
		w := newWorld(t, "domain: d\ndefaults: {on_store_error: "+word+"}\ndescriptors:\n- {key: k, rate_limit: {unit: minute, requests_per_unit: 1}}\n", func(o *Options) { o.Store = blind{} })
		back := request("k=v", "k=v")
		back.Descriptors[1].IsNegativeHits = true
		answer, err := w.ShouldRateLimit(context.Background(), back)
		if err != nil || shown(answer) != want || answer.Statuses[0].CurrentLimit != nil {
			t.Errorf("%s: %v, %v", word, answer, err)
		}
	}
}

// A caller that has left is no failure of the store.
func TestErrors_ACallerThatLeftIsNone(t *testing.T) {
	w := newWorld(t, several, func(o *Options) { o.Store = broken{context.Canceled} })
	ctx, leave := context.WithCancel(context.Background())
	leave()
	if _, err := w.ShouldRateLimit(ctx, request("ten=v")); !errors.Is(err, context.Canceled) || w.stats.RedisError.Value() != 0 {
		t.Errorf("%v, redis_error %d", err, w.stats.RedisError.Value())
	}
}

// One such call ends the reference service.
func TestOverride_WithoutAUnitIsIgnored(t *testing.T) {
	w := newWorld(t, several, nil)
	client := dial(t, w.Service)
	for _, unit := range []int32{0, 8, -1, 1 << 30} {
		asked := request("ten=v 0", "nothing=v")
		asked.Descriptors[0].Limit, asked.Descriptors[1].Limit = override(5, unit), override(5, unit)
		answer, err := client.ShouldRateLimit(context.Background(), asked)
		if err != nil {
			t.Fatal(err)
		}
		if got := shown(answer); got != "OK: OK 10 OK 0" || answer.Statuses[1].CurrentLimit != nil {
			t.Errorf("unit %d: %v", unit, answer)
		}
	}
	asked := request("ten=v")
	asked.Descriptors[0].Limit = &ratelimit.RateLimitDescriptor_RateLimitOverride{RequestsPerUnit: 5, Unit: 2, UnitMultiplier: wrapperspb.UInt32(1<<32 - 1)}
	if got := w.ask(t, asked); got != "OK: OK 9" {
		t.Errorf("a period of 8,000 years: %s, want that of the rule", got)
	}
}

func TestUnknownDomain_IsCountedAndAdmitted(t *testing.T) {
	w := newWorld(t, several, nil)
	asked := request("ten=v", "none=v")
	asked.Domain = "other"
	asked.Descriptors[0].Limit = override(0, 2)
	if got := w.ask(t, asked); got != "OK: OK 0 OK 0" {
		t.Error(got)
	}
	if got := w.counted(t)["ratelimit.service.rate_limit.other.domain_not_found"]; got != 2 {
		t.Errorf("domain_not_found is %d, want one a descriptor", got)
	}
}

// counted is all that was counted, by its name.
func (w *world) counted(t testing.TB) map[string]uint64 {
	r := httptest.NewRecorder()
	w.stats.StatsHandler().ServeHTTP(r, httptest.NewRequest("GET", "/stats", nil))
	_, found, _ := strings.Cut(r.Body.String(), "ratelimit: ")
	all := map[string]uint64{}
	if err := json.Unmarshal([]byte(found), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// Whatever clients put into overrides and domains, the statistics stay as many as they
// may be.
func TestStatistics_AreBoundedWhateverClientsSend(t *testing.T) {
	w := newWorld(t, several, nil)
	for i := range 12_000 {
		asked := request(fmt.Sprint("k=", i))
		asked.Descriptors[0].Limit = override(1, 2)
		if i%10 == 0 {
			asked.Domain = fmt.Sprint("domain", i)
		}
		if _, err := w.ShouldRateLimit(context.Background(), asked); err != nil {
			t.Fatal(err)
		}
	}
	limits, domains := 0, 0
	for name := range w.counted(t) {
		if strings.HasSuffix(name, ".total_hits") {
			limits++
		}
		if strings.HasSuffix(name, ".domain_not_found") {
			domains++
		}
	}
	if limits > 10_100 || domains > 1_100 {
		t.Errorf("%d limits and %d domains are counted apart", limits, domains)
	}
}

// Envoy passes on what a client sent, and admits what fails.
func TestText_ThatIsNoUTF8IsJudged(t *testing.T) {
	w := newWorld(t, several, func(o *Options) { o.Settings.DynamicMetadata = true })
	sent, err := proto.Marshal(request("none=XX", "ten=YXY"))
	if err != nil {
		t.Fatal(err)
	}
	sent = bytes.ReplaceAll(sent, []byte("XX"), []byte("\xff\xfe"))
	sent = bytes.ReplaceAll(sent, []byte("YXY"), []byte("a\xffb"))
	answer, err := wire{w.Service}.ask(context.Background(), sent)
	if err != nil {
		t.Fatal(err)
	}
	if got := shown(answer); got != "OVER: OVER 0 OK 9" || !strings.Contains(answer.String(), "a?b") {
		t.Errorf("%v", answer)
	}
}

func TestText_WhatIsNoMessageIsRefused(t *testing.T) {
	for _, sent := range []string{"\xff", "\x0a\x05d", "\x12\x02\x0a\xff"} {
		if answer, err := (wire{newWorld(t, several, nil).Service}).ask(context.Background(), []byte(sent)); err == nil {
			t.Errorf("%q: %v", sent, answer)
		}
	}
}
