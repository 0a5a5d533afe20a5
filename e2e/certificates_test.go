package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// certificates are those of a server, one after another of the same authority.
type certificates struct {
	cert, key string // the files
	authority *x509.Certificate
	signs     *ecdsa.PrivateKey
	serial    int64
}

func newCertificates(t *testing.T) *certificates {
	t.Helper()
	dir := t.TempDir()
	c := &certificates{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}
	template := c.template()
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	signs, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, signs.Public(), signs)
	if err != nil {
		t.Fatal(err)
	}
	if c.authority, err = x509.ParseCertificate(raw); err != nil {
		t.Fatal(err)
	}
	c.signs = signs
	if err := c.replace(func() {}); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *certificates) template() *x509.Certificate {
	c.serial++
	return &x509.Certificate{
		SerialNumber: big.NewInt(c.serial), Subject: pkix.Name{CommonName: "weir"}, DNSNames: []string{"weir"},
		NotAfter: time.Now().Add(24 * time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}

// replace writes the next certificate and its key, each in one step, but one after the
// other: weir may see the one without the other. between is called then.
func (c *certificates) replace(between func()) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	raw, err := x509.CreateCertificate(rand.Reader, c.template(), c.authority, key.Public(), c.signs)
	if err != nil {
		return err
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	for _, file := range []struct {
		name  string
		block pem.Block
	}{{c.cert, pem.Block{Type: "CERTIFICATE", Bytes: raw}}, {c.key, pem.Block{Type: "EC PRIVATE KEY", Bytes: private}}} {
		next := file.name + ".next"
		if err := os.WriteFile(next, pem.EncodeToMemory(&file.block), 0o600); err != nil {
			return err
		}
		if err := os.Rename(next, file.name); err != nil {
			return err
		}
		if file.name == c.cert {
			between()
		}
	}
	return nil
}

// dial is a connection that trusts the authority.
func (c *certificates) dial(addr string) (*grpc.ClientConn, error) {
	pool := x509.NewCertPool()
	pool.AddCert(c.authority)
	return grpc.NewClient(addr, grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(pool, "weir")))
}
