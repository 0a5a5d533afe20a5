package platform

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"time"
)

// Authority signs certificates.
type Authority struct{ self tls.Certificate }

// NewAuthority is one that signed its own certificate.
func NewAuthority() (*Authority, error) {
	a := &Authority{}
	var err error
	a.self, err = a.Issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, // not that of what it signs, which OpenSSL would take for its own
		IsCA:    true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a, err
}

// Issue signs what a template says, for an hour, by the name of weir unless it has another.
func (a *Authority) Issue(template *x509.Certificate) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		return tls.Certificate{}, err
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
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(raw)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key, Leaf: leaf}, err
}

// Both is a certificate of a server and of a client, by DNS names, as Envoy Gateway makes
// them.
func (a *Authority) Both(names ...string) (tls.Certificate, error) {
	return a.Issue(&x509.Certificate{DNSNames: names, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}})
}

// Pool has the authority, and nothing else.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.self.Leaf)
	return pool
}

// Write writes the authority's own certificate as PEM.
func (a *Authority) Write(file string) error { return writePEM(file, "CERTIFICATE", a.self.Leaf.Raw) }

// WritePair writes a certificate and its key as PEM.
func WritePair(made tls.Certificate, cert, key string) error {
	raw, err := x509.MarshalPKCS8PrivateKey(made.PrivateKey)
	if err != nil {
		return err
	}
	if err := writePEM(cert, "CERTIFICATE", made.Leaf.Raw); err != nil {
		return err
	}
	return writePEM(key, "PRIVATE KEY", raw)
}

func writePEM(file, kind string, content []byte) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600)
}
