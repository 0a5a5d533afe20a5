package ratelimit_test

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	rules "github.com/envoyproxy/go-control-plane/ratelimit/config/ratelimit/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/weir-rls/weir/internal/parts/partstest"
)

// controlPlane is one that wants a client's certificate and TLS 1.3, as Envoy Gateway's does,
// with the settings that lead there.
func controlPlane(t *testing.T, more ...string) (*partstest.ControlPlane, []string) {
	t.Helper()
	return controlPlaneOf(t, tls.VersionTLS13, more...)
}

// controlPlaneOf is one that speaks one version of TLS.
func controlPlaneOf(t *testing.T, version uint16, more ...string) (*partstest.ControlPlane, []string) {
	t.Helper()
	p := newPKI(t)
	shown := p.clients.Client("envoy-ratelimit")
	partstest.WritePair(t, shown, p.path("client.crt"), p.path("client.key"))
	c := partstest.StartControlPlane(t, "127.0.0.1:0", "envoy-ratelimit", &tls.Config{
		Certificates: []tls.Certificate{p.servers.Server("envoy-gateway")}, ClientCAs: p.clients.Pool(), ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: version, MaxVersion: version,
	})
	return c, environ("/nowhere", append([]string{
		"CONFIG_TYPE=GRPC_XDS_SOTW", "CONFIG_GRPC_XDS_SERVER_URL=" + c.Addr, "CONFIG_GRPC_XDS_NODE_ID=envoy-ratelimit", "CONFIG_GRPC_XDS_NODE_METADATA=zone=a,b=c=d",
		"CONFIG_GRPC_XDS_SERVER_USE_TLS=true", "CONFIG_GRPC_XDS_CLIENT_TLS_CERT=" + p.path("client.crt"), "CONFIG_GRPC_XDS_CLIENT_TLS_KEY=" + p.path("client.key"),
		"CONFIG_GRPC_XDS_SERVER_TLS_CACERT=" + p.path("servers.pem"), "CONFIG_GRPC_XDS_SERVER_TLS_SAN=envoy-gateway",
		"CONFIG_GRPC_XDS_CLIENT_ADDITIONAL_HEADERS=X-Token:a:b",
	}, more...)...)
}

var twoAMinute = &rules.RateLimitConfig{Name: "d", Domain: "d", Descriptors: []*rules.RateLimitDescriptor{
	{Key: "user", RateLimit: &rules.RateLimitPolicy{Unit: rules.RateLimitUnit_MINUTE, RequestsPerUnit: 2}},
}}

// Without FORCE_START_WITHOUT_INITIAL_CONFIG nobody can ask, or see it healthy, before
// there are rules.
func TestXDS_PortsAreClosedUntilThereAreRules(t *testing.T) {
	ports := []string{closedPort(t), closedPort(t)}
	_, web, _ := net.SplitHostPort(ports[0])
	_, calls, _ := net.SplitHostPort(ports[1])
	c, env := controlPlane(t, "PORT="+web, "GRPC_PORT="+calls)
	c.Set("0", &rules.RateLimitConfig{Name: "d", Domain: "d", Descriptors: []*rules.RateLimitDescriptor{{Value: "without a key"}}})
	r := begin(t, env...)
	partstest.Eventually(t, 10*time.Second, "what cannot be used is rejected", func() bool {
		all := c.Requests()
		return len(all) > 0 && all[len(all)-1].ErrorDetail != nil
	})
	select {
	case <-r.Ready():
		t.Error("it is ready without rules")
	case <-time.After(50 * time.Millisecond):
	}
	for _, port := range ports {
		if conn, err := net.Dial("tcp", port); err == nil {
			conn.Close()
			t.Errorf("%s is open without rules", port)
		}
	}
	if code, _, _ := get(t, "GET", r.DebugAddr(), "/rlconfig", ""); code != 200 {
		t.Errorf("/rlconfig meanwhile: %d", code)
	}
	c.Set("1", twoAMinute)
	r.ready()
	if answer, err := r.ask(insecure.NewCredentials()); err != nil || answer.Statuses[0].LimitRemaining != 1 {
		t.Errorf("%v, %v", answer, err)
	}
	asked := c.Requests()[0]
	if fields := asked.Node.GetMetadata().GetFields(); asked.Node.Id != "envoy-ratelimit" || fields["zone"].GetStringValue() != "a" || fields["b"].GetStringValue() != "c=d" {
		t.Errorf("it tells of itself %v", asked.Node)
	}
	if got := c.Headers().Get("x-token"); len(got) != 1 || got[0] != "a:b" {
		t.Errorf("the headers are %v", c.Headers())
	}
	c.Answered("1", false)
}

func TestXDS_ForcedItListensAtOnceAndSaysThatThereAreNoRules(t *testing.T) {
	c, env := controlPlane(t, "FORCE_START_WITHOUT_INITIAL_CONFIG=true")
	r := start(t, env...)
	if !r.healthy() {
		t.Error("it is not healthy")
	}
	if _, err := r.ask(insecure.NewCredentials()); status.Code(err) != codes.Unknown || !strings.Contains(err.Error(), "no rate limit configuration loaded") {
		t.Errorf("%v", err)
	}
	c.Set("1", twoAMinute)
	partstest.Eventually(t, 10*time.Second, "the rules", func() bool {
		answer, err := r.ask(insecure.NewCredentials())
		return err == nil && len(answer.Statuses) == 1
	})
}

func TestXDS_StopsWhileItWaits(t *testing.T) {
	_, env := controlPlane(t)
	r := begin(t, env...)
	r.stop()
	if err := r.ended(); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

// The reference speaks TLS 1.2 to a control plane, or a proxy before it, that has nothing
// newer.
func TestXDS_RulesComeOverTLS12(t *testing.T) {
	c, env := controlPlaneOf(t, tls.VersionTLS12)
	c.Set("1", twoAMinute)
	r := start(t, env...)
	if answer, err := r.ask(insecure.NewCredentials()); err != nil || answer.Statuses[0].LimitRemaining != 1 {
		t.Errorf("%v, %v", answer, err)
	}
}
