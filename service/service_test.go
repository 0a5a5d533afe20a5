package service

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ratelimit "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/descriptors"
)

// world is a service on real rules, a real store and virtual time.
type world struct {
	*Service
	t        testing.TB
	now      time.Time
	observed map[string]int
}

func newWorld(t testing.TB, rules string) *world {
	t.Helper()
	w := &world{t: t, now: time.Unix(1_800_000_000, 0), observed: map[string]int{}}
	loaded := loadRules(t, rules)
	w.Service = New(Options{
		Rules: func() *descriptors.Rules { return loaded },
		Store: memory.New(memory.Options{Now: func() time.Time { return w.now }}),
		Observe: Observer{
			Request:       func(r Result, _ time.Duration) { w.observed["request "+r.String()]++ },
			Decision:      func(domain, limit string, o Outcome) { w.observed[domain+" "+limit+" "+o.String()]++ },
			Unmatched:     func(domain string, n int) { w.observed[domain+" unmatched"] += n },
			UnknownDomain: func() { w.observed["unknown domain"]++ },
			BadOverrides:  func(domain string, n int) { w.observed[domain+" bad override"] += n },
			Excess:        func() { w.observed["excess"]++ },
		},
		MaxDescriptors: 32,
	})
	return w
}

func loadRules(t testing.TB, rules string) *descriptors.Rules {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, faults := descriptors.Load([]string{path}, descriptors.Options{})
	if loaded == nil {
		t.Fatalf("the rules have faults: %v", faults)
	}
	return loaded
}

func (w *world) ask(request *rls.RateLimitRequest) *rls.RateLimitResponse {
	w.t.Helper()
	answer, err := w.ShouldRateLimit(context.Background(), request)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer
}

// admits asks with one descriptor, written as "key=value,key=value".
func (w *world) admits(descriptor string) bool {
	w.t.Helper()
	return w.ask(request(descriptor)).OverallCode == rls.RateLimitResponse_OK
}

func request(texts ...string) *rls.RateLimitRequest {
	r := &rls.RateLimitRequest{Domain: "d"}
	for _, text := range texts {
		r.Descriptors = append(r.Descriptors, descriptor(text))
	}
	return r
}

func descriptor(text string) *ratelimit.RateLimitDescriptor {
	d := &ratelimit.RateLimitDescriptor{}
	for entry := range strings.SplitSeq(text, ",") {
		key, value, _ := strings.Cut(entry, "=")
		d.Entries = append(d.Entries, &ratelimit.RateLimitDescriptor_Entry{Key: key, Value: value})
	}
	return d
}

func headersOf(answer *rls.RateLimitResponse) map[string]string {
	out := map[string]string{}
	for _, h := range answer.ResponseHeadersToAdd {
		out[h.Key] = h.Value
	}
	return out
}

const weighted = `
domain: d
passive: [api]
descriptors:
  - key: pool
    value: backend
    limits: [{name: units, rate: 10/s, burst: 100, weight: {by: api, values: {a: 1, b: 2, c: 3}, default: 1}}]
  - key: user
    limits: [{name: per-user, rate: 5/min}]
  - key: free
    rate_limit: {unlimited: true}
`

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

func TestC05_OverCapacityIsRefusedWithAllAClientNeeds(t *testing.T) {
	w := newWorld(t, `
domain: d
defaults: {response: openai}
descriptors:
  - {key: user, limits: [{name: per-user, rate: 4/4s, burst: 3}]}
`)
	w.Headers = HeadersLegacy
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
	w.Headers = HeadersLegacy
	if got := headersOf(w.ask(r))["X-RateLimit-Reset"]; got != "0" {
		t.Errorf("X-RateLimit-Reset: %s on a full bucket", got)
	}
	if !w.admits("pool=backend,api=a") || w.observed["d units denied"] != 2 {
		t.Error("the refused cost was charged")
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

func TestG13_AnAdmittedClientSeesItsState(t *testing.T) {
	w := newWorld(t, weighted)
	w.Headers = HeadersLegacy
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
	if w.Headers = HeadersOff; len(w.ask(request("user=u")).ResponseHeadersToAdd) != 0 {
		t.Error("headers were sent though they are off")
	}
}

func TestTheHeadersShowTheLimitClosestToItsEnd(t *testing.T) {
	w := newWorld(t, weighted)
	w.Headers = HeadersLegacy
	for _, order := range [][]string{{"pool=backend,api=a", "user=u", "free=x"}, {"free=x", "user=u", "pool=backend,api=a"}} {
		if got := headersOf(w.ask(request(order...)))["X-RateLimit-Limit"]; got != "5" {
			t.Errorf("%v: the headers show a limit of %s, want the user's with the lower share left", order, got)
		}
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
	w.Headers = HeadersLegacy
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
	if w.AllowExcess = true; w.ask(many(33)).OverallCode != rls.RateLimitResponse_OK {
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
	failing := New(w.Options)
	failing.Store = failingStore{errors.New("redis://user:secret@host refused")}
	none := New(w.Options)
	none.Rules = func() *descriptors.Rules { return nil }
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
