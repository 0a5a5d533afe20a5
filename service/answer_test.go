package service

import (
	"bytes"
	"context"
	"math"
	"strings"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"

	"github.com/weir-rls/weir/buckets/guard"
)

// modelAnswer is a verdict as a message of Envoy's API.
func modelAnswer(v *verdict, style HeaderStyle) *rls.RateLimitResponse {
	codes := map[bool]rls.RateLimitResponse_Code{false: rls.RateLimitResponse_OK, true: rls.RateLimitResponse_OVER_LIMIT}
	answer := &rls.RateLimitResponse{OverallCode: codes[v.over]}
	for _, s := range v.statuses {
		status := &rls.RateLimitResponse_DescriptorStatus{Code: codes[s.over]}
		answer.Statuses = append(answer.Statuses, status)
		switch {
		case s.met == nil || s.Blind && !s.over:
			continue
		case s.Limit.Unlimited:
			status.LimitRemaining = math.MaxUint32
			continue
		}
		if unit, times, shown := unitOf(s.Limit); shown {
			status.CurrentLimit = &rls.RateLimitResponse_RateLimit{Name: s.Limit.Name, RequestsPerUnit: uint32(min(s.Limit.Requests, math.MaxUint32)), Unit: unit}
			if times != 1 {
				status.CurrentLimit.UnitMultiplier = wrapperspb.UInt32(times)
			}
		}
		if s.Blind {
			continue
		}
		if s.showsLevel() {
			status.LimitRemaining = uint32(min(s.remaining(), math.MaxUint32))
		}
		if !s.hopeless && s.Charge.Bucket.Size() > 0 && (s.Delay > 0 || s.Reset > 0) {
			status.DurationUntilReset = durationpb.New(s.Reset)
			if s.over {
				status.DurationUntilReset = durationpb.New(time.Duration(wholeSeconds(s.Delay)) * time.Second)
			}
		}
	}
	add := func(headers ...header) {
		for _, h := range headers {
			answer.ResponseHeadersToAdd = append(answer.ResponseHeadersToAdd, &core.HeaderValue{Key: h.name, Value: h.value})
		}
	}
	answer.DynamicMetadata = modelStated(v)
	tell := func(entries ...string) {
		if answer.DynamicMetadata == nil {
			answer.DynamicMetadata = &structpb.Struct{Fields: map[string]*structpb.Value{}}
		}
		for i := 0; i < len(entries); i += 2 {
			answer.DynamicMetadata.Fields[entries[i]] = structpb.NewStringValue(entries[i+1])
		}
	}
	add(v.headers(style)...)
	switch {
	case v.over:
		if delay, hope := v.retryAfter(); hope {
			add(numberHeader("Retry-After", wholeSeconds(delay)))
		}
		var headers []header
		answer.RawBody, headers = v.render(v.response())
		add(headers...)
		if tell("reason", v.reason); v.reason == "limit" {
			tell("reason", v.reason, "limit", v.decisive.Limit.Name)
		}
	case v.receipt != "":
		tell("receipt", v.receipt)
	}
	return answer
}

// modelStated is the metadata of the rules whose descriptors pass, nil if there is none.
func modelStated(v *verdict) *structpb.Struct {
	var all *structpb.Struct
	for i := range v.met {
		m := &v.met[i]
		if m.Limit.Metadata == nil || v.statuses[m.Descriptor].over {
			continue
		}
		stated, err := structpb.NewStruct(m.Limit.Metadata.Map())
		if err != nil {
			panic(err)
		}
		if all == nil {
			all = &structpb.Struct{Fields: map[string]*structpb.Value{}}
		}
		modelJoin(all, stated)
	}
	if all == nil {
		return nil
	}
	return &structpb.Struct{Fields: map[string]*structpb.Value{"metadata": structpb.NewStructValue(all)}}
}

func modelJoin(to, from *structpb.Struct) {
	for name, value := range from.Fields {
		switch known := to.Fields[name]; {
		case known == nil:
			to.Fields[name] = value
		case known.GetStructValue() != nil && value.GetStructValue() != nil:
			modelJoin(known.GetStructValue(), value.GetStructValue())
		}
	}
}

const answerRules = `
domain: d
passive: [request_id]
unmatched: deny
pools: [{name: units, rate: 10/s, burst: 100}]
responses:
  mine: {content_type: application/json, body: '{"a":"{request_id} {message}"}', headers: {X-Id: "{request_id}"}}
descriptors:
  - key: user
    limits: [{name: fast, rate: 1/s, burst: 3}, {name: daily, rate: 5/day, response: openai}, {name: odd, rate: 7/1500ms, burst: 4, shadow_mode: true}]
  - {key: months, limits: [{name: monthly, algorithm: fixed_window, rate: 4/month, response: mine}, {name: yearly, algorithm: fixed_window, rate: 5/year, response: problem}]}
  - {key: slow, limits: [{name: slow, rate: 2/90s, response: problem}]}
  - {key: slots, limits: [{name: at-once, algorithm: concurrency, slots: 2}]}
  - {key: api, value: a, draw: {pool: units, weight: 60, guarantee: 3/s, reserve: 60}}
  - {key: service, breaker: {failures: 1, open_for: 30s}}
  - {key: down, limits: [{name: denies, rate: 1/s, on_store_error: deny}, {name: allows, rate: 1/s, on_store_error: allow}]}
  - {key: none, limits: [{name: none, rate: 0/s}]}
  - {key: quota, quota_mode: true, limits: [{name: quota, rate: 1/min}], metadata: {team: quota, empty: {}, of: {a: [1, {}, [], null], c: false}}}
  - {key: free, rate_limit: {unlimited: true}, metadata: {team: search, "": "", of: {a: 1, b: {d: 0.5}, c: {e: 1}}}}
  - {key: tagged, limits: [{name: tagged, rate: 1/s}, {name: twice, rate: 9/day}], metadata: {of: {a: x, b: {d: no, f: "\xE9"}}, long: LONG}}
`

// Whatever the verdict, its wire form is that of the message that says the same.
func TestAnswersAreWhatTheirMessagesWouldBe(t *testing.T) {
	texts := []string{
		"user=u", "months=m", "slow=s", "slots=s", "api=a", "service=s", "down=d", "none=n", "quota=q", "free=f", "tagged=t", "nobody=n", "user=v,request_id=r-1",
		"request_id=\"quoted\"",
	}
	rules, seen := loadRules(t, strings.ReplaceAll(answerRules, "LONG", strings.Repeat("l", 300))), map[string]bool{}
	rapid.Check(t, func(rt *rapid.T) {
		w, t := worldOf(t, rules), rt
		style := rapid.SampledFrom([]HeaderStyle{HeadersOff, HeadersLegacy, HeadersDraft10}).Draw(t, "style")
		if rapid.IntRange(0, 4).Draw(t, "down") == 0 {
			w.use(guard.New(guard.Options{
				Store: failingStore{context.DeadlineExceeded}, Local: w.store, Timeout: time.Second, Observe: func(context.Context, time.Duration, error) {},
			}))
		}
		var c call
		for range rapid.IntRange(1, 12).Draw(t, "requests") {
			r := request(rapid.SliceOfN(rapid.SampledFrom(texts), 1, 5).Draw(t, "descriptors")...)
			r.HitsAddend = rapid.Uint32Range(0, 4).Draw(t, "hits")
			c.bounds = testBounds
			if err := c.read(wireOf(t, r)); err != nil {
				t.Fatal(err)
			}
			if err := w.Service.ask(t.Context(), &c, unbounded); err != nil {
				t.Fatal(err)
			}
			got, wire := &rls.RateLimitResponse{}, c.verdict.appendTo(nil, style)
			if err := proto.Unmarshal(wire, got); err != nil {
				t.Fatalf("the answer cannot be read: %v", err)
			}
			if diff := cmp.Diff(modelAnswer(&c.verdict, style), got, protocmp.Transform()); diff != "" {
				t.Fatalf("the answer says something else (-want +got):\n%s", diff)
			}
			seen[c.verdict.reason], seen["receipt"] = true, seen["receipt"] || c.verdict.receipt != ""
			if _, stated := got.GetDynamicMetadata().GetFields()["metadata"]; stated {
				seen["metadata"] = true
				seen["metadata of a refusal"] = seen["metadata of a refusal"] || c.verdict.over
			}
			w.now = w.now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "pause")) * time.Millisecond)
		}
	})
	for _, what := range []string{"", "limit", "unmatched", "receipt", "metadata", "metadata of a refusal"} {
		if !seen[what] {
			t.Errorf("no answer had the reason %q: the property has shown less than it should", what)
		}
	}
}

// A message within a message has its length before it, in one byte or more.
func TestMessagesOfAnyLength(t *testing.T) {
	for _, length := range []int{0, 1, 125, 126, 127, 128, 1000, 16380, 16381, 16382, 16383, 16384, 3 << 20} {
		b, at := beginMessage([]byte("before"), 3)
		b = endMessage(appendText(b, 1, string(bytes.Repeat([]byte{'x'}, length))), at)
		var m rls.RateLimitResponse
		if err := proto.Unmarshal(b[len("before"):], &m); err != nil || len(m.ResponseHeadersToAdd[0].Key) != length || string(b[:6]) != "before" {
			t.Errorf("a text of %d bytes: %v", length, err)
		}
	}
}
