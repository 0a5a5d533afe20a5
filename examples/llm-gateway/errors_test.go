package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/weir-rls/weir/internal/stage"
	"github.com/weir-rls/weir/internal/stage/stagetest"
)

// openAI reads an error as OpenAI's clients do.
func openAI(t *testing.T, a stage.Answer) (message, kind, code string) {
	t.Helper()
	var body struct {
		Error struct{ Message, Type, Code *string }
	}
	decoder := json.NewDecoder(strings.NewReader(a.Body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&body); err != nil || body.Error.Message == nil || body.Error.Type == nil || body.Error.Code == nil {
		t.Fatalf("%s %s: %v", a.Proto, a.Body, err)
	}
	if types := a.Header["Content-Type"]; len(types) != 1 || types[0] != "application/json" {
		t.Errorf("content types %q", types)
	}
	return *body.Error.Message, *body.Error.Type, *body.Error.Code
}

// Both limits tell in the operator's language which of them refused.
func TestM16_M17_M19_ErrorsInThreeLanguages(t *testing.T) {
	for language, texts := range map[string][2]string{
		"zh": {"您已达到请求数限制：1分钟内最多请求3次", "您已达到总请求数限制：1分钟内最多请求5次，包括失败次数，请检查您的请求是否正确"},
		"en": {
			"You have reached the request limit: at most 3 requests per minute",
			"You have reached the total request limit: at most 5 requests per minute, failed ones included. Please check that your requests are correct",
		},
		"pt": {
			"Você atingiu o limite de requisições: no máximo 3 por minuto",
			"Você atingiu o limite total de requisições: no máximo 5 por minuto, incluindo as que falharam. Verifique se as suas requisições estão corretas",
		},
	} {
		t.Run(language, func(t *testing.T) {
			spoken := edited(t, "defaults: {response: zh}", "defaults: {response: "+language+"}", `"default": [200, 100]`, `"default": [5, 3]`)
			stagetest.OnEachStore(t, spoken, func(t *testing.T, s *stage.Stage) {
				mustPass(t, s, 3, 4, chat("sk-alice", "gpt-4"))
				mustFail(t, s, 5, chat("sk-carol", "gpt-4", "X-Fail", "500"))
				for i, user := range []string{"alice", "carol"} {
					answer := answered(t, s, chat("sk-"+user, "gpt-4"))
					message, kind, code := openAI(t, answer)
					want := fmt.Sprintf("%s (request id: %s)", texts[i], answer.Header.Get("X-Request-Id"))
					if answer.Status != http.StatusTooManyRequests || message != want || kind != "new_api_error" || code != "" {
						t.Errorf("%s: %s, %q %q %q, want %q", user, answer.Proto, message, kind, code, want)
					}
				}
				for limit, want := range map[string]int64{"success": 2, "total": 1} {
					if n := metric(t, s, `weir_decisions_total{domain="llm",limit="model_limits/default/`+limit+`",outcome="denied"}`); n != want {
						t.Errorf("%d refusals by %s, want %d", n, limit, want)
					}
				}
			})
		})
	}
}

// The gateway's own errors have the form of the others.
func TestM16_WhoeverRefusesDoesSoInOneForm(t *testing.T) {
	stagetest.OnEachStore(t, example, func(t *testing.T, s *stage.Stage) {
		check := func(what string, r stage.Request, status int, code string) {
			t.Helper()
			answer := answered(t, s, r)
			message, kind, got := openAI(t, answer)
			if answer.Status != status || kind != "new_api_error" || got != code || message == "" {
				t.Errorf("%s: %s %s", what, answer.Proto, answer.Body)
			}
		}
		check("no key", chat("sk-mallory", "gpt-4"), 401, "invalid_api_key")
		check("no model", chat("sk-bob", "gpt-5"), 404, "model_not_found")
		for _, weir := range s.Weirs {
			if err := s.Lose(weir.Process); err != nil {
				t.Fatal(err)
			}
		}
		check("no weir", chat("sk-bob", "gpt-4"), 503, "")
	})
}

// Each refusal is in weir's log with who was refused, and what he was told.
func TestM22_ARefusalIsLoggedWithUserAndText(t *testing.T) {
	small := edited(t, `"default": [200, 100]`, `"default": [0, 1]`)
	stagetest.OnEachStore(t, small, func(t *testing.T, s *stage.Stage) {
		mustPass(t, s, 1, 1, chat("sk-alice", "gpt-4"))
		answer := answered(t, s, chat("sk-alice", "gpt-4"))
		if answer.Status != http.StatusTooManyRequests {
			t.Fatalf("%s %s", answer.Proto, answer.Body)
		}
		reach(t, "the refusal is logged", func() bool {
			for _, weir := range s.Weirs {
				for line := range strings.Lines(weir.Output()) {
					if strings.Contains(line, `"limit_hit"`) && strings.Contains(line, `"alice"`) && strings.Contains(line, answer.Header.Get("X-Request-Id")) &&
						strings.Contains(line, "您已达到请求数限制：1分钟内最多请求1次") {
						return true
					}
				}
			}
			return false
		})
	})
}
