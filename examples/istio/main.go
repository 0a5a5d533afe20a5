// Command istio shows weir in the place of envoyproxy/ratelimit in Istio's rate limit
// sample: its environment, its ConfigMap, and Envoy as Istio's EnvoyFilters make it.
package main

import (
	"net/http"

	"github.com/weir-rls/weir/internal/stage"
)

func main() { stage.Main(example()) }

func example() stage.Example {
	m := &mesh{}
	return stage.Example{
		Name:  "istio",
		Title: "Istio's rate limit sample with another image",
		Upstreams: []stage.Upstream{{
			Cluster: "outbound|9080||productpage.default.svc.cluster.local",
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("a book\n")) }),
		}},
		Platform: m.start,
		Story:    m.tell,
		Invite: func(s *stage.Stage) []string {
			return []string{
				"curl -i " + s.Front("front") + "/productpage",
				"curl " + s.Weirs[0].Debug + "/rlconfig   # the rules that are in force",
				"curl " + s.Weirs[0].Metrics + "/metrics | grep rate_limit_",
				`curl -d '{"domain": "ratelimit", "descriptors": [{"entries": [{"key": "PATH", "value": "/me"}]}]}' ` + s.Weirs[0].HTTP + "/json",
			}
		},
	}
}
