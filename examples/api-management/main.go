// Command api-management shows the limits of an API management policy on Envoy:
// who is calling is found out first, then weir counts calls and quotas for each
// subscription, user and address, and a breaker keeps callers from a service that
// fails.
package main

import (
	"context"
	"strings"

	"github.com/weir-rls/weir/internal/stage"
)

func main() { stage.Main(example()) }

func example() stage.Example {
	e := stage.Example{
		Name:  "api-management",
		Title: "an API gateway: authentication, calls, quotas and a breaker",
		Story: func(ctx context.Context, s *stage.Stage) error { return tell(ctx, s) },
		Invite: func(s *stage.Stage) []string {
			front, who := s.Front("front"), `-H "authorization: Bearer $TOKEN" -H 'ocp-apim-subscription-key: key-of-fabrikam' `
			return []string{
				"TOKEN=" + token("bob"),
				"curl -i " + front + "/api/users",
				"curl -i " + who + front + "/api/users",
				"for i in $(seq 6); do curl -s " + who + "-H 'x-fail: 503' " + front + "/api/payments; echo; done   # the breaker opens",
				"for i in $(seq 25); do curl -s -o /dev/null -w '%{http_code} ' http://" + strings.TrimPrefix(s.Front("tcp"), "http://") + "/static/logo; done   # 000 is no connection",
				"edit " + s.Rules + "/gateway.yaml: a change is live within a second",
			}
		},
	}
	// The products have three servers.
	for _, service := range []string{"users", "products", "products", "products", "orders", "payments", "web"} {
		e.Upstreams = append(e.Upstreams, stage.Upstream{Cluster: service, Handler: &backend{service: service}})
	}
	return e
}
