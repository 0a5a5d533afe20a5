package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/weir-rls/weir/internal/parts/platform"
	"github.com/weir-rls/weir/internal/stage"
)

// gateway plays the AI gateway's controller.
type gateway struct{ plane *platform.ControlPlane }

// start serves the rules in plain text, without which weir would not open its ports here,
// and reads the arguments and the environment of the manifest.
func (g *gateway) start(s *stage.Stage) (*stage.Platform, error) {
	container, err := platform.ReadContainer(filepath.Join(s.Files, "manifests", "quota-service.yaml"), "envoy-ai-gateway-ratelimit")
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(s.Files, "resources.yaml"))
	if err != nil {
		return nil, err
	}
	rules, err := platform.ParseRules(text)
	if err != nil {
		return nil, err
	}
	if g.plane, err = platform.StartControlPlane("127.0.0.1:0", "envoy-ai-gateway-ratelimit", nil); err != nil {
		return nil, err
	}
	return &stage.Platform{
		Args: container.Args, Environ: append(container.Environ(), "CONFIG_GRPC_XDS_SERVER_URL="+g.plane.Addr),
		Cluster: "ai_gateway_ratelimit_cluster", Stop: g.plane.Stop,
	}, g.plane.Set("1", rules...)
}

// route is what Envoy Gateway calls the gateway's only one.
const route = "httproute/default/llm/rule/0/match/0/*"

// tell is the story.
func tell(ctx context.Context, s *stage.Stage) error {
	s.Screen.Title(fmt.Sprintf("1. manifests/tokens.yaml: each user has 100 tokens an hour, and an answer uses %d", used))
	for range 2 {
		if err := ask(ctx, s, "alice", "openai"); err != nil {
			return err
		}
	}
	if err := s.Refused(ctx, question("alice", "openai")); err != nil {
		return err
	}
	s.Screen.Title("2. manifests/quota.yaml: openai may serve 200 tokens, azure 100; one with something left is enough")
	for _, turn := range []struct{ user, backend string }{
		{"bob", "openai"},
		{"carol", "openai"}, // which has used more than its quota then
		{"dave", "azure"},
		{"erin", "azure"},
	} {
		if err := ask(ctx, s, turn.user, turn.backend); err != nil {
			return err
		}
	}
	if err := s.Refused(ctx, question("frank", "azure")); err != nil {
		return err
	}
	s.Screen.Title("3. The rules that are in force, and the series that dashboards read")
	if err := s.Show(ctx, s.Weirs[0].Debug+"/rlconfig", ""); err != nil {
		return err
	}
	s.Screen.Line("")
	return s.Show(ctx, s.Weirs[0].Metrics+"/metrics", "ratelimit_service_rate_limit_total_hits{")
}

func question(user, backend string) stage.Request {
	return stage.Request{Method: "POST", Path: "/v1/chat/completions", Header: map[string]string{"X-User-Id": user, "X-Served-By": "default/" + backend}, Body: `{"model":"gpt-4"}`}
}

// ask sends a request that must pass, and waits until its tokens are charged, which Envoy
// reports to both domains after the answer.
func ask(ctx context.Context, s *stage.Stage, user, backend string) error {
	series := map[string]int64{
		fmt.Sprintf(`ratelimit_service_rate_limit_total_hits{domain="ai-gateway-quota",key1="backend_name_default/%s",key2="model_name_override_gpt-4"}`, backend): used + 1,
		`ratelimit_service_rate_limit_total_hits{domain="default/ai/http",key1="` + route + `_` + route + `",key2="rule-0-match-0"}`:                               used,
	}
	for name := range series {
		before, err := s.Metric(name)
		if err != nil {
			return err
		}
		series[name] += before
	}
	if err := s.Passes(ctx, 1, 1, user+", served by "+backend, question(user, backend)); err != nil {
		return err
	}
	return stage.Until(ctx, 5*time.Millisecond, "the tokens are charged", func() (bool, error) {
		for name, want := range series {
			if now, err := s.Metric(name); err != nil || now != want {
				return false, err
			}
		}
		return true, nil
	})
}
