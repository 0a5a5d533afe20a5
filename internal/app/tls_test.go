package app_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/url"
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
)

// authority signs certificates.
type authority struct {
	*testing.T
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	serial      int64
}

func newAuthority(t *testing.T) *authority {
	a := &authority{T: t}
	made := a.issue(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.certificate, a.key = made.Leaf, made.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

// issue signs what a template says, with the first certificate by itself.
func (a *authority) issue(template *x509.Certificate) tls.Certificate {
	a.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.Fatal(err)
	}
	a.serial++
	template.SerialNumber, template.Subject, template.NotAfter = big.NewInt(a.serial), pkix.Name{CommonName: "weir"}, time.Now().Add(time.Hour)
	if template.IsCA { // OpenSSL takes a certificate of its issuer's name for one that signed itself
		template.Subject.CommonName = "authority"
	}
	parent, signs := a.certificate, a.key
	if parent == nil {
		parent, signs = template, key
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signs)
	if err != nil {
		a.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(raw)
	if err != nil {
		a.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key, Leaf: leaf}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// write writes a certificate and its key.
func write(t *testing.T, made tls.Certificate, cert, key string) {
	t.Helper()
	raw, err := x509.MarshalECPrivateKey(made.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: made.Certificate[0]}, key: {Type: "EC PRIVATE KEY", Bytes: raw}} {
		if name == "" {
			continue
		}
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// private is a replica whose gRPC port is served over TLS.
type private struct {
	*replica
	servers, clients *authority
	cert, key        string
}

func startPrivate(t *testing.T, names string) *private {
	dir := t.TempDir()
	p := &private{servers: newAuthority(t), clients: newAuthority(t), cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}
	write(t, p.server(), p.cert, p.key)
	ca := filepath.Join(dir, "ca.pem")
	write(t, tls.Certificate{Certificate: [][]byte{p.clients.certificate.Raw}, PrivateKey: p.clients.key}, ca, "")
	p.replica = start(t, oneRule, func(s *config.Settings) {
		s.GRPCCert, s.GRPCKey, s.GRPCClientCA, s.GRPCClientNames = p.cert, p.key, ca, names
	})
	return p
}

func (p *private) server() tls.Certificate {
	return p.servers.issue(&x509.Certificate{DNSNames: []string{"weir"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
}

func (a *authority) client(names ...string) *tls.Certificate {
	template := &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	for _, name := range names {
		if uri, err := url.Parse(name); err == nil && uri.Scheme != "" {
			template.URIs = append(template.URIs, uri)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	made := a.issue(template)
	return &made
}

// asks connects anew and asks once; it answers the serial number of the server's
// certificate, 0 if it was not answered.
func (p *private) asks(with *tls.Certificate) (serial int64) {
	p.t.Helper()
	c := &tls.Config{RootCAs: p.servers.pool(), ServerName: "weir"}
	if with != nil {
		c.Certificates = []tls.Certificate{*with}
	}
	c.VerifyConnection = func(s tls.ConnectionState) error {
		serial = s.PeerCertificates[0].SerialNumber.Int64()
		return nil
	}
	if err := p.answers(credentials.NewTLS(c)); err != nil {
		return 0
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
		"a DNS name":        {p.clients.client("other", "envoy.edge"), true},
		"a URI":             {p.clients.client(edge), true},
		"another name":      {p.clients.client("envoy"), false},
		"no name":           {p.clients.client(), false},
		"another authority": {newAuthority(t).client("envoy.edge"), false},
		"no certificate":    {nil, false},
	} {
		if got := p.asks(c.with) != 0; got != c.want {
			t.Errorf("%s: answered %v, want %v", name, got, c.want)
		}
	}
	if err := p.answers(insecure.NewCredentials()); err == nil {
		t.Error("a client without TLS was answered")
	}
	if any := startPrivate(t, ""); any.asks(any.clients.client("whoever")) == 0 || any.asks(nil) != 0 {
		t.Error("without names each certificate of the authority is to be enough, and none is not")
	}
}

// A certificate that is replaced serves the next connection, and one that cannot be used
// nobody: the one before stays until it is whole.
func TestGRPCOverTLS_AReplacedCertificateServes(t *testing.T) {
	p := startPrivate(t, "")
	client := p.clients.client("envoy")
	first := p.asks(client)
	if err := os.WriteFile(p.cert, []byte("half of it"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, "the warning", func() bool {
		if got := p.asks(client); got != first {
			t.Fatalf("certificate %d serves, want %d still", got, first)
		}
		return strings.Contains(p.log.String(), "cannot be used")
	})
	write(t, p.server(), p.cert, p.key)
	eventually(t, 5*time.Second, "the next certificate", func() bool { return p.asks(client) == first+1 })
}

func TestGRPCOverTLS_BadFilesAreAnErrorAtTheStart(t *testing.T) {
	dir := t.TempDir()
	good := newAuthority(t)
	cert, key, empty := filepath.Join(dir, "c"), filepath.Join(dir, "k"), filepath.Join(dir, "e")
	write(t, good.issue(&x509.Certificate{}), cert, key)
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
