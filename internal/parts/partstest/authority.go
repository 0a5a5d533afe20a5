package partstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"testing"
	"time"
)

// Authority signs certificates for the time of a test.
type Authority struct {
	t    testing.TB
	self tls.Certificate
}

// NewAuthority is one that signed its own certificate.
func NewAuthority(t testing.TB) *Authority {
	a := &Authority{t: t}
	a.self = a.Issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, // not that of what it signs, which OpenSSL would take for its own
		IsCA:    true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

// Issue signs what a template says, for an hour, by the name of weir unless it has another.
func (a *Authority) Issue(template *x509.Certificate) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		a.t.Fatal(err)
	}
	if template.NotAfter = time.Now().Add(time.Hour); template.Subject.CommonName == "" {
		template.Subject.CommonName = "weir"
	}
	parent, signs := a.self.Leaf, a.self.PrivateKey
	if parent == nil {
		parent, signs = template, key
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signs)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(raw)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key, Leaf: leaf}
}

// Server is a server's certificate with names, which are DNS names or IP addresses.
func (a *Authority) Server(names ...string) tls.Certificate {
	a.t.Helper()
	template := &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	return a.Issue(template)
}

// Client is a client's certificate with names, which are DNS names or URIs.
func (a *Authority) Client(names ...string) tls.Certificate {
	a.t.Helper()
	template := &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	for _, name := range names {
		if uri, err := url.Parse(name); err == nil && uri.Scheme != "" {
			template.URIs = append(template.URIs, uri)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	return a.Issue(template)
}

// Pool has the authority, and nothing else.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.self.Leaf)
	return pool
}

// Write writes the authority's own certificate as PEM.
func (a *Authority) Write(file string) {
	a.t.Helper()
	writePEM(a.t, file, "CERTIFICATE", a.self.Leaf.Raw)
}

// WritePair writes a certificate and its key as PEM.
func WritePair(t testing.TB, made tls.Certificate, cert, key string) {
	t.Helper()
	raw, err := x509.MarshalPKCS8PrivateKey(made.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, cert, "CERTIFICATE", made.Leaf.Raw)
	writePEM(t, key, "PRIVATE KEY", raw)
}

func writePEM(t testing.TB, file, kind string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
		t.Fatal(err)
	}
}
