package app_test

import (
	"crypto/tls"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	rules "github.com/envoyproxy/go-control-plane/ratelimit/config/ratelimit/v3"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/weir-rls/weir/internal/app"
	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// perHour are rules of one limit on users, of domain d.
func perHour(n uint32) *rules.RateLimitConfig {
	return &rules.RateLimitConfig{Name: "r", Domain: "d", Descriptors: []*rules.RateLimitDescriptor{
		{Key: "user", RateLimit: &rules.RateLimitPolicy{Unit: rules.RateLimitUnit_HOUR, RequestsPerUnit: n}},
	}}
}

func overADS(plane *partstest.ControlPlane, wait bool) func(*config.Settings) {
	return func(s *config.Settings) {
		s.Rules, s.RulesADS, s.RulesADSNode, s.RulesADSMaxBytes, s.RulesADSKeepalive = "", plane.Addr, "weir", 1<<20, time.Minute
		s.WaitForRules = wait
	}
}

// A replica without rules would be asked in vain: it is ready with the first response, also
// with one that has none, and what it is asked before is UNAVAILABLE, for Envoy to decide.
func TestADS_AReplicaIsReadyWithTheFirstRulesUnlessItNeedNotWait(t *testing.T) {
	plane := partstest.StartControlPlane(t, "127.0.0.1:0", "weir", nil)
	waits, hastes := start(t, "", overADS(plane, true)), start(t, "", overADS(plane, false))
	for _, r := range []*replica{waits, hastes} {
		partstest.Eventually(t, 30*time.Second, "it is connected", func() bool { return r.metric("weir_ads_connected") == 1 })
		if _, err := r.call(wire("d", "user", "a")); status.Code(err) != codes.Unavailable {
			t.Errorf("without rules: %v", err)
		}
	}
	if code, page := waits.get("/readyz"); code == 200 || !strings.Contains(page, "no rules were ever loaded from "+plane.Addr) || waits.serving() == healthpb.HealthCheckResponse_SERVING {
		t.Errorf("who waits for rules: %d %s", code, page)
	}
	if code, page := hastes.get("/readyz"); code != 200 || hastes.serving() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("who does not: %d %s", code, page)
	}
	plane.Set("1")
	partstest.Eventually(t, 30*time.Second, "it is ready", func() bool {
		code, _ := waits.get("/readyz")
		return code == 200 && waits.serving() == healthpb.HealthCheckResponse_SERVING
	})
}

func TestADS_WhatComesIsDecidedByAndMeasured(t *testing.T) {
	plane := partstest.StartControlPlane(t, "127.0.0.1:0", "weir", nil)
	plane.Set("1", perHour(2))
	r := start(t, "", overADS(plane, true))
	asked := func() int32 {
		t.Helper()
		answer, err := r.call(wire("d", "user", "a"))
		if err != nil {
			t.Fatal(err)
		}
		return int32(answer.GetOverallCode())
	}
	partstest.Eventually(t, 30*time.Second, "it has rules", func() bool { return r.metric("weir_ads_last_update_timestamp_seconds") > 0 })
	if got := []int32{asked(), asked(), asked()}; got[1] != 1 || got[2] != 2 {
		t.Errorf("answers %v, want two of three admitted", got)
	}
	bad := perHour(5)
	bad.Descriptors[0].RateLimit.Unit = 0
	bad.Name = "r\n{\"level\":\"ERROR\"}"
	plane.Set("2", bad)
	plane.Answered("1", true)
	partstest.Eventually(t, 30*time.Second, "it is counted", func() bool { return r.metric("weir_ads_rejected_total") == 1 && r.metric("weir_rule_faults") == 1 })
	if log := r.log.String(); !strings.Contains(log, `"path":"descriptors[0](\"user\").rate_limit"`) || strings.Contains(log, "\n{\"level\":\"ERROR\"}\n") {
		t.Errorf("the log is %s", log)
	}
	plane.Set("3", perHour(9))
	partstest.Eventually(t, 30*time.Second, "more are admitted, and what was used stays used", func() bool { return asked() == 1 })
}

// Files that cannot be used are told when weir starts, by the flag.
func TestADS_CertificatesAreLookedAtAtTheStart(t *testing.T) {
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	partstest.NewAuthority(t).Write(ca)
	for want, s := range map[string]config.Settings{
		"--rules-ads-ca":   {RulesADS: "localhost:1", RulesADSCA: filepath.Join(dir, "none.pem")},
		"--rules-ads-cert": {RulesADS: "localhost:1", RulesADSCA: ca, RulesADSCert: ca, RulesADSKey: ca},
	} {
		s.GRPCListen, s.HTTPListen, s.Store, s.MemoryMaxBuckets = "127.0.0.1:0", "127.0.0.1:0", config.StoreMemory, 10
		if _, err := app.New(s, app.Options{Log: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %s", err, want)
		}
	}
}

// The server must be of the authority and have the name, and speak TLS 1.3; weir shows what
// its files hold when it connects.
func TestADS_BothSidesShowACertificateAndReplacedFilesArePickedUp(t *testing.T) {
	dir := t.TempDir()
	ca, cert, key := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	servers, clients := partstest.NewAuthority(t), partstest.NewAuthority(t)
	servers.Write(ca)
	partstest.WritePair(t, partstest.NewAuthority(t).Client("weir"), cert, key) // whom nobody knows
	secure := &tls.Config{
		Certificates: []tls.Certificate{servers.Server("envoy-gateway")}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients.Pool(), NextProtos: []string{"h2"},
	}
	plane := partstest.StartControlPlane(t, "127.0.0.1:0", "weir", secure)
	plane.Set("1", perHour(2))
	r := start(t, "", func(s *config.Settings) {
		overADS(plane, true)(s)
		s.RulesADSCA, s.RulesADSCert, s.RulesADSKey, s.RulesADSServerName = ca, cert, key, "envoy-gateway"
	})
	nameless := start(t, "", func(s *config.Settings) { // asks for 127.0.0.1, which the certificate does not have
		overADS(plane, true)(s)
		s.RulesADSCA, s.RulesADSCert, s.RulesADSKey = ca, cert, key
	})
	refused := func() bool { return strings.Contains(r.log.String(), "no rules come from the control plane") }
	partstest.Eventually(t, 30*time.Second, "a stranger is refused", refused)
	partstest.WritePair(t, clients.Client("weir"), cert, key)
	partstest.Eventually(t, 30*time.Second, "the new certificate is shown", func() bool { return r.metric("weir_ads_connected") == 1 })
	partstest.Eventually(t, 30*time.Second, "the wrong name is told", func() bool { return strings.Contains(nameless.log.String(), "127.0.0.1") })
	if nameless.metric("weir_ads_connected") != 0 {
		t.Error("a server with another name was believed")
	}
	plane.Stop()
	secure.MaxVersion = tls.VersionTLS12
	plane = partstest.StartControlPlane(t, plane.Addr, "weir", secure)
	partstest.Eventually(t, 30*time.Second, "TLS 1.2 is refused", func() bool { return strings.Contains(r.log.String(), "protocol version") })
}
