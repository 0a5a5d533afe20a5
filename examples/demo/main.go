// Command demo shows a real Envoy refusing requests because weir said so. It
// starts a small upstream, weir and Envoy on loopback ports, sends requests,
// tells what became of them, and keeps running for requests by hand.
package main

import (
	"context"

	"github.com/weir-rls/weir/internal/stage"
)

func main() { stage.Main(example()) }

func example() stage.Example {
	backend := &upstream{}
	return stage.Example{
		Name:      "demo",
		Title:     "weir between Envoy and an upstream",
		Upstreams: []stage.Upstream{{Cluster: "upstream", Handler: backend}},
		Story: func(ctx context.Context, s *stage.Stage) error {
			return tell(ctx, &caller{stage: s}, backend)
		},
		Invite: invite,
	}
}

func invite(s *stage.Stage) []string {
	front := s.Front("front")
	lines := []string{
		"curl -i " + front + "/api/c",
		"curl -i -H 'x-user-group: vip' " + front + "/chat",
		"for i in $(seq 60); do curl -s -o /dev/null -w '%{http_code}\\n' " + front + "/api/c; done | sort | uniq -c",
	}
	if len(s.Envoys) > 1 {
		lines = append(lines, "curl -i http://"+s.Envoys[1].Listener("front")+"/api/c   # the same bucket, through the other Envoy")
	}
	return append(lines,
		"curl -s http://"+s.Weirs[0].HTTP+"/metrics | grep ^weir_",
		"edit "+s.Rules+"/demo.yaml: a change is live within a second")
}
