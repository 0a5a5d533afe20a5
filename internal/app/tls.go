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
	"sync"
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

	mu     sync.Mutex
	looked time.Time
	stamps [3]stamp
	served *tls.Config
}

// stamp tells whether a file is another one than before.
type stamp struct {
	modified time.Time
	size     int64
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
	c.stamps, c.looked = c.stamp(), time.Now()
	var err error
	if c.served, err = c.read(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: c.protocols,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current(), nil },
	}, nil
}

// current is what the files say. Those that are replaced by bad ones, or by some first, are
// as they were until they are good.
func (c *certificates) current() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < lookEvery {
		return c.served
	}
	c.looked = time.Now()
	stamps := c.stamp()
	if stamps == c.stamps {
		return c.served
	}
	c.stamps = stamps
	served, err := c.read()
	if err != nil {
		c.log.Warn("a certificate was replaced by one that cannot be used; the one before stays", "port", c.what, "error", err.Error())
		return c.served
	}
	c.log.Info("a certificate was replaced", "port", c.what)
	c.served = served
	return served
}

func (c *certificates) stamp() (stamps [3]stamp) {
	for i, name := range []string{c.cert, c.key, c.authorities} {
		if info, err := os.Stat(name); name != "" && err == nil {
			stamps[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return stamps
}

func (c *certificates) read() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return nil, fmt.Errorf("the certificate of the port (--%[1]s-cert, --%[1]s-key): %w", c.what, err)
	}
	served := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: c.protocols}
	if c.authorities == "" {
		return served, nil
	}
	authorities, err := os.ReadFile(c.authorities)
	if err == nil {
		served.ClientCAs = x509.NewCertPool()
		if !served.ClientCAs.AppendCertsFromPEM(authorities) {
			err = errors.New("there is no certificate in it")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the authorities of clients (--%s-client-ca): %w", c.what, err)
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
