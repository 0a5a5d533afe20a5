package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ratelimit "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// What the reference service's rules say beside amounts, and what its callers do.
const referenceRules = `
domain: d
descriptors:
  - {key: user, detailed_metric: true, rate_limit: {name: per-user, unit: hour, requests_per_unit: 3}, metadata: {team: search, tags: {a: 1}}}
  - key: tenant
    value_to_metric: true
    descriptors: [{key: path, value: /v1, rate_limit: {name: per-tenant, unit: hour, requests_per_unit: 2}, metadata: {team: web, tags: {b: [x]}}}]
  - {key: file, value: "a*", share_threshold: true, rate_limit: {name: files, unit: hour, requests_per_unit: 3}}
`

func (r *replica) judge(all ...*ratelimit.RateLimitDescriptor) *rls.RateLimitResponse {
	r.t.Helper()
	answer, err := rls.NewRateLimitServiceClient(r.conn).ShouldRateLimit(r.t.Context(), &rls.RateLimitRequest{Domain: "d", Descriptors: all})
	if err != nil {
		r.t.Fatal(err)
	}
	return answer
}

func descriptor(pairs ...string) *ratelimit.RateLimitDescriptor {
	d := &ratelimit.RateLimitDescriptor{}
	for i := 0; i < len(pairs); i += 2 {
		d.Entries = append(d.Entries, &ratelimit.RateLimitDescriptor_Entry{Key: pairs[i], Value: pairs[i+1]})
	}
	return d
}

func (r *replica) expect(what string, answer *rls.RateLimitResponse, ok bool, remaining uint32) {
	r.t.Helper()
	if s := answer.GetStatuses()[0]; (s.GetCode() == rls.RateLimitResponse_OK) != ok || s.GetLimitRemaining() != remaining {
		r.t.Errorf("%s: %v with %d left, want ok %v with %d", what, s.GetCode(), s.GetLimitRemaining(), ok, remaining)
	}
}

func TestReferenceFields_MetadataOfRulesThatPassReachesEnvoy(t *testing.T) {
	r := start(t, referenceRules, nil)
	stated := func(answer *rls.RateLimitResponse) string {
		text, err := json.Marshal(answer.GetDynamicMetadata().AsMap())
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	both := []*ratelimit.RateLimitDescriptor{descriptor("tenant", "t", "path", "/v1"), descriptor("user", "u")}
	for range 2 {
		if got, want := stated(r.judge(both...)), `{"metadata":{"tags":{"a":1,"b":["x"]},"team":"web"}}`; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got, want := stated(r.judge(both...)), `{"limit":"per-tenant","metadata":{"tags":{"a":1},"team":"search"},"reason":"limit"}`; got != want {
		t.Errorf("where one of two refuses: %s, want %s", got, want)
	}
}

func TestReferenceFields_MetricsTellValuesApartWhereARuleAsksForThat(t *testing.T) {
	r := start(t, referenceRules, nil)
	for i := range 120 {
		r.judge(descriptor("user", fmt.Sprint("u", i)), descriptor("tenant", "a.b\xc3\xbc\n", "path", "/v1"), descriptor("file", fmt.Sprint("a", i)))
	}
	override := descriptor("user", "sent")
	override.Limit = &ratelimit.RateLimitDescriptor_RateLimitOverride{RequestsPerUnit: 100, Unit: typev3.RateLimitUnit_HOUR}
	r.judge(override)
	for series, want := range map[string]float64{
		`weir_detailed_decisions_total{detail="user_u0",domain="d",limit="per-user",outcome="allowed"}`:                                1,
		`weir_detailed_decisions_total{detail="other",domain="d",limit="per-user",outcome="allowed"}`:                                  0,
		`weir_detailed_decisions_total{detail="other",domain="d",limit="per-user",outcome="not_charged"}`:                              20,
		`weir_detailed_decisions_total{detail="tenant_a.bü` + "\uFFFD" + `.path_/v1",domain="d",limit="per-tenant",outcome="allowed"}`: 2,
		`weir_detailed_decisions_total{detail="tenant_a.bü` + "\uFFFD" + `.path_/v1",domain="d",limit="per-tenant",outcome="denied"}`:  118,
		`weir_decisions_total{domain="d",limit="override",outcome="allowed"}`:                                                          1,
	} {
		if got := r.metric(series); got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
	for _, s := range r.series() {
		if strings.HasPrefix(s, "weir_detailed") && (strings.Contains(s, `"files"`) || strings.Contains(s, "override") || strings.Contains(s, "sent")) {
			t.Errorf("there is %s, for which no rule asks", s)
		}
	}
}

// What a domain's rules hide is hidden in metrics too, also of what is settled.
func TestReferenceFields_HiddenValuesStayHiddenInMetrics(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(hiddenSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, referenceRules+"keys: {hash: hmac-sha256, secret_file: "+secret+"}\n", nil)
	refund := descriptor("user", hiddenMark)
	refund.IsNegativeHits = true
	r.judge(descriptor("user", hiddenMark))
	r.judge(refund)
	large := []*ratelimit.RateLimitDescriptor{refund}
	for range 40 { // more than are judged
		large = append(large, descriptor("user", "x"))
	}
	r.judge(large...)
	_, page := r.get("/metrics")
	if strings.Contains(page, hiddenMark) || !strings.Contains(page, `detail="user_hmac:`) {
		t.Errorf("the metrics are\n%s", page)
	}
	why, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.HTTPAddr()+"/api/v1/explain",
		strings.NewReader(`{"domain":"d","descriptors":[{"entries":[{"key":"user","value":"`+hiddenMark+`"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	why.Header.Set("Content-Type", "application/json")
	if text := r.page(why); strings.Contains(text, hiddenMark) || !strings.Contains(text, `"detail":"user_hmac:`) {
		t.Errorf("the explanation is\n%s", text)
	}
}

// Who looks at the rules, or asks why, is told of what these fields do.
func TestReferenceFields_AreShownOnThePageOfRules(t *testing.T) {
	r := start(t, referenceRules, nil)
	_, page := r.get("/dashboard/rules")
	for _, want := range []string{
		">detailed_metric</span>", ">value_to_metric</span>", `title="share_threshold: one bucket for all values of file=a*">shared</span>`,
		`title="Envoy is told when it lets a descriptor pass: {&#34;tags&#34;:{&#34;a&#34;:1},&#34;team&#34;:&#34;search&#34;}">metadata</span>`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	form := url.Values{"domain": {"d"}, "hits": {"1"}, "descriptors": {"user=<u>\nfile=a1"}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.HTTPAddr()+"/dashboard/rules", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	page = r.page(request)
	for _, want := range []string{
		"one bucket for all values of <code>file=a*</code>", "metrics tell it apart as <code>user_&lt;u&gt;</code>",
		`<pre class="told">{&#34;tags&#34;:{&#34;a&#34;:1},&#34;team&#34;:&#34;search&#34;}</pre>`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the explanation lacks %s", want)
		}
	}
}

func TestReferenceFields_APatternHasOneCounter(t *testing.T) {
	r := start(t, referenceRules, nil)
	r.expect("the first", r.judge(descriptor("file", "a1")), true, 2)
	r.expect("another value", r.judge(descriptor("file", "a2")), true, 1)
	r.expect("a third", r.judge(descriptor("file", "a3")), true, 0)
	r.expect("a value that never came", r.judge(descriptor("file", "a4")), false, 0)
}

// Hits that are given back are there for others, and no more than were used.
func TestReferenceFields_NegativeHitsAreGivenBack(t *testing.T) {
	r := start(t, referenceRules, nil)
	hits := func(n uint64, negative bool) *ratelimit.RateLimitDescriptor {
		d := descriptor("user", "u")
		d.HitsAddend, d.IsNegativeHits = wrapperspb.UInt64(n), negative
		return d
	}
	r.expect("all", r.judge(hits(3, false)), true, 0)
	r.expect("one more", r.judge(hits(1, false)), false, 0)
	r.expect("two given back", r.judge(hits(2, true)), true, 2)
	r.expect("of which one is used", r.judge(hits(1, false)), true, 1)
	r.expect("more given back than was used", r.judge(hits(100, true)), true, 3)
	r.expect("and no more is there", r.judge(hits(4, false)), false, 0)
	r.expect("than the limit", r.judge(hits(3, false)), true, 0)
	if n := r.metric(`weir_decisions_total{domain="d",limit="per-user",outcome="refunded"}`); n != 2 {
		t.Errorf("%v refunds are counted", n)
	}
}

func TestReferenceFields_ALimitThatComesWithARequestHasAMultipleOfAUnit(t *testing.T) {
	r := start(t, referenceRules, nil)
	ask := func(multiplier uint32) *rls.RateLimitResponse {
		d := descriptor("user", "u")
		d.Limit = &ratelimit.RateLimitDescriptor_RateLimitOverride{RequestsPerUnit: 2, Unit: typev3.RateLimitUnit_MINUTE}
		if multiplier > 0 {
			d.Limit.UnitMultiplier = wrapperspb.UInt32(multiplier)
		}
		return r.judge(d)
	}
	first := ask(30)
	r.expect("the first", first, true, 1)
	if l := first.GetStatuses()[0].GetCurrentLimit(); l.GetRequestsPerUnit() != 2 || l.GetUnit() != rls.RateLimitResponse_RateLimit_MINUTE || l.GetUnitMultiplier().GetValue() != 30 {
		t.Errorf("the limit is told as %v", l)
	}
	r.expect("the second", ask(30), true, 0)
	over := ask(30)
	r.expect("the third", over, false, 0)
	if reset := over.GetStatuses()[0].GetDurationUntilReset().AsDuration().Seconds(); reset < 60 || reset > 1800 {
		t.Errorf("it may return after %v s", reset)
	}
	r.expect("another period", ask(0), true, 1)
}
