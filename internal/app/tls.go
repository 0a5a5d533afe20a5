package app

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/weir-rls/weir/internal/config"
)

// lookEvery is how often the files of a certificate are looked at, at most: a client that
// connects has them looked at, so that what was replaced serves without a restart.
const lookEvery = time.Second

// certificates are how a port is served over TLS, by files that may be replaced.
type certificates struct {
	what                   string // for messages
	cert, key, authorities string // files; authorities empty: clients need no certificate
	demand                 bool   // of clients, where there are authorities
	names                  []string
	protocols              []string
	log                    *slog.Logger
}

// httpTLS is how the HTTP port is served over TLS, nil: not at all. Certificates
// of clients are asked for and not demanded: health and metrics need none.
func httpTLS(s config.Settings, log *slog.Logger) (*tls.Config, error) {
	c := &certificates{what: "http", cert: s.HTTPCert, key: s.HTTPKey, authorities: s.HTTPClientCA, protocols: []string{"h2", "http/1.1"}, log: log}
	return c.open()
}

// grpcTLS is how the gRPC port is served over TLS, nil: not at all. Where there are
// authorities of clients, each client needs a certificate of theirs.
func grpcTLS(s config.Settings, log *slog.Logger) (*tls.Config, error) {
	c := &certificates{what: "grpc", cert: s.GRPCCert, key: s.GRPCKey, authorities: s.GRPCClientCA, demand: true, protocols: []string{"h2"}, log: log}
	for name := range strings.SplitSeq(s.GRPCClientNames, ",") {
		if name = strings.TrimSpace(name); name != "" {
			c.names = append(c.names, name)
		}
	}
	return c.open()
}

// open reads the files, which must be good at the start.
func (c *certificates) open() (*tls.Config, error) {
	if c.cert == "" {
		return nil, nil
	}
	f := &files[*tls.Config]{
		what: "the certificate of the " + c.what + " port", names: []string{c.cert, c.key, c.authorities}, every: lookEvery, read: c.read, log: c.log,
	}
	if err := f.open(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: c.protocols,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return f.current(), nil },
	}, nil
}

func (c *certificates) read() (*tls.Config, error) {
	pair, err := readPair(c.what, c.cert, c.key)
	if err != nil {
		return nil, err
	}
	served := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: c.protocols}
	if c.authorities == "" {
		return served, nil
	}
	if served.ClientCAs, err = readAuthorities(c.what+"-client-ca", c.authorities); err != nil {
		return nil, err
	}
	served.ClientAuth = tls.VerifyClientCertIfGiven
	if c.demand {
		served.ClientAuth = tls.RequireAndVerifyClientCert
	}
	if len(c.names) > 0 {
		served.VerifyConnection = c.known
	}
	return served, nil
}

// readPair reads a certificate and its key, of the settings whose names begin with what.
func readPair(what, cert, key string) (tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return pair, fmt.Errorf("the certificate (--%[1]s-cert, --%[1]s-key): %w", what, err)
	}
	return pair, nil
}

// readAuthorities reads the file of a setting.
func readAuthorities(setting, file string) (*x509.CertPool, error) {
	authorities, err := os.ReadFile(file)
	pool := x509.NewCertPool()
	if err == nil && !pool.AppendCertsFromPEM(authorities) {
		err = errors.New("there is no certificate in it")
	}
	if err != nil {
		return nil, fmt.Errorf("the authorities (--%s): %w", setting, err)
	}
	return pool, nil
}

var errStranger = errors.New("the certificate has none of the names that --grpc-client-names allows")

// known refuses clients whose certificate has no name that is allowed: a DNS name, or a
// URI as SPIFFE has them.
func (c *certificates) known(state tls.ConnectionState) error {
	leaf := state.PeerCertificates[0]
	if slices.ContainsFunc(leaf.DNSNames, func(name string) bool { return slices.Contains(c.names, name) }) {
		return nil
	}
	for _, uri := range leaf.URIs {
		if slices.Contains(c.names, uri.String()) {
			return nil
		}
	}
	return errStranger
}
