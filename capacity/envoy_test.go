package capacity_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/weir-rls/weir/capacity"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

const bootstrap = `
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
static_resources:
  clusters:
  - name: other
    type: STATIC
    load_assignment: {cluster_name: other, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 9}}}}]}]}
  - name: backend
    type: STATIC
    connect_timeout: 1s
    health_checks:
    - {timeout: 0.5s, interval: 0.2s, no_traffic_interval: 0.2s, unhealthy_threshold: 2, healthy_threshold: 1, http_health_check: {path: /healthz}}
    load_assignment:
      cluster_name: backend
      endpoints: [{lb_endpoints: [%s]}]
`

// backends starts an Envoy that checks the health of n servers, and the servers.
func backends(t *testing.T, n int) (envoy *parts.EnvoyProcess, servers []*httptest.Server) {
	t.Helper()
	var endpoints []string
	for range n {
		s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		t.Cleanup(s.Close)
		servers = append(servers, s)
		host, port, err := net.SplitHostPort(s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		endpoints = append(endpoints, fmt.Sprintf("{endpoint: {address: {socket_address: {address: %s, port_value: %s}}}}", host, port))
	}
	return partstest.Envoy(t, []byte(fmt.Sprintf(bootstrap, strings.Join(endpoints, ", ")))), servers
}

// followsEnvoy are the rules of a pool that follows an Envoy's cluster.
func followsEnvoy(admin, cluster string) string {
	return strings.Replace(rules, "max: 400", fmt.Sprintf("max: 400, step_percent: 100, envoy: {admin: %q, cluster: %s}", admin, cluster), 1)
}

// The real Envoy's own view: two hosts pass their health checks, one is killed, and
// then the Envoy itself.
func TestC13_ThePoolFollowsTheHealthyHostsOfAnEnvoy(t *testing.T) {
	envoy, servers := backends(t, 2)
	r := start(t, inMemory(t), followsEnvoy("http://"+envoy.Admin, "backend"))
	within(t, 10*time.Second, "two hosts of 20 units", func() bool { return r.size(t) == 40 })
	if s := r.state(t); s.Source != capacity.Envoy || s.Instances != 2 || s.Units != 40 {
		t.Errorf("the state is %+v", s)
	}
	servers[0].Close()
	within(t, 10*time.Second, "one host of 20 units", func() bool { return r.size(t) == 20 })
	r.beat(t, "says so itself", 70, 2*time.Second)
	within(t, 5*time.Second, "what instances say themselves", func() bool { return r.size(t) == 70 })
	within(t, 5*time.Second, "and Envoy's view, when they say nothing any more", func() bool { return r.size(t) == 20 && r.state(t).Source == capacity.Envoy })
	if err := envoy.Kill(); err != nil {
		t.Fatal(err)
	}
	within(t, 5*time.Second, "the last size, when Envoy is lost", func() bool { return r.state(t).Source == capacity.Kept })
	if r.size(t) != 20 {
		t.Errorf("without Envoy it holds %d", r.size(t))
	}
}

// What an Envoy says of a host's health, and what it may not be: an answer that
// cannot be read is a lost source, never an empty cluster.
func TestC13_WhatAnEnvoyAnswers(t *testing.T) {
	host := func(health string) string { return `{"health_status": {` + health + `}}` }
	answer := func(name string, hosts ...string) string {
		return `{"cluster_statuses": [{"name": "other", "host_statuses": [` + host("") + `]}, {"name": "` + name + `", "host_statuses": [` + strings.Join(hosts, ",") + `]}]}`
	}
	for name, c := range map[string]struct {
		answer string
		status int
		want   int64 // -1: lost
	}{
		"healthy":                  {answer("backend", host(`"eds_health_status": "HEALTHY"`), host(``), `{}`, host(`"eds_health_status": "UNKNOWN"`)), 200, 4},
		"fails its checks":         {answer("backend", host(`"eds_health_status": "HEALTHY", "failed_active_health_check": true`)), 200, 0},
		"ejected":                  {answer("backend", host(`"failed_outlier_check": true`), host(`"failed_outlier_check": false`)), 200, 1},
		"to be checked":            {answer("backend", host(`"pending_active_hc": true`)), 200, 0},
		"to be removed":            {answer("backend", host(`"pending_dynamic_removal": true`)), 200, 0},
		"drained by its endpoints": {answer("backend", host(`"eds_health_status": "DRAINING"`), host(`"eds_health_status": "UNHEALTHY"`), host(`"eds_health_status": "DEGRADED"`)), 200, 0},
		"no hosts":                 {answer("backend"), 200, 0},
		"no such cluster":          {answer("another"), 200, -1},
		"no JSON":                  {"backend::127.0.0.1:80::health_flags::healthy", 200, -1},
		"an error":                 {answer("backend", host("")), 500, -1},
		"elsewhere":                {answer("backend", host("")), 302, -1},
	} {
		t.Run(name, func(t *testing.T) {
			admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/clusters" || r.URL.Query().Get("format") != "json" {
					t.Errorf("asked for %s", r.URL)
				}
				w.Header().Set("Location", r.URL.String())
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.answer))
			}))
			defer admin.Close()
			hosts, err := capacity.Healthy(t.Context(), admin.URL+"/", "backend")
			if c.want < 0 && err == nil || c.want >= 0 && (err != nil || hosts != c.want) {
				t.Errorf("%d hosts, %v, want %d", hosts, err, c.want)
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer slow.Close()
	if _, err := capacity.Healthy(ctx, slow.URL, "backend"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an Envoy that does not answer: %v", err)
	}
}
