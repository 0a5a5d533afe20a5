package service

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/weir-rls/weir/buckets/guard"
	"github.com/weir-rls/weir/descriptors"
)

// refusal is the answer after what the first descriptor's limit admits.
func refusal(t testing.TB, w *world, descriptors ...string) *rls.RateLimitResponse {
	t.Helper()
	for range 100 {
		answer := w.ask(request(descriptors...))
		if answer.OverallCode == rls.RateLimitResponse_OVER_LIMIT {
			return answer
		}
		if len(answer.RawBody) > 0 || len(answer.ResponseHeadersToAdd) > 0 {
			t.Fatalf("an admitted request has a body or headers: %v", answer)
		}
	}
	t.Fatalf("%q is never refused", descriptors)
	return nil
}

// The body of new-api, type and code included.
func TestM16_TheBodyIsThatOfOpenAIWithTypeCodeAndRequestID(t *testing.T) {
	w := newWorld(t, `
domain: d
passive: [request_id]
responses:
  new-api:
    content_type: application/json
    body: '{"error":{"message":"{message} (request id: {request_id})","type":"new_api_error","code":""}}'
descriptors:
  - {key: user, limits: [{name: total, rate: 1/min, response: new-api}]}
  - {key: other, limits: [{name: preset, rate: 1/min, response: openai}]}
`)
	answer := refusal(t, w, "user=u,request_id=20240101-abc")
	want := `{"error":{"message":"rate limit \"total\" of 1 per minute exceeded, retry after 60 s (request id: 20240101-abc)","type":"new_api_error","code":""}}`
	if got := string(answer.RawBody); got != want || headersOf(answer)["Content-Type"] != "application/json" {
		t.Errorf("%s %s, want %s", headersOf(answer)["Content-Type"], got, want)
	}
	var body struct {
		Error struct{ Message, Type, Code string }
	}
	answer = refusal(t, w, "other=o")
	if err := json.Unmarshal(answer.RawBody, &body); err != nil || body.Error.Type != "requests" || body.Error.Code != "rate_limit_exceeded" || body.Error.Message == "" {
		t.Errorf("%s: %v", answer.RawBody, err)
	}
}

func TestM17_MessagesAreThoseOfTheRulesInTheirLanguage(t *testing.T) {
	w := newWorld(t, `
domain: d
responses:
  success: {form: openai, language: zh, message: "您已达到请求数限制：{period}内最多请求{limit}次"}
  total: {form: openai, language: zh, message: "您已达到总请求数限制：{period}内最多请求{limit}次，包括失败次数，请检查您的请求是否正确"}
  zh: {language: zh}
  pt: {language: pt}
descriptors:
  - key: user
    limits: [{name: good, rate: 3/5min, response: success}, {name: all, rate: 2/min, response: total}]
  - {key: group, limits: [{name: good-only, rate: 3/5min, response: success}]}
  - {key: zh, limits: [{name: zh, rate: 1/2hour, response: zh}]}
  - {key: pt, limits: [{name: pt, rate: 7/2s, response: pt}]}
  - {key: en, limits: [{name: en, rate: 7/2s}]}
`)
	message := func(descriptor string) string {
		answer := refusal(t, w, descriptor)
		var body struct{ Error struct{ Message string } }
		if json.Unmarshal(answer.RawBody, &body) == nil {
			return body.Error.Message
		}
		return string(answer.RawBody)
	}
	for descriptor, want := range map[string]string{
		"user=u":  "您已达到总请求数限制：1分钟内最多请求2次，包括失败次数，请检查您的请求是否正确",
		"group=g": "您已达到请求数限制：5分钟内最多请求3次",
		"zh=z":    "您已达到请求数限制“zh”：2小时内最多请求1次，请在7200秒后重试\n",
		"pt=p":    "limite \"pt\" de 7 por 2 segundos excedido, tente novamente em 1 s\n",
		"en=e":    "rate limit \"en\" of 7 per 2 seconds exceeded, retry after 1 s\n",
	} {
		if got := message(descriptor); got != want {
			t.Errorf("%s reads %q, want %q", descriptor, got, want)
		}
	}
}

// A rule that admits nothing, as an open breaker does, says what its operator
// wrote, whole.
func TestG08_ARefusalSaysWhatTheOperatorWrote(t *testing.T) {
	w := newWorld(t, `
domain: d
responses: {payment-down: {message: 支付服務暫時不可用，請稍後再試}}
descriptors: [{key: pay, limits: [{rate: 0/s, response: payment-down}]}]
`)
	answer := refusal(t, w, "pay=x")
	if got := string(answer.RawBody); got != "支付服務暫時不可用，請稍後再試\n" || headersOf(answer)["Content-Type"] != "text/plain; charset=utf-8" {
		t.Errorf("%q of %q", got, headersOf(answer)["Content-Type"])
	}
}

// One format for every refusal of a domain: by a limit, by no rule, by size.
func TestG11_OneErrorFormatWithMessageAndRequestID(t *testing.T) {
	w := newWorld(t, `
domain: d
defaults: {response: azure}
passive: [request_id]
unmatched: deny
responses:
  mine:
    content_type: application/problem+json; charset=utf-8
    body: '{"detail":"{message}","limit":"{limit}","period":"{period}","burst":"{burst}","name":"{name}","after":"{retry_after}","id":"{request_id}"}'
    headers: {X-Request-Id: "{request_id}", X-Why: "{name}: {message}"}
descriptors:
  - {key: user, limits: [{name: per-user, rate: 1/min}]}
  - {key: mine, limits: [{name: own, rate: 1/min, burst: 2, response: mine}]}
  - {key: problem, limits: [{name: own-problem, rate: 1/min, response: problem}]}
`)
	for _, c := range []struct {
		descriptors []string
		want        string
	}{
		{[]string{"user=u,request_id=r-1"}, `{"error":"rate limit \"per-user\" of 1 per minute exceeded, retry after 60 s","requestId":"r-1"}`},
		{[]string{"user=u"}, `{"error":"rate limit \"per-user\" of 1 per minute exceeded, retry after 60 s","requestId":""}`},
		{[]string{"nobody=x", "request_id=r-2"}, `{"error":"no rate limit rule admits this request","requestId":"r-2"}`},
		{strings.Split(strings.Repeat("user=u ", 33), " ")[:33], `{"error":"the request is too large for its rate limits to be checked","requestId":""}`},
		{append(strings.Split(strings.Repeat("user=u ", 17), " ")[:17], "request_id=r-3"), `{"error":"the request is too large for its rate limits to be checked","requestId":"r-3"}`},
		{[]string{"mine=x,request_id=r-4"}, `{"detail":"rate limit \"own\" of 1 per minute exceeded, retry after 60 s","limit":"1","period":"minute","burst":"2","name":"own","after":"60","id":"r-4"}`},
		{[]string{"problem=x"}, `{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Request cannot be satisfied as assigned quota has been exceeded","detail":"rate limit \"own-problem\" of 1 per minute exceeded, retry after 60 s","violated-policies":["own-problem"]}`},
	} {
		answer := refusal(t, w, c.descriptors...)
		if got := string(answer.RawBody); got != c.want {
			t.Errorf("%q reads\n%s, want\n%s", c.descriptors, got, c.want)
		}
		if strings.HasPrefix(c.descriptors[0], "mine") {
			h := headersOf(answer)
			if h["X-Request-Id"] != "r-4" || h["X-Why"] != `own: rate limit "own" of 1 per minute exceeded, retry after 60 s` ||
				h["Content-Type"] != "application/problem+json; charset=utf-8" || h["Retry-After"] != "60" {
				t.Errorf("headers %v", h)
			}
		}
	}
}

// An operator's message of a used-up limit would be untrue of a store that does
// not answer, and of a request that no waiting helps.
func TestResponse_OwnMessageOnlyWhereItIsTrue(t *testing.T) {
	w := newWorld(t, `
domain: d
responses: {mine: {message: "{limit} used up, {retry_after} s", language: pt}}
defaults: {response: mine}
descriptors:
  - {key: user, limits: [{name: per-user, rate: 5/min, on_store_error: deny}]}
  - {key: slots, limits: [{name: at-once, algorithm: concurrency, slots: 2, slot_ttl: 1m, response: plain}]}
`)
	if got := string(refusal(t, w, "user=u").RawBody); got != "5 used up, 12 s\n" {
		t.Errorf("a used-up limit reads %q", got)
	}
	large := request("user=u")
	large.HitsAddend = 6
	if got := string(w.ask(large).RawBody); got != "a requisição precisa de mais do que as 5 fichas que o limite \"per-user\" comporta\n" {
		t.Errorf("too large a request reads %q", got)
	}
	for range 2 {
		w.ask(request("slots=s"))
	}
	if got := string(w.ask(request("slots=s")).RawBody); got != "all 2 slots of \"at-once\" are in use\n" {
		t.Errorf("slots in use read %q", got)
	}
	w.use(guard.New(guard.Options{
		Store: failingStore{errors.New("down")}, Local: w.store, Timeout: time.Second, Observe: func(context.Context, time.Duration, error) {},
	}))
	if got := string(w.ask(request("user=v")).RawBody); got != "o limite \"per-user\" não pode ser verificado no momento\n" {
		t.Errorf("without the store it reads %q", got)
	}
}

// What a client sends as its request id cannot break the body out of JSON, a
// header out of its line, or the answer out of UTF-8, which Envoy would take for
// a failure and admit.
func TestResponse_NoRequestIDBreaksTheAnswer(t *testing.T) {
	w := newWorld(t, `
domain: d
passive: [request_id]
responses:
  mine: {content_type: application/json, body: '{"a":"{request_id}","id {request_id}":["{message}"]}', message: "<{request_id}>\nsecond line", headers: {X-Id: "{request_id}", X-M: "{message}"}}
descriptors: [{key: user, limits: [{rate: 0/s, response: mine, name: 'a "name" \ of <mine>'}]}]
`)
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
			rapid.SampledFrom([]string{"\r\nX: y", `"}`, "\xff\xfe", strings.Repeat("é", 200), "{message}"})).Draw(t, "id")
		var entries [2][]byte
		for i, e := range []header{{"user", "u"}, {"request_id", id}} {
			entries[i] = protowire.AppendString(protowire.AppendTag(appendText(nil, 1, e.name), 2, protowire.BytesType), e.value)
		}
		answer, err := w.callWire(t.Context(), appendBytes(appendText(nil, 1, "d"), 2, appendBytes(appendBytes(nil, 1, entries[0]), 1, entries[1])))
		if err != nil {
			t.Fatal(err)
		}
		var body map[string]any
		if err := json.Unmarshal(answer.RawBody, &body); err != nil {
			t.Fatalf("%s: %v", answer.RawBody, err)
		}
		if _, err := proto.Marshal(answer); err != nil {
			t.Fatal(err)
		}
		got, _ := body["a"].(string)
		strange := strings.Trim(got, "-_.:/+=@~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
		if len(got) > maxRequestID || len(id) > 0 && got == "" || strange != "" {
			t.Fatalf("the request id reads %q", got)
		}
		for name, value := range headersOf(answer) {
			if strings.ContainsAny(value, "\r\n\x00") || !utf8.ValidString(value) {
				t.Fatalf("%s: %q", name, value)
			}
		}
	})
}

// Each sentence is there in each language, and says the same numbers and names.
func TestSentences_AreCompleteInEachLanguage(t *testing.T) {
	var values descriptors.Values
	for i := range values {
		values[i] = "«" + string(rune('a'+i)) + "»"
	}
	variables := func(text string) (found string) {
		for i := range values {
			if strings.Contains(text, values[i]) {
				found += values[i]
			}
		}
		return found
	}
	for s := range sentences {
		english := variables(sentences[s][descriptors.English].Expand(&values))
		for language := range sentences[s] {
			if text := sentences[s][language].Expand(&values); text == "" || variables(text) != english {
				t.Errorf("sentence %d in language %d: %q, in English it says %s", s, language, text, english)
			}
		}
	}
}
