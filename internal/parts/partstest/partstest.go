// Package partstest starts the parts of package parts for tests: each is
// stopped when its test ends, and a missing one fails the test.
package partstest

import (
	"testing"

	"github.com/weir-rls/weir/internal/parts"
)

// Binary is the path of a part's program; a test without it fails.
func Binary(t testing.TB, part parts.Part) string {
	t.Helper()
	path, err := parts.Find(part)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Redis starts a [parts.RedisServer] or [parts.ValkeyServer] for the time of
// the test.
func Redis(t testing.TB, server parts.Part, args ...string) *parts.Redis {
	t.Helper()
	redis, err := parts.StartRedis(Binary(t, server), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, redis.Process) })
	return redis
}

// Envoy starts an Envoy with the bootstrap for the time of the test.
func Envoy(t testing.TB, bootstrap []byte) *parts.EnvoyProcess {
	t.Helper()
	envoy, err := parts.StartEnvoy(Binary(t, parts.Envoy), bootstrap, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, envoy.Process) })
	return envoy
}

// Weir starts `binary serve args...` for the time of the test.
func Weir(t testing.TB, binary string, args ...string) *parts.WeirProcess {
	t.Helper()
	weir, err := parts.StartWeir(binary, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, weir.Process) })
	return weir
}

// stop ends a part and shows its output where the test failed.
func stop(t testing.TB, p *parts.Process) {
	t.Helper()
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		t.Logf("process %d wrote:\n%s", p.Pid(), p.Output())
	}
}
