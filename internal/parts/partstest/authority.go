package partstest

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/url"
	"testing"

	"github.com/weir-rls/weir/internal/parts/platform"
)

// Authority signs certificates for the time of a test.
type Authority struct {
	t    testing.TB
	self *platform.Authority
}

// NewAuthority is one that signed its own certificate.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	self, err := platform.NewAuthority()
	must(t, err)
	return &Authority{t: t, self: self}
}

// Issue signs what a template says, for an hour, by the name of weir unless it has another.
func (a *Authority) Issue(template *x509.Certificate) tls.Certificate {
	a.t.Helper()
	made, err := a.self.Issue(template)
	must(a.t, err)
	return made
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

// Both is a certificate of a server and of a client with DNS names.
func (a *Authority) Both(names ...string) tls.Certificate {
	a.t.Helper()
	made, err := a.self.Both(names...)
	must(a.t, err)
	return made
}

// Pool has the authority, and nothing else.
func (a *Authority) Pool() *x509.CertPool { return a.self.Pool() }

// Write writes the authority's own certificate as PEM.
func (a *Authority) Write(file string) {
	a.t.Helper()
	must(a.t, a.self.Write(file))
}

// WritePair writes a certificate and its key as PEM.
func WritePair(t testing.TB, made tls.Certificate, cert, key string) {
	t.Helper()
	must(t, platform.WritePair(made, cert, key))
}
