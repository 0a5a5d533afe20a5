// Command third-party-api shows calls to the API of another company, which admits
// so many: all pods together keep to it, and wait for their turn instead of being
// refused. They call through an Envoy, or ask weir themselves.
package main

import (
	"github.com/weir-rls/weir/internal/stage"
)

// adminToken is that of docker-compose.yaml too.
const adminToken = "replace-this-token-of-the-example"

func main() { stage.Main(example()) }

func example() stage.Example {
	others := &others{}
	return stage.Example{
		Name:      "third-party-api",
		Title:     "calls to an API that admits so many",
		Upstreams: []stage.Upstream{{Cluster: "others", Handler: others}},
		Weir:      []string{"--line-listen", "127.0.0.1:0"},
		Token:     adminToken,
		Story:     others.tell,
		Invite: func(s *stage.Stage) []string {
			api := "-H 'authorization: Bearer " + adminToken + "' -H 'content-type: application/json' http://" + s.Weirs[0].HTTP + "/api/v1"
			return []string{
				"for i in $(seq 8); do curl -s -w '%{time_total}\\n' -H 'host: partner.example' " + s.Front("egress") + "/; done",
				"curl -i -H 'host: nobody.example' " + s.Front("egress") + "/   # no rule, no call",
				"curl -X PUT " + api + "/buckets/mail -d '{\"rate\": \"1/4s\", \"burst\": 4, \"initial\": \"empty\"}'",
				"curl -X POST '" + api + "/acquire?wait=10s' -d '{\"bucket\": \"mail\"}'",
				"nc " + host(s.Weirs[0].Line) + "   # then INIT r1 mail 4 4000, CHECK r2 mail, STOP",
			}
		},
	}
}
