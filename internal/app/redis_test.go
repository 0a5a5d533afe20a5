package app_test

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-rls/weir/internal/app"
	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// secureRedis is what servers that want TLS and certificates of their clients have in
// common.
type secureRedis struct{ *partstest.SecureRedis }

func newSecureRedis(t *testing.T) *secureRedis {
	t.Helper()
	return &secureRedis{partstest.NewSecureRedis(t, "127.0.0.1")}
}

// weir starts a replica on a URL with the files.
func (s *secureRedis) weir(t *testing.T, url string, change func(*config.Settings)) *replica {
	t.Helper()
	return start(t, oneRule, func(c *config.Settings) {
		c.Store, c.RedisURL, c.RedisCA, c.RedisCert, c.RedisKey = config.StoreRedis, config.RedisURL(url), s.CA, s.Cert, s.Key
		if change != nil {
			change(c)
		}
	})
}

// shares waits until Redis judges.
func (r *replica) shares() {
	r.t.Helper()
	partstest.Eventually(r.t, 5*time.Second, "an answer of Redis", func() bool {
		if _, err := r.call(wire("d", "user", "u")); err != nil {
			r.t.Fatal(err)
		}
		return r.metric(`weir_store_duration_seconds_count{result="ok"}`) > 0
	})
}

func TestRedisOverTLS(t *testing.T) {
	s := newSecureRedis(t)
	t.Run("one server", func(t *testing.T) {
		addr, arguments := s.Port()
		partstest.Redis(t, parts.RedisServer, arguments...)
		s.weir(t, "rediss://"+addr, nil).shares()
	})
	t.Run("Cluster", func(t *testing.T) {
		addr, arguments := s.Port()
		bus, _ := s.Port()
		_, port, _ := net.SplitHostPort(bus)
		partstest.Cluster(t, parts.RedisServer, 1, 0, append(arguments, "--tls-cluster", "yes", "--cluster-port", port, "--cluster-announce-ip", "127.0.0.1")...)
		s.weir(t, "rediss://"+addr+"?cluster=true", nil).shares()
	})
	t.Run("Sentinel", func(t *testing.T) {
		addr, arguments := s.Port()
		partstest.Redis(t, parts.RedisServer, arguments...)
		sentinel, watching := s.Port()
		_, port, _ := net.SplitHostPort(addr)
		file := filepath.Join(t.TempDir(), "sentinel.conf")
		text := "sentinel monitor m 127.0.0.1 " + port + " 1\ntls-replication yes\n"
		// It shows the master its certificate as a client.
		partstest.WritePair(t, s.Clients.Client(), file+".cert", file+".key")
		watching = append(watching, "--tls-client-cert-file", file+".cert", "--tls-client-key-file", file+".key")
		for i := 0; i < len(watching); i += 2 {
			text += strings.TrimPrefix(watching[i], "--") + " " + watching[i+1] + "\n"
		}
		if err := os.WriteFile(file, []byte(strings.Replace(text, "tls-ca-cert-file "+filepath.Dir(s.CA)+"/clients", "tls-ca-cert-file "+s.both(t), 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		process, err := parts.StartSentinel(partstest.Binary(t, parts.RedisServer), file)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = process.Stop() })
		s.weir(t, "rediss://"+sentinel+"?master_name=m", nil).shares()
	})
}

// both is a file with the authorities of servers and of clients.
func (s *secureRedis) both(t *testing.T) string {
	t.Helper()
	var text []byte
	for _, name := range []string{s.CA, filepath.Join(filepath.Dir(s.CA), "clients")} {
		part, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, part...)
	}
	name := filepath.Join(t.TempDir(), "both")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// What is wrong with certificates is in the log at the start, with what helps.
func TestRedisOverTLS_WhatIsWrongIsToldAtTheStart(t *testing.T) {
	s := newSecureRedis(t)
	addr, arguments := s.Port()
	plain := partstest.Redis(t, parts.RedisServer, arguments...)
	dir := t.TempDir()
	other := partstest.NewAuthority(t)
	otherCA, otherCert, otherKey := filepath.Join(dir, "ca"), filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	other.Write(otherCA)
	partstest.WritePair(t, other.Client(), otherCert, otherKey)
	for name, c := range map[string]struct {
		url    string
		change func(*config.Settings)
		want   string
	}{
		"another authority":  {addr, func(c *config.Settings) { c.RedisCA = otherCA }, "--redis-ca"},
		"no authority":       {addr, func(c *config.Settings) { c.RedisCA = "" }, "--redis-ca"},
		"no certificate":     {addr, func(c *config.Settings) { c.RedisCert, c.RedisKey = "", "" }, "--redis-cert and --redis-key"},
		"a stranger's":       {addr, func(c *config.Settings) { c.RedisCert, c.RedisKey = otherCert, otherKey }, "--redis-cert and --redis-key"},
		"a port without TLS": {plain.Addr, nil, "rediss:// is TLS"},
		"no such user":       {addr, func(c *config.Settings) { c.RedisURL = config.RedisURL("rediss://u:secret@" + addr) }, "--redis-password-file"},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.weir(t, "rediss://"+c.url, c.change)
			partstest.Eventually(t, 5*time.Second, "the warning", func() bool { return strings.Contains(r.log.String(), `"remedy"`) })
			for line := range strings.Lines(r.log.String()) {
				if strings.Contains(line, `"remedy"`) && !strings.Contains(line, c.want) || strings.Contains(line, "secret") {
					t.Errorf("want %s in %s", c.want, line)
				}
			}
		})
	}
}

// A certificate that is replaced is shown on the next connection.
func TestRedisOverTLS_AReplacedCertificateIsUsed(t *testing.T) {
	s := newSecureRedis(t)
	addr, arguments := s.Port()
	partstest.Redis(t, parts.RedisServer, arguments...)
	partstest.WritePair(t, partstest.NewAuthority(t).Client(), s.Cert, s.Key)
	r := s.weir(t, "rediss://"+addr, nil)
	for range 10 {
		if _, err := r.call(wire("d", "user", "u")); err != nil || r.metric(`weir_store_duration_seconds_count{result="ok"}`) != 0 {
			t.Fatalf("%v: want Redis to refuse a stranger, and weir to judge alone", err)
		}
	}
	partstest.WritePair(t, s.Clients.Client(), s.Cert, s.Key)
	r.shares()
	if !strings.Contains(r.log.String(), "a file was replaced") {
		t.Errorf("the log does not tell: %s", r.log.String())
	}
}

func TestRedisFiles_BadOnesAreAnErrorAtTheStart(t *testing.T) {
	s := newSecureRedis(t)
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]config.Settings{
		"--redis-ca":            {RedisCA: empty, RedisURL: "rediss://127.0.0.1:1"},
		"--redis-cert":          {RedisCert: s.Cert, RedisKey: empty, RedisURL: "rediss://127.0.0.1:1"},
		"--redis-password-file": {RedisPasswordFile: empty, RedisURL: "redis://127.0.0.1:1"},
		"no such file":          {RedisPasswordFile: empty + "x", RedisURL: "redis://127.0.0.1:1"},
		"rediss://":             {RedisCA: s.CA, RedisURL: "redis://127.0.0.1:1"},
	} {
		c.GRPCListen, c.HTTPListen, c.Store, c.Rules = "127.0.0.1:0", "127.0.0.1:0", config.StoreRedis, t.TempDir()
		if _, err := app.New(c, app.Options{Log: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want it to name %s", err, want)
		}
	}
}

// The password of the user is replaced while requests come: the new one is added, the
// file written, the old one removed and every connection cut. Who was under way on one of
// these may fail, and nobody else.
func TestRedisPasswordFile_IsReadForEachConnection(t *testing.T) {
	for _, part := range []parts.Part{parts.RedisServer, parts.ValkeyServer} {
		t.Run(part.String(), func(t *testing.T) {
			server := partstest.Redis(t, part)
			admin := partstest.Admin(t, server)
			do := func(args ...any) {
				t.Helper()
				if err := admin.Do(t.Context(), args...).Err(); err != nil {
					t.Fatal(err)
				}
			}
			do("acl", "setuser", "weir", "on", ">password-0", "~*", "+@all")
			file := filepath.Join(t.TempDir(), "password")
			say := func(n int) {
				if err := os.WriteFile(file, fmt.Appendf(nil, "password-%d\n", n), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			say(0)
			r := start(t, "domain: d\ndescriptors:\n  - {key: user, limits: [{name: n, rate: 1000000/s, on_store_error: error}]}\n", func(c *config.Settings) {
				c.Store, c.RedisURL, c.RedisPasswordFile = config.StoreRedis, config.RedisURL("redis://weir@"+server.Addr), file
			})
			r.shares()
			var good, bad atomic.Int64
			end, callers := make(chan struct{}), sync.WaitGroup{}
			const atOnce = 8
			for range atOnce {
				callers.Go(func() {
					for {
						select {
						case <-end:
							return
						default:
						}
						if _, err := r.call(wire("d", "user", "u")); err != nil {
							bad.Add(1)
						}
						good.Add(1)
					}
				})
			}
			const rotations = 5
			for n := 1; n <= rotations; n++ {
				do("acl", "setuser", "weir", fmt.Sprintf(">password-%d", n))
				say(n)
				do("acl", "setuser", "weir", fmt.Sprintf("<password-%d", n-1))
				do("client", "kill", "user", "weir")
				before := good.Load()
				partstest.Eventually(t, 5*time.Second, "requests after the rotation", func() bool { return good.Load() > before+200 })
			}
			close(end)
			callers.Wait()
			t.Logf("%d of %d requests failed in %d rotations", bad.Load(), good.Load(), rotations)
			if n := bad.Load(); n > rotations*atOnce {
				t.Errorf("%d requests failed in %d rotations, of which each may cost the %d under way", n, rotations, atOnce)
			}
			if got := admin.Info(t.Context(), "errorstats").Val(); strings.Contains(got, "WRONGPASS") {
				t.Errorf("an old password was used: %s", got)
			}
		})
	}
}
