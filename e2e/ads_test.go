package e2e

import (
	"crypto/tls"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	rules "github.com/envoyproxy/go-control-plane/ratelimit/config/ratelimit/v3"

	"github.com/weir-rls/weir/internal/parts/partstest"
)

// usersPerHour are rules of one limit on each user; 0 stands for one without a unit.
func usersPerHour(n uint32) *rules.RateLimitConfig {
	policy := &rules.RateLimitPolicy{Unit: rules.RateLimitUnit_HOUR, RequestsPerUnit: n}
	if n == 0 {
		policy.Unit = rules.RateLimitUnit_UNKNOWN
	}
	return &rules.RateLimitConfig{Name: "shop", Domain: "e2e", Descriptors: []*rules.RateLimitDescriptor{{Key: "user", RateLimit: policy}}}
}

// weirOfThePage is the command line of docs/how-to/rules-over-ads.md, with a control plane
// and certificates of the test's.
func weirOfThePage(t *testing.T, page, plane, certificates string) []string {
	t.Helper()
	block := regexp.MustCompile("(?s)```sh\nweir serve (.*?)```").FindStringSubmatch(page)
	if block == nil {
		t.Fatal("the page has no weir serve")
	}
	line := strings.NewReplacer("envoy-gateway:18001", plane, "/certs", certificates, "\\\n", " ").Replace(block[1])
	return append(strings.Fields(line), "--rules-ads-server-name", "envoy-gateway")
}

// An Envoy is limited by rules that a control plane sends as docs/how-to/rules-over-ads.md
// says, and by others as soon as it sends those; a bad one is rejected with the words of
// the page, and changes nothing.
func TestRulesOverADS_LimitAnEnvoyAndFollowTheControlPlane(t *testing.T) {
	page, dir := string(read(t, "../docs/how-to/rules-over-ads.md")), t.TempDir()
	servers, clients := partstest.NewAuthority(t), partstest.NewAuthority(t)
	servers.Write(filepath.Join(dir, "ca.crt"))
	partstest.WritePair(t, clients.Client("weir"), filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	plane := partstest.StartControlPlane(t, "127.0.0.1:0", "envoy-ratelimit", &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"},
		Certificates: []tls.Certificate{servers.Server("envoy-gateway")}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients.Pool(),
	})
	plane.Set("1", usersPerHour(3))

	top := &topology{}
	upstream := top.startUpstream(t)
	top.weirs = append(top.weirs, partstest.Weir(t, weirBinary, slices.Concat(weirOfThePage(t, page, plane.Addr, dir),
		[]string{"--headers", "legacy", "--store-timeout", "2s", "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--drain-delay", "0s"})...))
	top.startEnvoys(t, spec{envoys: 1}, upstream)
	user := headers{"X-User": "ann"}
	got := top.send(t, 5, user)
	if got[200] != 3 || got[429] != 2 {
		t.Errorf("%v, want three of five passed", got)
	}

	c := client(t, 1)
	inForce := func(limit string) (took time.Duration) {
		t.Helper()
		begun := time.Now()
		eventually(t, "the limit is "+limit, func() bool {
			a := get(c, top.fronts[0], headers{"X-User": "bob"})
			got[a.status]++
			return a.header.Get("X-Ratelimit-Limit") == limit
		})
		return time.Since(begun)
	}
	plane.Set("2", usersPerHour(1000))
	t.Logf("a changed snapshot is in force after %v", inForce("1000"))
	if one := top.send(t, 1, user); one[200] != 1 {
		t.Errorf("%v, want what the larger limit has more", one)
	} else {
		got.add(one)
	}

	plane.Set("3", usersPerHour(0))
	told := plane.Answered("2", true).GetErrorDetail().GetMessage()
	if !strings.Contains(page, "```text\n"+told+"\n```") {
		t.Errorf("the control plane is told %q, which the page does not show", told)
	}
	inForce("1000")
	plane.Stop()
	if metricOf(t, top.weirs[0], "weir_ads_rejected_total") != 1 {
		t.Error("what was rejected is not counted")
	}
	inForce("1000")
	top.judged(t, got)
}
