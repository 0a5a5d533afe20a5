// Command llm-gateway shows the limits of an LLM gateway on Envoy: how often a
// user may ask each model, by group, counting all requests or those that succeed;
// how many at once; and how many tokens, which are known when an answer ends.
package main

import (
	"context"

	"github.com/weir-rls/weir/internal/stage"
)

func main() { stage.Main(example()) }

func example() stage.Example {
	return stage.Example{
		Name:  "llm-gateway",
		Title: "an LLM gateway: users, groups, models and tokens",
		Upstreams: []stage.Upstream{
			{Cluster: "llm", Handler: newModel()},
			{Cluster: "keys", Handler: callers},
		},
		Story: func(ctx context.Context, s *stage.Stage) error { return tell(ctx, s) },
		Invite: func(s *stage.Stage) []string {
			ask := "curl -i " + s.Front("front") + "/v1/chat/completions -H 'content-type: application/json' "
			return []string{
				ask + `-H 'authorization: Bearer sk-alice' -d '{"model":"gpt-4","messages":[{"role":"user","content":"hello"}]}'`,
				ask + `-H 'authorization: Bearer sk-dave' -d '{"model":"claude","max_tokens":60000,"stream":true,"messages":[]}'   # twice: a minute's tokens are used up`,
				"curl -X PUT http://" + s.Weirs[0].HTTP + `/api/v1/limits/model_limits -d '{"groups": {"default": [0, 5]}, "author": "me", "reason": "less"}'`,
				"bin/weir rules " + s.Rules + "   # what the group table stands for",
				"edit " + s.Rules + ": a change is live within a second, and a bad table changes nothing",
			}
		},
	}
}
