package partstest

import (
	"crypto/tls"
	"testing"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rules "github.com/envoyproxy/go-control-plane/ratelimit/config/ratelimit/v3"

	"github.com/weir-rls/weir/internal/parts/platform"
)

// ControlPlane sends rules over ADS until the test ends, if it is not stopped before.
type ControlPlane struct {
	*platform.ControlPlane
	t testing.TB
}

// StartControlPlane starts one at an address, of which port 0 is any free port, for the
// node of that ID; secure nil is plain text.
func StartControlPlane(t testing.TB, addr, node string, secure *tls.Config) *ControlPlane {
	t.Helper()
	c, err := platform.StartControlPlane(addr, node, secure)
	must(t, err)
	t.Cleanup(func() { c.Stop() })
	return &ControlPlane{c, t}
}

// Set sends these rules from now on, and no others.
func (c *ControlPlane) Set(version string, all ...*rules.RateLimitConfig) {
	c.t.Helper()
	must(c.t, c.ControlPlane.Set(version, all...))
}

// Answered waits until the last answer acknowledges a version, or rejects another one
// while that version is in force.
func (c *ControlPlane) Answered(version string, rejected bool) (answer *discovery.DiscoveryRequest) {
	c.t.Helper()
	Eventually(c.t, 20*time.Second, "version "+version+" is answered", func() bool {
		answer = c.Answer()
		return answer != nil && answer.GetVersionInfo() == version && (answer.GetErrorDetail() != nil) == rejected
	})
	return answer
}
