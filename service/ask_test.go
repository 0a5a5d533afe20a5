package service

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/descriptors"
)

const askRules = `
domain: d
passive: [request_id]
responses: {said: {form: azure, headers: {X-Limit: "{name}"}}}
descriptors:
  - {key: user, limits: [{name: per-user, rate: 1/min, response: said}]}
  - {key: slow, limits: [{name: slow, rate: 1/4s, max_wait: 10s}]}
  - {key: slots, limits: [{name: slots, algorithm: concurrency, slots: 1}]}
  - {key: busy, limits: [{name: busy, algorithm: concurrency, slots: 1, max_wait: 2s}]}
`

// asked is what AskJSON answers.
type asked struct {
	t      testing.TB
	status int
	header http.Header
	body   map[string]any
}

func (w *world) asks(body string, wait time.Duration) asked {
	w.t.Helper()
	status, header, answer := w.AskJSON(context.Background(), []byte(body), wait)
	a := asked{t: w.t, status: status, header: header}
	if err := json.Unmarshal(answer, &a.body); err != nil {
		w.t.Fatalf("%s: %v", answer, err)
	}
	return a
}

func jsonRequest(t testing.TB, descriptors ...string) string {
	t.Helper()
	body, err := protojson.Marshal(request(descriptors...))
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// Who is no Envoy asks with the same message, written as JSON, and gets the same
// answer: the status as HTTP's, and what Envoy would tell its caller in headers.
func TestC19_AskedInJSONTheAnswerIsThatOfEnvoy(t *testing.T) {
	w := newWorld(t, askRules)
	w.options.Headers = HeadersLegacy
	body := jsonRequest(t, "user=u,request_id=r-1")
	a := w.asks(body, 0)
	if a.status != 200 || a.header.Get("Content-Type") != "application/json" || a.body["overallCode"] != "OK" || a.header.Get("X-Ratelimit-Limit") != "1" {
		t.Errorf("admitted: %+v", a)
	}
	a = w.asks(body, 0)
	if a.status != 429 || a.header.Get("Retry-After") != "60" || a.header.Get("X-Limit") != "per-user" || !slices.Equal(a.header.Values("Content-Type"), []string{"application/json"}) {
		t.Errorf("refused: %d %v", a.status, a.header)
	}
	said := `{"error":"rate limit \"per-user\" of 1 per minute exceeded, retry after 60 s","requestId":"r-1"}`
	metadata, _ := a.body["dynamicMetadata"].(map[string]any)
	if a.body["overallCode"] != "OVER_LIMIT" || a.body["body"] != said || metadata["limit"] != "per-user" {
		t.Errorf("refused: %v", a.body)
	}
	statuses, _ := a.body["statuses"].([]any)
	first, _ := statuses[0].(map[string]any)
	if len(statuses) != 1 || first["code"] != "OVER_LIMIT" || first["durationUntilReset"] != "60s" {
		t.Errorf("statuses: %v", statuses)
	}
	if w.observed["request over_limit"] != 1 || w.observed["request ok"] != 1 {
		t.Errorf("observed %v", w.observed)
	}
}

// A receipt that came as JSON goes back as JSON.
func TestC19_AReceiptGivesASlotBackOverJSON(t *testing.T) {
	w := newWorld(t, askRules)
	body := jsonRequest(t, "slots=s")
	metadata, _ := w.asks(body, 0).body["dynamicMetadata"].(map[string]any)
	receipt, _ := metadata["receipt"].(string)
	if a := w.asks(body, 0); receipt == "" || a.status != 429 {
		t.Fatalf("the only slot is not held: %v %q", a, receipt)
	}
	end := request(descriptors.ReceiptKey + "=" + receipt)
	form, err := protojson.Marshal(end)
	if err != nil {
		t.Fatal(err)
	}
	if a := w.asks(string(form), 0); a.status != 200 {
		t.Errorf("the receipt: %v", a)
	}
	if a := w.asks(body, 0); a.status != 200 {
		t.Errorf("the slot is not free again: %v", a)
	}
}

// A check never waits; an acquire waits as long as it wants and the limit allows,
// and no longer.
func TestC19_AnAcquireWaitsAsLongAsItWantsAndTheLimitAllows(t *testing.T) {
	for _, c := range []struct {
		text   string
		before int // requests that take what there is, and reserve
		wait   time.Duration
		status int
		took   time.Duration
	}{
		{text: "slow=s", before: 1, wait: 0, status: 429},
		{text: "slow=s", before: 1, wait: -time.Second, status: 429},
		{text: "slow=s", before: 1, wait: 3 * time.Second, status: 429}, // refused at once: 4 s are needed
		{text: "slow=s", before: 1, wait: 5 * time.Second, status: 200, took: 4 * time.Second},
		{text: "slow=s", before: 1, wait: time.Hour, status: 200, took: 4 * time.Second},
		{text: "slow=s", before: 3, wait: time.Hour, status: 429}, // the limit allows 10 s, and 12 are needed
		{text: "busy=b", before: 1, wait: 0, status: 429},
		{text: "busy=b", before: 1, wait: time.Second, status: 429, took: time.Second},
		{text: "busy=b", before: 1, wait: time.Hour, status: 429, took: 2 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, askRules)
			w.use(memory.New(memory.Options{}))
			body := jsonRequest(t, c.text)
			for range c.before {
				go w.AskJSON(t.Context(), []byte(body), time.Hour)
				synctest.Wait()
			}
			start := time.Now()
			a := w.asks(body, c.wait)
			if took := time.Since(start); a.status != c.status || took != c.took {
				t.Errorf("%+v: %d after %v", c, a.status, took)
			}
			elapse(20 * time.Second)
		})
	}
}

// elapse lets time pass in a bubble.
func elapse(d time.Duration) { <-time.After(d) }

// What cannot be judged is told as a problem with the field that is wrong, and
// charges nothing.
func TestC19_BadInputNamesTheField(t *testing.T) {
	w := newWorld(t, askRules)
	for body, want := range map[string]struct {
		status int
		field  string
		says   string
	}{
		``:                            {400, "", "unexpected token"},
		`{`:                           {400, "", "unexpected"},
		`null`:                        {400, "", "unexpected token null"},
		`[]`:                          {400, "", "unexpected token ["},
		`{} {}`:                       {400, "", "unexpected token {"},
		`{"domain":"d"}`:              {400, "descriptors", "no descriptors"},
		`{"domain":5}`:                {400, "domain", "5"},
		`{"dommain":"d"}`:             {400, "dommain", "unknown field"},
		`{"domain":"d","domain":"e"}`: {400, "domain", "duplicate"},
		`{"domain":"d","hitsAddend":4294967296,"descriptors":[{"entries":[{"key":"user","value":"u"}]}]}`: {400, "hitsAddend", "4294967296"},
		`{"domain":"d","hitsAddend":-1}`:                                                   {400, "hitsAddend", "-1"},
		`{"domain":"d","hitsAddend":1e99}`:                                                 {400, "hitsAddend", "1e99"},
		`{"domain":"d","descriptors":{}}`:                                                  {400, "descriptors", "unexpected token {"},
		`{"domain":"d","descriptors":[{"entries":[{"key":"a"}]},{"entries":[{"key":7}]}]}`: {400, "descriptors[1].entries[0].key", "7"},
		"{\"domain\":\"d\",\n \"descriptors\":[\n  {\"entries\":[{\"key\":\"ключ\",\"value\":\"a\"},{\"key\":\"a\",\"валюта\":1}]}]}": {400, "descriptors[0].entries[1].валюта", "unknown field"},
		`{"domain":"d","descriptors":[{"entries":[{"key":"a"}],"hitsAddend":"x"}]}`:                                                   {400, "descriptors[0].hitsAddend", "x"},
		`{"domain":"d","descriptors":[null]}`:                                                      {400, "descriptors[0]", "null"},
		`{"domain":"d","descriptors":[{}]}`:                                                        {400, "descriptors[0].entries", "no entries"},
		`{"domain":"d","descriptors":[{"entries":[{"value":"x"}]}]}`:                               {400, "descriptors[0].entries[0].key", "empty"},
		`{"domain":"d","descriptors":[{"entries":[{"key":"a"}],"limit":{"unit":"EON"}}]}`:          {400, "descriptors[0].limit.unit", "EON"},
		`{"descriptors":[{"entries":[{"key":"a"}]}]}`:                                              {400, "domain", "empty"},
		`{"domain":"nobody","descriptors":[{"entries":[{"key":"a"}]}]}`:                            {404, "domain", "nobody"},
		`{"domain":"` + strings.Repeat("я", 5000) + `","descriptors":[{"entries":[{"key":"a"}]}]}`: {404, "domain", "яяя"},
		"{\"domain\":\"\xff\"}":                                                                    {400, "domain", "UTF-8"},
	} {
		a := w.asks(body, time.Hour)
		detail, _ := a.body["detail"].(string)
		field, _ := a.body["field"].(string)
		if a.status != want.status || field != want.field || !strings.Contains(detail, want.says) {
			t.Errorf("%.100s: %d %q %q, want %+v", body, a.status, field, detail, want)
		}
		if a.header.Get("Content-Type") != "application/problem+json" || a.body["type"] != "about:blank" || a.body["status"] != float64(want.status) || a.body["title"] == "" {
			t.Errorf("%.100s: no problem of RFC 9457: %v %v", body, a.header, a.body)
		}
		if len(detail) > 600 {
			t.Errorf("%.100s: %d bytes of detail", body, len(detail))
		}
	}
	if len(w.observed) > 0 {
		t.Errorf("observed %v", w.observed)
	}
	if !w.admits("user=u") {
		t.Error("bad input was charged")
	}
}

// Before rules are loaded, and without a store that must answer, nobody can tell.
func TestC19_NotAbleToJudgeIs503(t *testing.T) {
	w := newWorld(t, "domain: d\ndescriptors: [{key: user, limits: [{rate: 1/s, on_store_error: error}]}]\n")
	w.outage().broken = true
	body := jsonRequest(t, "user=u")
	if a := w.asks(body, 0); a.status != 503 || a.body["detail"] == "" || a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("without a store: %+v", a)
	}
	w.options.Rules = func() *descriptors.Rules { return nil }
	if a := w.asks(body, 0); a.status != 503 {
		t.Errorf("without rules: %+v", a)
	}
}

// Whatever the body, the answer is a status, a content type and JSON.
func FuzzAskJSON(f *testing.F) {
	f.Add([]byte(`{"domain":"d","descriptors":[{"entries":[{"key":"user","value":"u"}],"hitsAddend":"3","limit":{"requestsPerUnit":3,"unit":"MINUTE"}}]}`))
	f.Add([]byte("{\"domain\":\"d\",\n\"descriptors\":[{\"entries\":[{\"key\":\"\xff\"}]}, []"))
	f.Add([]byte(`{"a":[[{"b":{"c":[1,"d",{`))
	w := newWorld(f, askRules)
	f.Fuzz(func(t *testing.T, body []byte) {
		status, header, answer := w.AskJSON(t.Context(), body, 0)
		known := map[int]string{200: "application/json", 429: "application/json", 400: "application/problem+json", 404: "application/problem+json"}
		if known[status] != header.Get("Content-Type") || !json.Valid(answer) {
			t.Fatalf("%q: %d %v %s", body, status, header, answer)
		}
		if status < 400 && protojson.Unmarshal(body, &rls.RateLimitRequest{}) != nil {
			t.Fatalf("%q is admitted", body)
		}
	})
}
