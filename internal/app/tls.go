package app

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/internal/files"
)

// httpTLS is how the HTTP port is served over TLS, nil: not at all. Certificates
// of clients are asked for and not demanded: health and metrics need none.
func httpTLS(s config.Settings, log *slog.Logger) (*tls.Config, error) {
	if s.HTTPCert == "" {
		return nil, nil
	}
	return files.Server{
		Port: "http", Pair: pair("http", s.HTTPCert, s.HTTPKey), Clients: authorities("http-client-ca", s.HTTPClientCA), Protocols: []string{"h2", "http/1.1"}, Log: log,
	}.Open()
}

// grpcTLS is how the gRPC port is served over TLS, nil: not at all. Where there are
// authorities of clients, each client needs a certificate of theirs.
func grpcTLS(s config.Settings, log *slog.Logger) (*tls.Config, error) {
	if s.GRPCCert == "" {
		return nil, nil
	}
	return files.Server{
		Port: "grpc", Pair: pair("grpc", s.GRPCCert, s.GRPCKey), Clients: authorities("grpc-client-ca", s.GRPCClientCA), Demand: true,
		Known: knownClients(s.GRPCClientNames), Protocols: []string{"h2"}, Log: log,
	}.Open()
}

// pair is the certificate of the settings whose names begin with what.
func pair(what, cert, key string) files.Pair {
	return files.Pair{Cert: cert, Key: key, Settings: "--" + what + "-cert, --" + what + "-key"}
}

// authorities are those of the file of a setting.
func authorities(setting, file string) files.Authorities {
	return files.Authorities{File: file, Setting: "--" + setting}
}

var errStranger = errors.New("the certificate has none of the names that --grpc-client-names allows")

// knownClients refuses clients whose certificate has no name that is allowed: a DNS name, or
// a URI as SPIFFE has them. Without names it is nil: none is refused.
func knownClients(setting string) func(*x509.Certificate) error {
	var names []string
	for name := range strings.SplitSeq(setting, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	if names == nil {
		return nil
	}
	return func(client *x509.Certificate) error {
		if slices.ContainsFunc(client.DNSNames, func(name string) bool { return slices.Contains(names, name) }) {
			return nil
		}
		for _, uri := range client.URIs {
			if slices.Contains(names, uri.String()) {
				return nil
			}
		}
		return errStranger
	}
}
