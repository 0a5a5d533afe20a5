package service

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/protobuf/proto"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/waiting"
	"github.com/weir-rls/weir/descriptors"
)

// ErrNoRules is the error of what is asked before any rules were loaded.
var ErrNoRules = errors.New("no rate limit rules have been loaded")

// Explain tells what ShouldRateLimit would answer to a request now, and why. It takes
// nothing from any bucket and gives nothing back, holds nobody, and is no request in
// the metrics. Where the store does not answer, the explanation has no answer, and
// says so; an error means that there are no rules, or is [ErrTooManyLimits].
func (s *Service) Explain(ctx context.Context, request *descriptors.Request) (descriptors.Explanation, error) {
	return s.explain(ctx, request, s.options.Bounds.of(request))
}

// explain is Explain of a request that is beyond a bound, or within all of them.
func (s *Service) explain(ctx context.Context, request *descriptors.Request, beyond Bound) (descriptors.Explanation, error) {
	rules := s.options.Rules()
	if rules == nil {
		return descriptors.Explanation{}, ErrNoRules
	}
	var v verdict
	if beyond != within {
		e := descriptors.Explanation{Domain: request.Domain, Descriptors: []descriptors.ExplainedWay{}}
		e.Note, e.Remedy = "the request is beyond what one may hold ("+beyond.String()+"): it is not judged", "send less, or raise the bound: docs/reference/overload.md lists them"
		v.exceed(0, &descriptors.Resolution{Response: rules.Response(request.Domain)}, s.options.AllowExcess)
		e.Answer = s.answered(&v)
		return e, nil
	}
	e, found := rules.Explain(request)
	limits := explainedLimits(&e)
	for i := range limits {
		limits[i].Algorithm = "unlimited"
		if b := found.Matches[i].Charge.Bucket; b != nil {
			limits[i].Algorithm = algorithm(b)
		}
	}
	charges := chargesOf(found.Matches, found.DenyUnmatched && len(found.Unmatched) > 0)
	if len(charges) > maxCharges(newReceipt(found.Matches)) {
		e.Note, e.Remedy = "the request meets more limits than one may: it is not judged", "send fewer descriptors"
		v.exceed(len(request.Descriptors), &found, s.options.AllowExcess)
		e.Answer = s.answered(&v)
		return e, nil
	}
	outcomes, err := s.look(ctx, charges, &e)
	switch {
	case errors.Is(err, ErrTooManyLimits):
		return e, err
	case err != nil:
		e.Note = "the bucket store did not answer: on_store_error of each limit would decide now"
		return e, nil
	}
	v.decide(len(request.Descriptors), &found, outcomes)
	s.foresee(&v, &e, charges, outcomes)
	return e, nil
}

// explainedLimits are all limits of an explanation, in the order of the matches that
// they tell of.
func explainedLimits(e *descriptors.Explanation) (all []*descriptors.ExplainedLimit) {
	for i := range e.Descriptors {
		for k := range e.Descriptors[i].Limits {
			all = append(all, &e.Descriptors[i].Limits[k])
		}
	}
	return all
}

// look asks the store what it would say to charges. They are judged and nothing is
// taken: each is a look; and where the request asks one bucket twice, so that the
// second must be judged after the first, they are takes that fall together with one
// that nothing can admit. What is given back or settled is not, and its outcome is as
// if it had been.
func (s *Service) look(ctx context.Context, charges []buckets.Charge, e *descriptors.Explanation) ([]buckets.Outcome, error) {
	if len(charges) == 0 {
		return nil, nil
	}
	asked, twice, mixed := slices.Clone(charges), false, false
	for i := range asked {
		c := &asked[i]
		c.OnStoreError = buckets.Fail
		for j := range charges[:i] {
			if before := &charges[j]; before.Key == c.Key || before.ClassKey != "" && before.ClassKey == c.ClassKey {
				twice = twice || before.Asks() && c.Asks()
				mixed = mixed || before.Asks() != c.Asks()
			}
		}
	}
	for i := range asked {
		switch c := &asked[i]; {
		case !c.Asks():
			c.Mode, c.Cost, c.Role = buckets.Look, 0, buckets.Shadow
		case !twice:
			c.Mode = buckets.Look
		}
	}
	if twice {
		asked = append(asked, never(charges)...)
	}
	if len(asked) > buckets.MaxCharges {
		return nil, ErrTooManyLimits
	}
	if mixed {
		e.Note = "the request gives back to a bucket that it also takes from: what is told here is as if it gave nothing back"
	}
	outcomes, _, err := s.options.Room.Take(ctx, asked, waiting.Wait{})
	if err != nil {
		return nil, err
	}
	outcomes = outcomes[:len(charges)]
	for i := range outcomes {
		if !charges[i].Asks() {
			outcomes[i].Admitted, outcomes[i].Delay = true, 0
		}
	}
	return outcomes, nil
}

// never are charges that no store admits: each asks a bucket of one token for two. There
// is one in each hash slot, for slots are judged apart, and what one has taken for
// another's refusal is given back only then.
func never(beside []buckets.Charge) (all []buckets.Charge) {
	one, err := buckets.NewTokenBucket(1, time.Second, 1)
	if err != nil { // a token a second is exact
		one = buckets.TokenBucket{}
	}
	for i := range beside {
		key := beside[i].Key[:strings.IndexByte(beside[i].Key, '}')+1] + "explain"
		if !slices.ContainsFunc(all, func(c buckets.Charge) bool { return c.Key == key }) {
			all = append(all, buckets.Charge{Key: key, Limit: "explain", Bucket: one, Cost: 2, OnStoreError: buckets.Fail})
		}
	}
	return all
}

// foresee completes an explanation with what the buckets said, and the answer.
func (s *Service) foresee(v *verdict, e *descriptors.Explanation, charges []buckets.Charge, outcomes []buckets.Outcome) {
	e.Answer = s.answered(v)
	if v.reason == "limit" {
		// What matches want beside charges, which may be looks of a request that is
		// refused anyhow.
		matches := make([]descriptors.Match, len(v.met))
		for i := range v.met {
			matches[i] = *v.met[i].Match
		}
		w := waitOf(context.Background(), matches, attempt{start: time.Now(), longest: unbounded})
		if w.Max > 0 {
			if wait, held := s.options.Room.Foresee(charges, outcomes, w); held {
				e.Answer = &descriptors.ExplainedAnswer{
					Verdict: descriptors.Waits, Wait: descriptors.Span(wait), Limit: v.decisive.Limit.Name, Descriptor: v.decisive.Descriptor,
				}
			}
		}
	}
	for i, l := range explainedLimits(e) {
		m := &v.met[i]
		if m.Limit.Unlimited || m.Blind {
			continue
		}
		level := levelOf(m.Match, &m.Outcome)
		l.Bucket = &descriptors.ExplainedBucket{
			Capacity: level.Capacity, Used: level.Used, Remaining: level.Remaining, Reset: descriptors.Span(level.Reset), State: level.State,
			Admits: m.Admitted, Borrowed: m.Borrowed, Refuses: m.refuses && e.Answer.Verdict == descriptors.Denied, Hopeless: m.hopeless,
		}
		if !m.Admitted {
			l.Bucket.Delay = descriptors.Span(m.Delay)
		}
	}
}

// answered is a verdict as its caller would be told.
func (s *Service) answered(v *verdict) *descriptors.ExplainedAnswer {
	a := &descriptors.ExplainedAnswer{Verdict: descriptors.Allowed, Reason: v.reason}
	if v.over {
		a.Verdict = descriptors.Denied
	}
	if v.decisive != nil && (v.reason == "" || v.reason == "limit") {
		a.Limit, a.Descriptor = v.decisive.Limit.Name, v.decisive.Descriptor
	}
	told := &rls.RateLimitResponse{}
	if err := proto.Unmarshal(v.appendTo(nil, s.options.Headers), told); err != nil { // what this replica writes it reads
		return a
	}
	for _, h := range told.ResponseHeadersToAdd {
		a.Headers = append(a.Headers, descriptors.ExplainedHeader{Name: h.Key, Value: h.Value})
	}
	a.Body = string(told.RawBody)
	a.Metadata = told.GetDynamicMetadata().GetFields()["metadata"].GetStructValue().AsMap()
	return a
}

// ExplainJSON explains a request in the JSON form of RateLimitRequest, or a refusal as
// events tell it. The answer is a [descriptors.Explanation]; what cannot be explained is
// a problem as of [Service.AskJSON].
func (s *Service) ExplainJSON(ctx context.Context, body []byte) (int, http.Header, []byte) {
	request, flaw := readAsked(recorded(body))
	if flaw != nil {
		return flaw.answer()
	}
	c := call{bounds: &s.options.Bounds}
	wire, err := proto.Marshal(request)
	if err == nil {
		err = c.read(wire)
	}
	if err != nil {
		return (&fault{Detail: err.Error()}).answer()
	}
	explained, err := s.explain(ctx, &c.request, c.beyond)
	if errors.Is(err, ErrTooManyLimits) {
		return (&fault{Field: "descriptors", Detail: err.Error()}).answer()
	} else if err != nil {
		return (&fault{Status: http.StatusServiceUnavailable, Detail: err.Error(), Remedy: "try again later"}).answer()
	}
	form, err := json.Marshal(explained)
	if err != nil { // texts and numbers
		form = []byte("{}")
	}
	return http.StatusOK, http.Header{"Content-Type": {"application/json"}}, form
}

// recorded is a body, or the request of one that is an event of a refusal.
func recorded(body []byte) []byte {
	var event struct {
		Kind    string
		Domain  string
		Entries []struct {
			Key   string `json:"key"`
			Value string `json:"value"`
		}
	}
	if err := json.Unmarshal(body, &event); err != nil || event.Kind != "limit_hit" {
		return body
	}
	request, err := json.Marshal(map[string]any{"domain": event.Domain, "descriptors": []any{map[string]any{"entries": event.Entries}}})
	if err != nil { // texts
		return body
	}
	return request
}
