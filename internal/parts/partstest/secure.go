package partstest

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/weir-rls/weir/internal/parts"
)

// SecureRedis is what servers that want TLS and certificates of their clients have in
// common. The valkey-server of the tests is built without TLS.
type SecureRedis struct {
	Clients       *Authority
	CA, Cert, Key string // the files of a client

	t         testing.TB
	arguments []string // of a server
}

// NewSecureRedis has servers' certificates by a name or an address.
func NewSecureRedis(t testing.TB, name string) *SecureRedis {
	t.Helper()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	servers := NewAuthority(t)
	s := &SecureRedis{Clients: NewAuthority(t), CA: file("ca"), Cert: file("cert"), Key: file("key"), t: t}
	servers.Write(s.CA)
	s.Clients.Write(file("clients"))
	WritePair(t, servers.Server(name), file("server"), file("server-key"))
	WritePair(t, s.Clients.Client(), s.Cert, s.Key)
	s.arguments = []string{"--tls-auth-clients", "yes", "--tls-cert-file", file("server"), "--tls-key-file", file("server-key"), "--tls-ca-cert-file", file("clients")}
	return s
}

// Port is a free one with TLS, and the arguments that open it.
func (s *SecureRedis) Port() (addr string, arguments []string) {
	s.t.Helper()
	addr, err := parts.FreeAddr()
	must(s.t, err)
	_, port, _ := net.SplitHostPort(addr)
	return addr, append([]string{"--tls-port", port}, s.arguments...)
}
