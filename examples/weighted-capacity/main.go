// Command weighted-capacity shows three APIs of different weight that share what
// their backends can take. The pool follows the backends: those that live, what an
// operator says, and how their calls end.
package main

import (
	"net/http"

	"github.com/weir-rls/weir/internal/stage"
)

// adminToken is that of docker-compose.yaml too.
const adminToken = "replace-this-token-of-the-example"

func main() { stage.Main(example()) }

func example() stage.Example {
	f := newFleet(3)
	e := stage.Example{
		Name:       "weighted-capacity",
		Title:      "three APIs of different weight share what their backends can take",
		Token:      adminToken,
		EnvoyAdmin: "envoy:9901",
		Story:      f.tell,
		Invite: func(s *stage.Stage) []string {
			api := "-H 'authorization: Bearer " + adminToken + "' -H 'content-type: application/json' http://" + s.Weirs[0].HTTP + "/api/v1"
			return []string{
				"curl -i " + s.Front("front") + "/api/c   # 3 units",
				"for i in $(seq 40); do curl -s -o /dev/null -w '%{http_code} ' " + s.Front("front") + "/api/c; done",
				"for i in $(seq 40); do curl -s -o /dev/null -w '%{time_total} ' " + s.Front("front") + "/sync/c; done",
				"curl " + api + "/pools",
				"curl -X PUT " + api + "/pools/units/instances/pod-1 -d '{\"units\": 50, \"ttl\": \"30s\"}'",
				"curl -X PUT " + api + "/pools/units/capacity -d '{\"total\": 200, \"ttl\": \"1m\", \"reason\": \"the peak\"}'",
			}
		},
	}
	for _, b := range f.backends {
		e.Upstreams = append(e.Upstreams, stage.Upstream{Cluster: "backend", Handler: http.Handler(b)})
	}
	return e
}
