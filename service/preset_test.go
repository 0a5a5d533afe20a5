package service

import (
	"strings"
	"testing"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
)

// Each of the two limits says in the caller's language which of them it is, in the
// texts of the gateway.
func TestM17_M19_TheTextsOfBothLimitsInThreeLanguages(t *testing.T) {
	const rules = `
domain: d
passive: [request_id]
responses:
  LANGUAGE:
    content_type: application/json
    body: '{"error":{"message":"{message} (request id: {request_id})","type":"new_api_error","code":""}}'
    language: LANGUAGE
presets: [{model_limits: {period: PERIOD, total: 2, success: 1, response: LANGUAGE}}]
`
	for language, texts := range map[string][2]string{
		"zh": {"您已达到总请求数限制：PERIOD内最多请求2次，包括失败次数，请检查您的请求是否正确", "您已达到请求数限制：PERIOD内最多请求1次"},
		"en": {
			"You have reached the total request limit: at most 2 requests per PERIOD, failed ones included. Please check that your requests are correct",
			"You have reached the request limit: at most 1 requests per PERIOD",
		},
		"pt": {
			"Você atingiu o limite total de requisições: no máximo 2 por PERIOD, incluindo as que falharam. Verifique se as suas requisições estão corretas",
			"Você atingiu o limite de requisições: no máximo 1 por PERIOD",
		},
	} {
		for period, word := range map[string]map[string]string{
			"1m": {"zh": "1分钟", "en": "minute", "pt": "minuto"},
			"5m": {"zh": "5分钟", "en": "5 minutes", "pt": "5 minutos"},
		} {
			w := newWorld(t, strings.NewReplacer("LANGUAGE", language, "PERIOD", period).Replace(rules))
			answer := refusal(t, w, "preset=model_limits,user=good,request_id=r-1")
			want := func(i int) string {
				return `{"error":{"message":"` + strings.ReplaceAll(texts[i], "PERIOD", word[language]) + ` (request id: r-1)","type":"new_api_error","code":""}}`
			}
			if got := string(answer.RawBody); got != want(1) {
				t.Errorf("%s: %s, want %s", language, got, want(1))
			}
			for range 2 {
				w.end(w.take("preset=model_limits,user=bad"), 500)
			}
			if got := string(refusal(t, w, "preset=model_limits,user=bad,request_id=r-1").RawBody); got != want(0) {
				t.Errorf("%s: %s, want %s", language, got, want(0))
			}
		}
	}
}

// A message that the response states stands in both places.
func TestM17_AMessageOfTheResponsesOwnStands(t *testing.T) {
	w := newWorld(t, "domain: d\nresponses: {own: {message: mine}}\ndefaults: {response: own}\npresets: [{model_limits: {success: 1}}]\n")
	if got := string(refusal(t, w, "preset=model_limits,user=u").RawBody); got != "mine\n" {
		t.Errorf("%q", got)
	}
}

// The two limits of a preset count as they are told apart: failures only in the
// total, refusals in neither, and by group, user and model.
func TestM03_M04_M05_M18_N11_ThePresetCountsTotalAndSuccess(t *testing.T) {
	w := newWorld(t, "domain: d\npresets: [{model_limits: {total: 5, success: 3, groups: {vip: [0, 2]}}}]\n")
	const user = "preset=model_limits,user=u,model=m"
	for range 3 {
		w.end(w.take(user), 400) // takes no success, though it looked like one
	}
	w.end(w.take(user), 399)
	w.end(w.take(user), 200)
	answer := w.ask(request(user))
	if got := answer.DynamicMetadata.Fields["limit"].GetStringValue(); answer.OverallCode != rls.RateLimitResponse_OVER_LIMIT || got != "model_limits/total" {
		t.Errorf("the sixth request is refused by %q, want model_limits/total", got)
	}
	w.mustPass(3, 9, "preset=model_limits,user=u,model=other")
	w.mustPass(2, 9, "preset=model_limits,token_group=vip,user=u,model=m")
	w.mustPass(0, 9, "preset=model_limits,user_group=vip,user=u,model=m")
	for range 9 { // unlimited: failures cost a vip nothing
		w.end(w.take("preset=model_limits,user_group=vip,user=failing,model=m"), 500)
	}
	w.mustPass(2, 9, "preset=model_limits,user_group=vip,user=failing,model=m")
	w.now = w.now.Add(62 * time.Second)
	w.mustPass(3, 9, user)
}
