package main

import (
	"context"
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"

	"github.com/weir-rls/weir/internal/parts/platform"
	"github.com/weir-rls/weir/internal/stage"
)

// gateway plays Envoy Gateway.
type gateway struct {
	plane *platform.ControlPlane
	files string // the directory of the example's
}

// start makes the certificates, serves the rules, and reads the environment that Envoy
// Gateway gives.
func (g *gateway) start(s *stage.Stage) (*stage.Platform, error) {
	g.files = s.Files
	container, err := platform.ReadContainer(filepath.Join(s.Files, "deployment.yaml"), "envoy-ratelimit")
	if err != nil {
		return nil, err
	}
	certs := filepath.Join(s.Scratch, "certs")
	secure, err := certify(certs)
	if err != nil {
		return nil, err
	}
	if g.plane, err = platform.StartControlPlane("127.0.0.1:0", "envoy-ratelimit", secure); err != nil {
		return nil, err
	}
	// Only a cluster knows the name envoy-gateway, which is on its certificate.
	environ := append(container.Environ(), "CONFIG_GRPC_XDS_SERVER_URL="+g.plane.Addr, "CONFIG_GRPC_XDS_SERVER_TLS_SAN=envoy-gateway")
	return &stage.Platform{
		Args: container.Args, Environ: environ, Cluster: "ratelimit_cluster",
		Places: map[string]string{"/certs": certs}, Stop: g.plane.Stop,
	}, g.send("1", func(rules string) string { return rules })
}

// certify writes a Secret as Envoy Gateway makes it, which both Envoy and weir have here, and
// says how Envoy Gateway serves.
func certify(dir string) (*tls.Config, error) {
	authority, err := platform.NewAuthority()
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	if err := authority.Write(filepath.Join(dir, "ca.crt")); err != nil {
		return nil, err
	}
	secret, err := authority.Both("envoy-ratelimit", "*.envoy-gateway-system")
	if err != nil {
		return nil, err
	}
	if err := platform.WritePair(secret, filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")); err != nil {
		return nil, err
	}
	own, err := authority.Both("envoy-gateway", "envoy-gateway.envoy-gateway-system.svc.cluster.local")
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}, Certificates: []tls.Certificate{own},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority.Pool(),
	}, err
}

// send sends what resources.yaml is after an edit.
func (g *gateway) send(version string, edit func(string) string) error {
	text, err := os.ReadFile(filepath.Join(g.files, "resources.yaml"))
	if err != nil {
		return err
	}
	rules, err := platform.ParseRules([]byte(edit(string(text))))
	if err != nil {
		return err
	}
	return g.plane.Set(version, rules...)
}

// tell is the story.
func (g *gateway) tell(ctx context.Context, s *stage.Stage) error {
	// It starts without rules, and Envoy Gateway sends them as soon as it is asked.
	if err := s.InForce(ctx, "rule-2-method: unit=HOUR requests_per_unit=5"); err != nil {
		return err
	}
	s.Screen.Title("1. manifests/policy.yaml: ten an hour of each client, three of the free plan together")
	if err := s.Passes(ctx, 12, 10, "one address", stage.Request{Path: "/", From: "127.0.0.2"}); err != nil {
		return err
	}
	if err := s.Passes(ctx, 5, 3, "x-plan: free", stage.Request{Path: "/", From: "127.0.0.3", Header: map[string]string{"X-Plan": "free"}}); err != nil {
		return err
	}
	s.Screen.Title("2. Four an hour of each user, on all routes; and an order costs two of five")
	bob := stage.Request{Path: "/", From: "127.0.0.4", Header: map[string]string{"X-User-Id": "bob"}}
	if err := s.Passes(ctx, 5, 4, "x-user-id: bob", bob); err != nil {
		return err
	}
	order := stage.Request{Method: "POST", Path: "/orders", From: "127.0.0.5"}
	if err := s.Passes(ctx, 3, 2, "POST", order); err != nil {
		return err
	}
	if err := s.Refused(ctx, order); err != nil {
		return err
	}
	s.Screen.Title("3. egctl config envoy-ratelimit, and the series that dashboards read")
	if err := s.Show(ctx, s.Weirs[0].Debug+"/rlconfig", "default/"); err != nil {
		return err
	}
	s.Screen.Line("")
	if err := s.Show(ctx, s.Weirs[0].Metrics+"/metrics", "ratelimit_service_rate_limit_over_limit{"); err != nil {
		return err
	}
	s.Screen.Title("4. kubectl edit backendtrafficpolicy shop: six of each user")
	err := g.send("2", func(rules string) string {
		return strings.Replace(rules, "requests_per_unit: 4}", "requests_per_unit: 6}", 1)
	})
	if err != nil {
		return err
	}
	if err := s.InForce(ctx, "rule-0-match-0: unit=HOUR requests_per_unit=6"); err != nil {
		return err
	}
	return s.Passes(ctx, 3, 1, "x-user-id: bob, 5 used", bob)
}
