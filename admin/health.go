package admin

import (
	"fmt"
	"net/http"
)

// AddHealth adds the pages that a load balancer or an orchestrator asks. notReady
// says why the process should get no traffic, "" if it should. The process is
// live as long as it answers at all.
//
// /healthcheck is the reference service's name for readiness, with its answers:
// 200 "OK" or 500.
func (p *Pages) AddHealth(notReady func() string) {
	p.Add(Everyone, http.MethodGet, "/livez", "200 while the process runs", answer(http.StatusOK, func() string { return "" }))
	p.Add(Everyone, http.MethodGet, "/readyz", "200 when this replica should get traffic, else 503 and the reason", answer(http.StatusServiceUnavailable, notReady))
	p.Add(Everyone, http.MethodGet, "/healthcheck", "the same as 200 or 500, as envoyproxy/ratelimit has it", answer(http.StatusInternalServerError, notReady))
}

func answer(bad int, why func() string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if reason := why(); reason != "" {
			w.WriteHeader(bad)
			fmt.Fprintln(w, reason)
			return
		}
		fmt.Fprint(w, "OK")
	})
}
