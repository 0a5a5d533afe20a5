package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/descriptors"
)

// explained asks for an explanation as the API does.
func (w *world) explained(r *rls.RateLimitRequest) descriptors.Explanation {
	w.t.Helper()
	return explainedBy(w.t, w.Service, r)
}

func explainedBy(t interface{ Fatal(...any) }, s *Service, r *rls.RateLimitRequest) (e descriptors.Explanation) {
	body, err := protojson.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	code, _, answer := s.ExplainJSON(context.Background(), body)
	if code != 200 {
		t.Fatal(code, string(answer))
	}
	if err := json.Unmarshal(answer, &e); err != nil {
		t.Fatal(err)
	}
	return e
}

// Rules with every kind of limit, and every way in which one can stand.
const mixedRules = `
domain: d
passive: [size]
pools:
  - {name: units, rate: 5/s, burst: 20, split_by: [tenant]}
  - {name: places, slots: 6}
descriptors:
  - {key: user, limits: [{name: per-user, rate: 2/s, burst: 5, weight: {by: size, values: {xl: 4}, default: 1}}, {name: day, rate: 9/day}]}
  - {key: user, value: vip, limits: [{name: vip, rate: 7/min, algorithm: sliding_window}, {name: seen, rate: 1/s, shadow_mode: true}]}
  - {key: user, value: free, rate_limit: {unlimited: true}}
  - {key: tenant, draw: {pool: units, class: t, weight: 2, guarantee: 1/s}}
  - {key: other, draw: {pool: units, class: o, weight: 3, reserve: 4}}
  - {key: job, limits: [{name: jobs, algorithm: concurrency, slots: 3}], breaker: {failures: 2}}
  - {key: place, draw: {pool: places, class: p}}
  - {key: plan, value: a, quota_mode: true, limits: [{name: qa, rate: 3/min}]}
  - {key: plan, value: b, quota_mode: true, limits: [{name: qb, rate: 4/hour, algorithm: fixed_window, count: success}]}
  - {key: shut, limits: [{name: shut, rate: 0/s}]}
  - {key: some, limits: [{name: some, rate: 1/s, enforce_percent: 50, replaces: [{name: per-user}]}]}
`

// anyAsk draws a request that mixes what the rules have.
func anyAsk(t *rapid.T) *rls.RateLimitRequest {
	r := &rls.RateLimitRequest{Domain: "d", HitsAddend: uint32(rapid.IntRange(0, 3).Draw(t, "hits"))}
	for range rapid.IntRange(1, 5).Draw(t, "descriptors") {
		d := descriptor(rapid.SampledFrom([]string{
			"user=u", "user=u", "user=v,size=xl", "user=vip", "user=free", "tenant=a", "tenant=b", "other=x", "other=x", "job=j", "place=p",
			"plan=a", "plan=b", "shut=s", "some=1", "some=2", "some=3", "nothing=x", "user=u,more=x",
		}).Draw(t, "descriptor"))
		switch rapid.IntRange(0, 9).Draw(t, "own hits") {
		case 0:
			d.HitsAddend = wrapperspb.UInt64(0)
		case 1:
			d.HitsAddend = wrapperspb.UInt64(uint64(rapid.IntRange(1, 30).Draw(t, "n")))
		case 2:
			d.IsNegativeHits = true
		}
		r.Descriptors = append(r.Descriptors, d)
	}
	return r
}

// outcome is what a caller can tell of a verdict.
type outcome struct {
	Denied  bool
	Headers map[string]string
	Body    string
}

func outcomeOfAnswer(a *rls.RateLimitResponse) outcome {
	return outcome{a.OverallCode == rls.RateLimitResponse_OVER_LIMIT, headersOf(a), string(a.RawBody)}
}

func outcomeOfExplanation(a *descriptors.ExplainedAnswer) outcome {
	o := outcome{a.Verdict == descriptors.Denied, map[string]string{}, a.Body}
	for _, h := range a.Headers {
		o.Headers[h.Name] = h.Value
	}
	return o
}

// After any history, what is explained is what is answered then, in every state of
// every kind of limit; and however often one asks why, nothing is taken.
func TestExplain_SaysWhatIsAnsweredThenAndTakesNothing(t *testing.T) {
	for unmatched, rules := range map[string]string{"allow": mixedRules, "deny": mixedRules + "unmatched: deny\n"} {
		t.Run(unmatched, func(t *testing.T) {
			loaded := loadRules(t, rules)
			denied := 0
			rapid.Check(t, func(r *rapid.T) {
				asked, left := worldOf(t, loaded), worldOf(t, loaded) // one of them never explains
				for range rapid.IntRange(1, 25).Draw(r, "steps") {
					request := anyAsk(r)
					pause := time.Duration(rapid.IntRange(0, 1500).Draw(r, "pause")) * time.Millisecond
					asked.now, left.now = asked.now.Add(pause), left.now.Add(pause)
					observed := maps.Clone(asked.observed)
					e := explainedBy(r, asked.Service, request)
					again := explainedBy(r, asked.Service, request)
					if diff := cmp.Diff(e, again); diff != "" {
						r.Fatalf("explained twice: %s", diff)
					}
					if diff := cmp.Diff(observed, asked.observed); diff != "" {
						r.Fatalf("the metrics count it: %s", diff)
					}
					got, want := asked.ask(request), left.ask(request)
					if diff := cmp.Diff(outcomeOfAnswer(want), outcomeOfAnswer(got)); diff != "" {
						r.Fatalf("explaining has changed what is answered: %s", diff)
					}
					if strings.Contains(e.Note, "gives back") {
						continue // which it says
					}
					if diff := cmp.Diff(outcomeOfAnswer(got), outcomeOfExplanation(e.Answer)); diff != "" {
						r.Fatalf("%v is explained as another than it is: %s", request, diff)
					}
					if got.OverallCode == rls.RateLimitResponse_OVER_LIMIT {
						denied++
						if limit := got.DynamicMetadata.Fields["limit"].GetStringValue(); limit != "" && limit != e.Answer.Limit {
							r.Fatalf("%v is refused by %q, explained is %q", request, limit, e.Answer.Limit)
						}
					}
				}
			})
			if denied == 0 {
				t.Error("nothing was ever refused")
			}
		})
	}
}

// Levels and limits that are told are those that a look and Resolve tell.
func TestExplain_TellsTheLevelsThatALookTells(t *testing.T) {
	rules := loadRules(t, mixedRules)
	rapid.Check(t, func(r *rapid.T) {
		w := worldOf(t, rules)
		for range rapid.IntRange(0, 8).Draw(r, "before") {
			w.ask(anyAsk(r))
		}
		request := anyAsk(r)
		for _, d := range request.Descriptors {
			d.HitsAddend, d.IsNegativeHits = nil, false
		}
		wire, err := proto.Marshal(request)
		if err != nil {
			r.Fatal(err)
		}
		c := call{bounds: testBounds}
		if err := c.read(wire); err != nil {
			r.Fatal(err)
		}
		want, err := w.Levels(t.Context(), c.request)
		if err != nil {
			r.Fatal(err)
		}
		e := explainedBy(r, w.Service, request)
		var got []Level
		for i, d := range e.Descriptors {
			for _, l := range d.Limits {
				if b := l.Bucket; b != nil {
					got = append(got, Level{i, "d", l.Limit, l.Key, l.Algorithm, b.Capacity, b.Remaining, b.Used, time.Duration(b.Reset), b.State})
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			r.Fatalf("the levels are told otherwise: %s", diff)
		}
	})
}

// Who would be held is told so, and for how long; who would wait too long is refused.
func TestExplain_ForeseesWhoIsHeld(t *testing.T) {
	for rules, requests := range map[string][]string{
		`{key: k, limits: [{name: l, rate: 1/s, burst: 2, max_wait: 3s, max_waiters: 10}]}`:                            {"k=v"},
		`{key: k, limits: [{name: l, rate: 1/s, burst: 2, max_wait: 3s, max_waiters: 10}, {name: m, rate: 2/s}]}`:      {"k=v"},
		`{key: k, limits: [{name: l, rate: 4/s, burst: 4, max_wait: 1s, max_waiters: 10}, {name: m, rate: 1/s}]}`:      {"k=v", "k=w"},
		`{key: k, limits: [{name: l, rate: 3/min, algorithm: sliding_window, max_wait: 70s, max_waiters: 10}]}`:        {"k=v"},
		`{key: k, limits: [{name: l, rate: 1/s, burst: 2, max_wait: 3s, max_waiters: 10}, {name: m, rate: 3/day}]}`:    {"k=v"},
		`{key: k, limits: [{name: l, rate: 1/s, burst: 2, weight: 2, max_wait: 900ms, max_waiters: 10}]}`:              {"k=v"},
		`{key: k, limits: [{name: l, rate: 1/s, burst: 1, initial: empty, max_wait: 1s, max_waiters: 10, weight: 1}]}`: {"k=v", "k=w"},
	} {
		loaded := loadRules(t, "domain: d\ndescriptors: ["+rules+"]\n")
		synctest.Test(t, func(t *testing.T) {
			w := worldOf(t, loaded)
			w.use(memory.New(memory.Options{}))
			for i := range 8 {
				request := request(requests[i%len(requests)])
				e, start := w.explained(request), time.Now()
				denied := w.ask(request).OverallCode == rls.RateLimitResponse_OVER_LIMIT
				took := time.Since(start)
				want := fmt.Sprint(map[bool]descriptors.Verdict{false: descriptors.Allowed, true: descriptors.Waits}[took > 0])
				if denied {
					want = "deny"
				}
				if got := string(e.Answer.Verdict); got != want || took-time.Duration(e.Answer.Wait) > time.Millisecond || time.Duration(e.Answer.Wait) > took {
					t.Errorf("%s: request %d is explained as %s for %v, and is %s after %v", rules, i, got, e.Answer.Wait, want, took)
				}
			}
		})
	}
}

// What cannot be told is said, and the way is told all the same.
func TestExplain_WithoutTheStore(t *testing.T) {
	w := newWorld(t, weighted)
	w.use(failing{})
	e := w.explained(request("user=u"))
	if e.Answer != nil || !strings.Contains(e.Note, "did not answer") || len(e.Descriptors) != 1 || e.Descriptors[0].Limits[0].Limit != "per-user" {
		t.Errorf("%+v", e)
	}
}

type failing struct{}

func (failing) Take(context.Context, []buckets.Charge) ([]buckets.Outcome, error) {
	return nil, errors.New("no answer")
}

// A request that is never judged is told so, and that of no domain nobody limits.
func TestExplain_ExcessAndUnknownDomains(t *testing.T) {
	w := newWorld(t, weighted)
	large := request()
	for range 33 {
		large.Descriptors = append(large.Descriptors, descriptor("user=u"))
	}
	limits := request()
	for range 20 {
		limits.Descriptors = append(limits.Descriptors, descriptor("user=u"))
	}
	for name, r := range map[string]*rls.RateLimitRequest{"descriptors": large, "limits": limits} {
		if e := w.explained(r); e.Answer.Verdict != descriptors.Denied || e.Answer.Reason != "excess" || !strings.Contains(e.Note, "not judged") {
			t.Errorf("too many %s: %+v", name, e)
		}
		if a := w.ask(r); a.OverallCode != rls.RateLimitResponse_OVER_LIMIT {
			t.Errorf("too many %s are admitted", name)
		}
	}
	other := request("user=u")
	other.Domain = "absent"
	if e := w.explained(other); e.Answer == nil || e.Answer.Verdict != descriptors.Allowed || !strings.Contains(e.Note, `no rule file states the domain "absent"`) {
		t.Errorf("%+v", e)
	}
}

// An event of a refusal, as the log has it, is explained as the request that it was.
func TestExplain_ReadsARefusalAsEventsTellIt(t *testing.T) {
	w := newWorld(t, weighted)
	code, _, answer := w.ExplainJSON(t.Context(), []byte(`{"time":"2026-03-01T12:00:00.5Z","kind":"limit_hit","domain":"d","limit":"per-user","entries":[{"key":"user","value":"u1"}],"suppressed":17}`))
	want := w.explained(request("user=u1"))
	form, err := json.Marshal(want)
	if err != nil || code != 200 || string(answer) != string(form) {
		t.Errorf("%d %s %v", code, answer, err)
	}
	for body, wants := range map[string]string{
		`{}`: "the domain is empty", `{"domain":"d"}`: "there are no descriptors", `[`: "unexpected", `{"kind":"limit_hit","domain":"d"}`: "no entries",
		`{"domain":"d","descriptors":[{"entries":[{"key":"a","value":5}]}]}`: "descriptors[0].entries[0].value",
	} {
		if code, _, answer := w.ExplainJSON(t.Context(), []byte(body)); code != 400 || !strings.Contains(string(answer), wants) {
			t.Errorf("%s: %d %s", body, code, answer)
		}
	}
	w.options.Rules = func() *descriptors.Rules { return nil }
	if code, _, answer := w.ExplainJSON(t.Context(), []byte(`{"domain":"d","descriptors":[{"entries":[{"key":"a"}]}]}`)); code != 503 {
		t.Errorf("without rules: %d %s", code, answer)
	}
}

// Buckets in several hash slots of a Cluster are judged apart, so that in each of them
// something must keep a request from being charged that is only explained.
func TestExplain_EachHashSlotIsKeptFromBeingCharged(t *testing.T) {
	w := newWorld(t, "domain: d\nhash_tag: entity\npools: [{name: p, rate: 1/s, burst: 9}]\ndescriptors:\n  - {key: user, limits: [{rate: 2/s}]}\n  - {key: api, draw: {pool: p}}\n")
	seen := &recording{Store: w.store}
	w.use(seen)
	e := w.explained(request("user=a", "user=a", "user=b", "api=x"))
	if e.Answer.Verdict != descriptors.Allowed {
		t.Fatalf("%+v", e.Answer)
	}
	takes, kept := map[string]bool{}, map[string]bool{}
	for _, c := range seen.charges {
		tag, rest, _ := strings.Cut(c.Key, "}")
		if takes[tag] = true; rest == "explain" && c.Hopeless() && c.Role == buckets.Enforce {
			kept[tag] = true
		}
	}
	if diff := cmp.Diff(takes, kept); diff != "" || len(takes) != 3 {
		t.Errorf("slots %v, kept %v", takes, kept)
	}
}

// recording keeps the charges of the last call.
type recording struct {
	buckets.Store
	charges []buckets.Charge
}

func (r *recording) Take(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
	r.charges = charges
	return r.Store.Take(ctx, charges)
}
