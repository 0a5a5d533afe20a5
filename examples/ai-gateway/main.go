// Command ai-gateway shows weir in the place of envoyproxy/ratelimit under Envoy AI
// Gateway: tokens of each user, charged when an answer has ended, and the quotas of
// backends, of which one with something left is enough.
package main

import (
	"net/http"

	"github.com/weir-rls/weir/internal/stage"
)

func main() { stage.Main(example()) }

// used are the tokens of an answer.
const used = 60

func example() stage.Example {
	g := &gateway{}
	return stage.Example{
		Name:  "ai-gateway",
		Title: "an AI gateway's tokens and quotas with another image",
		Upstreams: []stage.Upstream{{
			Cluster: "httproute/default/llm/rule/0",
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(`{"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":50,"total_tokens":60}}`))
			}),
		}},
		Platform: g.start,
		Story:    tell,
		Invite: func(s *stage.Stage) []string {
			return []string{
				"curl -i " + s.Front("front") + "/v1/chat/completions -H 'x-user-id: me'   # three times",
				"curl -i " + s.Front("front") + "/v1/chat/completions -H 'x-user-id: you' -H 'x-served-by: default/azure'",
				"curl " + s.Weirs[0].Debug + "/rlconfig",
				"curl " + s.Weirs[0].Metrics + "/metrics | grep rate_limit_",
			}
		},
	}
}
