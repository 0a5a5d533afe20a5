// Command envoy-gateway shows weir in the place of envoyproxy/ratelimit under Envoy
// Gateway: its environment, its rules over ADS with certificates on both sides, and Envoy
// with the filters and descriptors that Envoy Gateway writes.
package main

import (
	"net/http"

	"github.com/weir-rls/weir/internal/stage"
)

func main() { stage.Main(example()) }

func example() stage.Example {
	g := &gateway{}
	return stage.Example{
		Name:  "envoy-gateway",
		Title: "Envoy Gateway's rate limits with another image",
		Upstreams: []stage.Upstream{{
			Cluster: "httproute/default/shop/rule/0",
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("a shop\n")) }),
		}},
		Platform: g.start,
		Story:    g.tell,
		Invite: func(s *stage.Stage) []string {
			return []string{
				"curl -i " + s.Front("front") + "/ -H 'x-plan: free'",
				"curl -i " + s.Front("front") + "/ -H 'x-user-id: bob'",
				"curl " + s.Weirs[0].Debug + "/rlconfig   # what egctl config envoy-ratelimit shows",
				"curl " + s.Weirs[0].Metrics + "/metrics | grep rate_limit_",
			}
		},
	}
}
