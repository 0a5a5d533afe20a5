package files

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
)

// Client is how a server is spoken to over TLS.
type Client struct {
	Server      string      // its name, for the log
	Pair        Pair        // that it is shown; without files none is
	Authorities Authorities // of its certificate; without a file those of the system
	AnyName     bool        // its certificate may have another name than it is reached by
	Log         *slog.Logger
}

// Open reads the files, which must be good at the start. current is how the next
// connection is made, by what they say then.
func (c Client) Open() (current func() *tls.Config, err error) {
	f := &Replaced[*tls.Config]{
		What: "the certificate for " + c.Server, Names: []string{c.Pair.Cert, c.Pair.Key, c.Authorities.File}, Read: c.read, Log: c.Log,
	}
	return f.Current, f.Open()
}

func (c Client) read() (*tls.Config, error) {
	spoken := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.Pair.Cert != "" {
		shown, err := c.Pair.Read()
		if err != nil {
			return nil, err
		}
		spoken.Certificates = []tls.Certificate{shown}
	}
	if c.Authorities.File != "" {
		roots, err := c.Authorities.Read()
		if err != nil {
			return nil, err
		}
		spoken.RootCAs = roots
	}
	if c.AnyName {
		spoken.InsecureSkipVerify = true // and is made up for by what follows
		spoken.VerifyConnection = func(state tls.ConnectionState) error { return signed(state, spoken.RootCAs) }
	}
	return spoken, nil
}

// signed tells what is wrong with a server's certificate, whatever its name.
func signed(state tls.ConnectionState, roots *x509.CertPool) error {
	between := x509.NewCertPool()
	for _, one := range state.PeerCertificates[1:] {
		between.AddCert(one)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	return err
}
