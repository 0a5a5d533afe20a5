package e2e

import (
	"bytes"
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-rls/weir/internal/parts/partstest"
)

// access are the pieces of docs/how-to/envoy.md by which weir knows an Envoy.
type access struct {
	documented
	upstream string
	top      *topology
}

func newAccess(t *testing.T) *access {
	top := &topology{}
	return &access{readDocumented(t, "../docs/how-to/envoy.md"), top.startUpstream(t), top}
}

// answered is the status that a client of a new Envoy gets, which has a transport socket,
// if any, and asks weir by a grpc_service.
func (a *access) answered(t *testing.T, transport, service any) int {
	t.Helper()
	cluster, filter := a.part(t, "cluster.yaml").(map[string]any), a.part(t, "filter.yaml").(map[string]any)
	if transport != nil {
		cluster["transport_socket"] = transport
	}
	if service != nil {
		filter["typed_config"].(map[string]any)["rate_limit_service"].(map[string]any)["grpc_service"] = service
	}
	route := map[string]any{"match": map[string]any{"prefix": "/"}, "route": map[string]any{"cluster": "backend"}}
	a.startEnvoy(t, a.top, bootstrap(t, route, cluster, filter), a.upstream)
	front := a.top.fronts[len(a.top.fronts)-1]
	return get(client(t, 1), front, headers{"X-User": t.Name()}).status
}

// transport is the page's, with files of a client's certificate, none if nil.
func (a *access) transport(t *testing.T, ca string, with *tls.Certificate) any {
	t.Helper()
	dir := t.TempDir()
	a.files["used.yaml"] = strings.ReplaceAll(a.files["transport.yaml"], "/etc/envoy/weir/ca.pem", ca)
	if with != nil {
		partstest.WritePair(t, *with, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
		a.files["used.yaml"] = strings.ReplaceAll(a.files["used.yaml"], "/etc/envoy/weir", dir)
	}
	socket := a.part(t, "used.yaml").(map[string]any)
	if with == nil {
		delete(socket["typed_config"].(map[string]any)["common_tls_context"].(map[string]any), "tls_certificates")
	}
	return socket
}

// An Envoy that weir does not know by its certificate, or that does not know weir, limits
// nobody and admits nobody: its failure mode decides.
func TestEnvoyPage_OnlyAnEnvoyWithTheRightCertificateIsAnswered(t *testing.T) {
	a, dir := newAccess(t), t.TempDir()
	servers, clients := partstest.NewAuthority(t), partstest.NewAuthority(t)
	file := func(name string) string { return filepath.Join(dir, name) }
	partstest.WritePair(t, servers.Server("weir"), file("cert"), file("key"))
	servers.Write(file("servers"))
	clients.Write(file("clients"))
	a.startWeir(t, a.top, nil, "--grpc-cert", file("cert"), "--grpc-key", file("key"), "--grpc-client-ca", file("clients"), "--grpc-client-names", "envoy.edge")
	known, other, forged := clients.Client("envoy.edge"), clients.Client("envoy.other"), servers.Client("envoy.edge")
	for _, c := range []struct {
		name, ca string
		with     *tls.Certificate
		want     int
	}{
		{"the name that is known", file("servers"), &known, 200},
		{"another name", file("servers"), &other, 500},
		{"another authority", file("servers"), &forged, 500},
		{"no certificate", file("servers"), nil, 500},
		{"a weir that Envoy does not know", file("clients"), &known, 500},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := a.answered(t, a.transport(t, c.ca, c.with), nil); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
	t.Run("no TLS", func(t *testing.T) {
		if got := a.answered(t, nil, nil); got != 500 {
			t.Errorf("%d, want 500", got)
		}
	})
}

// The secret that the page has Envoy send opens weir; an Envoy without it fails, although
// its health checks pass.
func TestEnvoyPage_OnlyAnEnvoyWithTheSecretIsAnswered(t *testing.T) {
	a, file := newAccess(t), filepath.Join(t.TempDir(), "secrets")
	right, wrong := strings.Repeat("r1", 32), strings.Repeat("w0", 32)
	if err := os.WriteFile(file, []byte(right+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a.startWeir(t, a.top, nil, "--grpc-secret-file", file)
	for _, c := range []struct {
		name, secret string
		service      any
		want         int
	}{
		{"the secret", right, a.part(t, "service.yaml"), 200},
		{"a wrong one", wrong, a.part(t, "service.yaml"), 500},
		{"none", right, nil, 500},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("WEIR_SECRET", c.secret)
			if got := a.answered(t, nil, c.service); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
	a.top.reaches(t, `weir_grpc_refused_total{why="wrong"}`, 1)
	a.top.reaches(t, `weir_grpc_refused_total{why="missing"}`, 1)
	if output := []byte(a.top.weirs[0].Output()); bytes.Contains(output, []byte(right)) || bytes.Contains(output, []byte(wrong)) {
		t.Errorf("a secret is in the log:\n%s", output)
	}
}
