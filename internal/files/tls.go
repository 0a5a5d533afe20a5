package files

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
)

// Pair are the files, PEM, of a certificate and its key.
type Pair struct {
	Cert, Key string
	Settings  string // that name them, for messages
}

// Read reads both.
func (p Pair) Read() (tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(p.Cert, p.Key)
	if err != nil {
		return pair, fmt.Errorf("the certificate (%s): %w", p.Settings, err)
	}
	return pair, nil
}

// Authorities is a file, PEM, of who signs certificates.
type Authorities struct {
	File    string
	Setting string // that names it, for messages
	System  bool   // those of the system count, too
}

// Read reads the file, which must have a certificate.
func (a Authorities) Read() (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if system, err := x509.SystemCertPool(); a.System && err == nil {
		pool = system
	}
	text, err := os.ReadFile(a.File)
	if err == nil && !pool.AppendCertsFromPEM(text) {
		err = errors.New("there is no certificate in it")
	}
	if err != nil {
		return nil, fmt.Errorf("the authorities (%s): %w", a.Setting, err)
	}
	return pool, nil
}

// Server is how a port is served over TLS.
type Server struct {
	Port      string                               // its name, for the log
	Pair      Pair                                 // that clients are shown
	Clients   Authorities                          // of clients; without a file they need no certificate
	Demand    bool                                 // of each client, where there are authorities; otherwise it is asked for
	Known     func(client *x509.Certificate) error // what is wrong with one that the authorities signed; nil: nothing ever is
	Protocols []string
	Log       *slog.Logger
}

// Open reads the files, which must be good at the start. They are read again once they
// were replaced.
func (s Server) Open() (*tls.Config, error) {
	f := &Replaced[*tls.Config]{
		What: "the certificate of the " + s.Port + " port", Names: []string{s.Pair.Cert, s.Pair.Key, s.Clients.File}, Every: Every, Read: s.read, Log: s.Log,
	}
	if err := f.Open(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: s.Protocols,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return f.Current(), nil },
	}, nil
}

func (s Server) read() (*tls.Config, error) {
	pair, err := s.Pair.Read()
	if err != nil {
		return nil, err
	}
	served := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: s.Protocols}
	if s.Clients.File == "" {
		return served, nil
	}
	if served.ClientCAs, err = s.Clients.Read(); err != nil {
		return nil, err
	}
	served.ClientAuth = tls.VerifyClientCertIfGiven
	if s.Demand {
		served.ClientAuth = tls.RequireAndVerifyClientCert
	}
	if s.Known != nil {
		served.VerifyConnection = func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return nil // there need be none, or the connection would have ended
			}
			return s.Known(state.PeerCertificates[0])
		}
	}
	return served, nil
}
