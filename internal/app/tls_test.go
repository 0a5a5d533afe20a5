package app_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ratelimit "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/weir-rls/weir/internal/app"
	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// private is a replica whose gRPC port is served over TLS.
type private struct {
	*replica
	servers, clients *partstest.Authority
	cert, key        string
}

func startPrivate(t *testing.T, names string) *private {
	dir := t.TempDir()
	p := &private{replica: &replica{t: t}, servers: partstest.NewAuthority(t), clients: partstest.NewAuthority(t), cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}
	p.replace()
	ca := filepath.Join(dir, "ca.pem")
	p.clients.Write(ca)
	p.replica = start(t, oneRule, func(s *config.Settings) {
		s.GRPCCert, s.GRPCKey, s.GRPCClientCA, s.GRPCClientNames = p.cert, p.key, ca, names
	})
	return p
}

// replace replaces the certificate of the server, and answers the serial number of the new
// one.
func (p *private) replace() *big.Int {
	made := p.servers.Server("weir")
	partstest.WritePair(p.t, made, p.cert, p.key)
	return made.Leaf.SerialNumber
}

func client(of *partstest.Authority, names ...string) *tls.Certificate {
	made := of.Client(names...)
	return &made
}

// asks connects anew and asks once; it answers the serial number of the server's
// certificate, nil if it was not answered.
func (p *private) asks(with *tls.Certificate) (serial *big.Int) {
	p.t.Helper()
	c := &tls.Config{RootCAs: p.servers.Pool(), ServerName: "weir"}
	if with != nil {
		c.Certificates = []tls.Certificate{*with}
	}
	c.VerifyConnection = func(s tls.ConnectionState) error {
		serial = s.PeerCertificates[0].SerialNumber
		return nil
	}
	if err := p.answers(credentials.NewTLS(c)); err != nil {
		return nil
	}
	return serial
}

func (p *private) answers(with credentials.TransportCredentials) error {
	conn, err := grpc.NewClient(p.GRPCAddr(), grpc.WithTransportCredentials(with))
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(p.t.Context(), 5*time.Second)
	defer cancel()
	_, err = rls.NewRateLimitServiceClient(conn).ShouldRateLimit(ctx, &rls.RateLimitRequest{Domain: "d", Descriptors: []*ratelimit.RateLimitDescriptor{
		{Entries: []*ratelimit.RateLimitDescriptor_Entry{{Key: "user", Value: "u"}}},
	}})
	return err
}

func TestGRPCOverTLS_AnswersOnlyClientsThatAreKnown(t *testing.T) {
	const edge = "spiffe://mesh/ns/edge/sa/envoy"
	p := startPrivate(t, "envoy.edge, "+edge)
	for name, c := range map[string]struct {
		with *tls.Certificate
		want bool
	}{
		"a DNS name":        {client(p.clients, "other", "envoy.edge"), true},
		"a URI":             {client(p.clients, edge), true},
		"another name":      {client(p.clients, "envoy"), false},
		"no name":           {client(p.clients), false},
		"another authority": {client(partstest.NewAuthority(t), "envoy.edge"), false},
		"no certificate":    {nil, false},
	} {
		if got := p.asks(c.with) != nil; got != c.want {
			t.Errorf("%s: answered %v, want %v", name, got, c.want)
		}
	}
	if err := p.answers(insecure.NewCredentials()); err == nil {
		t.Error("a client without TLS was answered")
	}
	if any := startPrivate(t, ""); any.asks(client(any.clients, "whoever")) == nil || any.asks(nil) != nil {
		t.Error("without names each certificate of the authority is to be enough, and none is not")
	}
}

// A certificate that is replaced serves the next connection, and one that cannot be used
// nobody: the one before stays until it is whole.
func TestGRPCOverTLS_AReplacedCertificateServes(t *testing.T) {
	p := startPrivate(t, "")
	envoy := client(p.clients, "envoy")
	first := p.asks(envoy)
	if err := os.WriteFile(p.cert, []byte("half of it"), 0o600); err != nil {
		t.Fatal(err)
	}
	partstest.Eventually(t, 5*time.Second, "the warning", func() bool {
		if got := p.asks(envoy); got == nil || got.Cmp(first) != 0 {
			t.Fatalf("certificate %v serves, want %v still", got, first)
		}
		return strings.Contains(p.log.String(), "cannot be used")
	})
	next := p.replace()
	partstest.Eventually(t, 5*time.Second, "the next certificate", func() bool { got := p.asks(envoy); return got != nil && got.Cmp(next) == 0 })
}

func TestGRPCOverTLS_BadFilesAreAnErrorAtTheStart(t *testing.T) {
	dir := t.TempDir()
	good := partstest.NewAuthority(t)
	cert, key, empty := filepath.Join(dir, "c"), filepath.Join(dir, "k"), filepath.Join(dir, "e")
	partstest.WritePair(t, good.Server(), cert, key)
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, s := range map[string]config.Settings{
		"--grpc-cert":      {GRPCCert: empty, GRPCKey: key},
		"--grpc-client-ca": {GRPCCert: cert, GRPCKey: key, GRPCClientCA: empty},
	} {
		s.GRPCListen, s.HTTPListen, s.Store, s.Rules = "127.0.0.1:0", "127.0.0.1:0", config.StoreMemory, dir
		if _, err := app.New(s, app.Options{Log: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want it to name %s", err, want)
		}
	}
}
