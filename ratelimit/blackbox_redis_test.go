package ratelimit_test

import (
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// Healthy by the last sign of Redis or by each, and a call ends in time.
func TestSettings_RedisThatDiesAndReturns(t *testing.T) {
	t.Parallel()
	way := partstest.Way(t, partstest.Redis(t, parts.RedisServer).Addr)
	redis := []string{"BACKEND_TYPE=redis", "REDIS_SOCKET_TYPE=tcp", "REDIS_URL=" + way.Addr, "REDIS_STARTUP_INITIAL_INTERVAL=10ms", "REDIS_STARTUP_MAX_INTERVAL=20ms", "REDIS_POOL_SIZE=2"}
	once := start(t, environ(tree(t, modes), append(redis, "CACHE_KEY_PREFIX=1", "REDIS_OP_TIMEOUT=150ms")...)...)
	each := start(t, environ(tree(t, modes), append(redis, "REDIS_HEALTH_CHECK_ACTIVE_CONNECTION=true", "REDIS_TIMEOUT=150ms")...)...)
	for _, r := range []*replica{once, each} {
		partstest.Eventually(t, 10*time.Second, "healthy with Redis", func() bool { return r.serving("ratelimit") == serves })
		r.says(r.client(), request("d", "few=a", 0), "OK: OK 1 of 2 per DAY")
	}
	way.Swallow(true)
	for _, r := range []*replica{once, each} {
		began := time.Now()
		if _, err := r.client().ShouldRateLimit(t.Context(), request("d", "few=a", 0)); status.Code(err) != codes.Unknown || time.Since(began) > 900*time.Millisecond {
			t.Errorf("Redis does not answer: %v after %v", err, time.Since(began))
		}
		r.counts("ratelimit.service.call.should_rate_limit.", map[string]uint64{"redis_error": 1, "service_error": 0})
	}
	way.Close(true)
	partstest.Eventually(t, 10*time.Second, "not healthy without Redis", func() bool { return each.serving("ratelimit") == servesNo })
	if !once.healthy() {
		t.Error("it is not healthy after Redis answered once")
	}
	way.Swallow(false)
	way.Close(false)
	partstest.Eventually(t, 10*time.Second, "healthy with Redis again", func() bool { return each.serving("ratelimit") == serves && each.healthy() })
	for _, r := range []*replica{once, each} {
		c := r.client()
		partstest.Eventually(t, 10*time.Second, "answers again", func() bool {
			answer, err := c.ShouldRateLimit(t.Context(), request("d", "few=b", 0))
			return err == nil && len(answer.Statuses) == 1
		})
	}
}

func TestSettings_PoolSizesBoundConnections(t *testing.T) {
	way := partstest.Way(t, partstest.Redis(t, parts.RedisServer).Addr)
	way.Delay(20 * time.Millisecond)
	redis := []string{
		"BACKEND_TYPE=redis", "REDIS_SOCKET_TYPE=tcp", "REDIS_URL=" + way.Addr, "REDIS_POOL_SIZE=2", "REDIS_OP_TIMEOUT=10s",
		"REDIS_PERSECOND=true", "REDIS_PERSECOND_SOCKET_TYPE=tcp", "REDIS_PERSECOND_URL=" + way.Addr, "REDIS_PERSECOND_POOL_SIZE=3", "REDIS_PERSECOND_OP_TIMEOUT=10s",
	}
	r := start(t, environ(treeOf(t, story), redis...)...)
	partstest.Eventually(t, 10*time.Second, "healthy", func() bool { return r.serving("ratelimit") == serves })
	c := r.client()
	var callers sync.WaitGroup
	for range 64 {
		callers.Go(func() {
			for _, asked := range []*rls.RateLimitRequest{request("basic", "key1=a", 0), request("another", "key2=a", 0)} {
				if _, err := c.ShouldRateLimit(t.Context(), asked); err != nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
	counted := r.counted()
	for name, most := range map[string]uint64{"redis_pool": 2, "redis_per_second_pool": 3} {
		if n := counted["ratelimit."+name+".cx_total"]; n < 1 || n > most {
			t.Errorf("%s has made %d connections, want %d at most", name, n, most)
		}
	}
}

// The Redis for limits by the second has settings of its own.
func TestSettings_RedisPerSecond(t *testing.T) {
	t.Parallel()
	secure := partstest.NewSecureRedis(t, "elsewhere")
	address, arguments := secure.Port()
	server := partstest.Redis(t, parts.RedisServer, arguments...)
	if err := partstest.Admin(t, server).ConfigSet(t.Context(), "requirepass", "p").Err(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "auth")
	if err := os.WriteFile(file, []byte("p"), 0o600); err != nil {
		t.Fatal(err)
	}
	first := partstest.Redis(t, parts.RedisServer)
	given := map[string]string{
		"REDIS_PERSECOND_SOCKET_TYPE": "tcp", "REDIS_PERSECOND_URL": address, "REDIS_PERSECOND_TYPE": "single", "REDIS_PERSECOND_AUTH": "p", "REDIS_PERSECOND_TLS": "true",
		"REDIS_PERSECOND_TLS_CACERT": secure.CA, "REDIS_PERSECOND_TLS_CLIENT_CERT": secure.Cert, "REDIS_PERSECOND_TLS_CLIENT_KEY": secure.Key,
		"REDIS_PERSECOND_TLS_SKIP_HOSTNAME_VERIFICATION": "true",
	}
	works := func(without string, more ...string) bool {
		all := append([]string{"BACKEND_TYPE=redis", "REDIS_SOCKET_TYPE=tcp", "REDIS_URL=" + first.Addr, "REDIS_PERSECOND=true", "REDIS_PERSECOND_OP_TIMEOUT=2s", "REDIS_PERSECOND_TIMEOUT=2s"}, more...)
		for name, value := range given {
			if name != without {
				all = append(all, name+"="+value)
			}
		}
		all = environ(treeOf(t, story), all...)
		p, err := open(t, io.Discard, all...)
		if err != nil {
			return false
		}
		p.Close()
		_, err = start(t, all...).client().ShouldRateLimit(t.Context(), request("basic", "key1=a", 0))
		return err == nil
	}
	if !works("") {
		t.Error("it does not work with all of them")
	}
	if !works("REDIS_PERSECOND_AUTH", "REDIS_PERSECOND_AUTH_FILE="+file) {
		t.Error("it does not work with the password in a file")
	}
	for _, without := range slices.Sorted(maps.Keys(given)) {
		if without != "REDIS_PERSECOND_TYPE" && without != "REDIS_PERSECOND_TLS_CLIENT_KEY" && works(without) {
			t.Errorf("it works without %s", without)
		}
	}
}
