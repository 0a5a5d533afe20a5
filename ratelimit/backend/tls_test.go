package backend_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
	"github.com/weir-rls/weir/ratelimit/backend"
)

// secure is a Redis that wants TLS and a certificate, by the name in its own one.
func secure(t *testing.T, name string) (*partstest.SecureRedis, backend.Redis) {
	t.Helper()
	s := partstest.NewSecureRedis(t, name)
	addr, arguments := s.Port()
	partstest.Redis(t, parts.RedisServer, arguments...)
	r := tcp(addr)
	r.TLS, r.Files = true, backend.Files{Cert: s.Cert, Key: s.Key, CA: s.CA}
	return s, r
}

func TestTLS_WithACertificateOfTheClient(t *testing.T) {
	_, r := secure(t, "127.0.0.1")
	open(t, backend.Options{Main: r}).turns(true)
	r.TLS, r.URL = false, "rediss://"+r.URL
	open(t, backend.Options{Main: r}).turns(true)
	r.Files.Key = ""
	b := open(t, backend.Options{Main: r})
	partstest.Eventually(t, 10*time.Second, "what is missing", func() bool {
		return strings.Contains(b.log.String(), "is tried again") && strings.Contains(b.log.String(), "REDIS_TLS_CLIENT_KEY")
	})
	if b.Healthy() {
		t.Error("a server that wants a certificate was shown half of one")
	}
}

// Who signed a certificate is verified also where its name is not.
func TestTLS_SkipsTheHostnameAlone(t *testing.T) {
	_, r := secure(t, "another.example")
	b := open(t, backend.Options{Main: r})
	partstest.Eventually(t, 10*time.Second, "the remedy", func() bool { return strings.Contains(b.log.String(), "REDIS_TLS_SKIP_HOSTNAME_VERIFICATION") })
	r.Files.AnyName = true
	open(t, backend.Options{Main: r}).turns(true)
	r.Files.CA = ""
	b = open(t, backend.Options{Main: r})
	partstest.Eventually(t, 10*time.Second, "the remedy", func() bool { return strings.Contains(b.log.String(), "REDIS_TLS_CACERT") })
	if b.Healthy() {
		t.Error("a stranger's certificate was believed")
	}
}

// Certificates are rotated without a restart, and the second Redis may have some of its own.
func TestTLS_AReplacedCertificateIsUsedAndEachRedisMayHaveItsOwn(t *testing.T) {
	s, r := secure(t, "127.0.0.1")
	_, fast := secure(t, "127.0.0.1")
	partstest.WritePair(t, partstest.NewAuthority(t).Client(), s.Cert, s.Key)
	b := open(t, backend.Options{Main: r, PerSecond: &fast})
	partstest.Eventually(t, 10*time.Second, "it is refused", func() bool { return strings.Contains(b.log.String(), "is tried again") })
	partstest.WritePair(t, s.Clients.Client(), s.Cert, s.Key)
	b.turns(true)
	fast.Files = backend.Files{} // those of the other Redis, whose authority it does not know
	b = open(t, backend.Options{Main: r, PerSecond: &fast})
	partstest.Eventually(t, 10*time.Second, "it is refused", func() bool {
		return strings.Contains(b.log.String(), "variables=REDIS_PERSECOND_") && strings.Contains(b.log.String(), "is tried again")
	})
}

// A file has what AUTH would have, and is read for each connection.
func TestAuthFile_IsReadAgainForEachConnection(t *testing.T) {
	server := partstest.Redis(t, parts.RedisServer)
	admin := partstest.Admin(t, server)
	do := func(args ...any) {
		t.Helper()
		if err := admin.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	do("acl", "setuser", "ann", "on", ">one", "~*", "+@all")
	r := tcp(server.Addr)
	r.AuthFile = filepath.Join(t.TempDir(), "auth")
	say := func(text string) {
		if err := os.WriteFile(r.AuthFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	say("ann:one\n")
	b := open(t, backend.Options{Main: r, Watch: true})
	b.turns(true)
	do("acl", "setuser", "bob", "on", ">two:", "~*", "+@all")
	say("bob:two:\n")
	do("acl", "deluser", "ann")
	partstest.Eventually(t, 10*time.Second, "the other user", func() bool {
		clients := admin.Do(t.Context(), "client", "list").String()
		return strings.Contains(clients, "user=bob") && !strings.Contains(clients, "user=ann")
	})
	b.turns(true)
	b.counts(b.Main, "{d}k", 1)
}

func TestFiles_BadOnesAreAnErrorAtTheStart(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := tcp("127.0.0.1:1")
	for want, change := range map[string]func(r *backend.Redis){
		"REDIS_PERSECOND_TLS_CACERT":      func(r *backend.Redis) { r.Files.CA = empty },
		"REDIS_PERSECOND_TLS_CLIENT_CERT": func(r *backend.Redis) { r.Files.Cert, r.Files.Key = empty, empty },
		"REDIS_PERSECOND_AUTH_FILE: ":     func(r *backend.Redis) { r.AuthFile = empty },
		"set one of them":                 func(r *backend.Redis) { r.AuthFile, r.Auth = empty, "p" },
		"REDIS_PERSECOND_URL":             func(r *backend.Redis) { r.URL = "" },
	} {
		bad := good
		bad.TLS = true
		change(&bad)
		if _, err := backend.Open(backend.Options{Main: good, PerSecond: &bad, Log: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want it to name %s", err, want)
		}
	}
}
