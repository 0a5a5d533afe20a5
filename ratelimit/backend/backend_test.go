package backend_test

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
	"github.com/weir-rls/weir/ratelimit/backend"
)

// servers are what the drop-in must behave the same on.
var servers = []parts.Part{parts.RedisServer, parts.ValkeyServer}

// hit counts one in a window of a year, whatever becomes of the request.
func hit(key string) buckets.Charge {
	return buckets.Charge{
		Key: key, Limit: "l", Cost: 1, Mode: buckets.Settle, OnStoreError: buckets.Fail,
		Bucket: buckets.FixedWindow{Limit: 2, Debt: 1 << 40, Calendar: buckets.Calendar{Length: 365 * 24 * time.Hour}},
	}
}

// opened is a backend that a test opened and runs.
type opened struct {
	*backend.Backend
	t     *testing.T
	log   *partstest.Log
	ended chan error // what Run says
}

// open opens what a Redis says, with the pauses of a test.
func open(t *testing.T, o backend.Options) *opened {
	t.Helper()
	b := &opened{t: t, log: &partstest.Log{}, ended: make(chan error, 1)}
	o.Log = slog.New(slog.NewTextHandler(b.log, nil))
	o.StartupFirst, o.StartupMost = 20*time.Millisecond, 100*time.Millisecond
	var err error
	if b.Backend, err = backend.Open(o); err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() {
		defer close(ran)
		b.ended <- b.Run(ctx)
	}()
	t.Cleanup(func() {
		end()
		<-ran
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(b.log)
		}
	})
	return b
}

// tcp is a single server at an address, as most settings state it.
func tcp(addr string) backend.Redis {
	return backend.Redis{SocketType: "tcp", Type: "SINGLE", URL: addr, PoolSize: 10, Timeout: 10 * time.Second}
}

// counts expects that a store of it counts on from n.
func (b *opened) counts(in buckets.Store, key string, n int64) {
	b.t.Helper()
	outcomes, err := in.Take(b.t.Context(), []buckets.Charge{hit(key)})
	if err != nil {
		b.t.Fatal(err)
	}
	if got := outcomes[0].Used; got != n {
		b.t.Errorf("%d are counted of %s, want %d", got, key, n)
	}
}

// turns waits until it is healthy, or is not.
func (b *opened) turns(healthy bool) {
	b.t.Helper()
	partstest.Eventually(b.t, 10*time.Second, "the health", func() bool { return b.Healthy() == healthy })
}

func onServers(t *testing.T, test func(t *testing.T, part parts.Part)) {
	for _, part := range servers {
		t.Run(part.String(), func(t *testing.T) { test(t, part) })
	}
}

func TestForms_OfASingleServer(t *testing.T) {
	onServers(t, func(t *testing.T, part parts.Part) {
		socket := filepath.Join(t.TempDir(), "socket")
		server := partstest.Redis(t, part, "--unixsocket", socket)
		admin := partstest.Admin(t, server)
		for _, rules := range [][]any{
			{"acl", "setuser", "ann", "on", ">hers:of@ann", "~*", "+@all"},
			{"acl", "setuser", "bob", "on", ">his", "~*", "+@all"},
			{"config", "set", "requirepass", "secret"},
			{"auth", "secret"},
		} {
			if err := admin.Do(t.Context(), rules...).Err(); err != nil {
				t.Fatal(err)
			}
		}
		n := int64(0)
		for _, change := range []func(r *backend.Redis){
			func(r *backend.Redis) { r.Auth = "secret" },
			func(r *backend.Redis) { r.Auth = "ann:hers:of@ann" },
			func(r *backend.Redis) { r.Type, r.SocketType, r.URL, r.Auth = "single", "unix", socket, "secret" },
			func(r *backend.Redis) { r.URL = "redis://ann:hers%3Aof%40ann@" + server.Addr + "/0" },
			func(r *backend.Redis) { r.URL, r.Auth = "redis://bob:old@"+server.Addr, "his" },
		} {
			r := tcp(server.Addr)
			change(&r)
			b := open(t, backend.Options{Main: r})
			b.turns(true)
			n++
			b.counts(b.Main, "{d}k", n)
		}
	})
}

// A request's keys are in one slot, so that it is one call to one node however many limits it
// meets.
func TestForms_OfACluster(t *testing.T) {
	nodes := partstest.Cluster(t, parts.ValkeyServer, 2, 0)
	b := open(t, backend.Options{Main: backend.Redis{SocketType: "unix", Type: "cluster", URL: nodes[0].Addr + "," + nodes[1].Addr}})
	b.turns(true)
	calls := func() (n int) {
		for _, node := range nodes {
			stats := partstest.Admin(t, node).Info(t.Context(), "commandstats").Val()
			for _, found := range regexp.MustCompile(`cmdstat_eval(?:sha)?:calls=(\d+)`).FindAllStringSubmatch(stats, -1) {
				one, err := strconv.Atoi(found[1])
				if err != nil {
					t.Fatal(err)
				}
				n += one
			}
		}
		return n
	}
	for n := range 3 {
		before := calls()
		outcomes, err := b.Main.Take(t.Context(), []buckets.Charge{hit("{d}a_1"), hit("{d}b_2"), hit("{d}c_3")})
		if err != nil || outcomes[2].Used != int64(n+1) {
			t.Fatalf("%+v, %v: want %d counted", outcomes, err, n+1)
		}
		if made := calls() - before; made != 1 && n > 0 { // the first finds the script unknown
			t.Errorf("a request with three limits cost %d calls, want 1", made)
		}
	}
}

// A Sentinel may want a password of its own, which is not that of the servers.
func TestForms_OfSentinels(t *testing.T) {
	host, port, err := net.SplitHostPort(partstest.Redis(t, parts.RedisServer).Addr)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "sentinel.conf")
	if err := os.WriteFile(config, []byte("sentinel monitor the-master "+host+" "+port+" 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sentinel, err := parts.StartSentinel(partstest.Binary(t, parts.RedisServer), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sentinel.Stop() })
	r := backend.Redis{Type: "SENTINEL", URL: "the-master," + sentinel.Addr}
	open(t, backend.Options{Main: r}).turns(true)
	if err := partstest.Admin(t, sentinel).Do(t.Context(), "acl", "setuser", "default", "resetpass", ">secret").Err(); err != nil {
		t.Fatal(err)
	}
	b := open(t, backend.Options{Main: r})
	partstest.Eventually(t, 10*time.Second, "the remedy", func() bool { return strings.Contains(b.log.String(), "REDIS_SENTINEL_AUTH") })
	r.SentinelAuth = "secret"
	b = open(t, backend.Options{Main: r})
	b.turns(true)
	b.counts(b.Main, "{d}k", 1)
}

func TestPerSecond_HasAServerOfItsOwn(t *testing.T) {
	first, second := partstest.Redis(t, parts.RedisServer), partstest.Redis(t, parts.ValkeyServer)
	fast := tcp(second.Addr)
	b := open(t, backend.Options{Main: tcp(first.Addr), PerSecond: &fast})
	b.turns(true)
	b.counts(b.Main, "{d}minute", 1)
	b.counts(b.PerSecond, "{d}second", 1)
	for server, want := range map[*parts.Redis]string{first: "{d}minute", second: "{d}second"} {
		if keys := partstest.Admin(t, server).Keys(t.Context(), "{d}*").Val(); len(keys) != 1 || keys[0] != want {
			t.Errorf("%v are counted there, want %s alone", keys, want)
		}
	}
	for i, want := range []string{"redis_pool", "redis_per_second_pool"} {
		pool := b.Pools()[i]
		if n := pool.Count(); pool.Name != want || n.Open == 0 || n.Made != uint64(n.Open)+n.Closed {
			t.Errorf("the pool %s has %+v, want %s with what is open and closed", pool.Name, n, want)
		}
	}
	alone := open(t, backend.Options{Main: tcp(first.Addr)})
	alone.counts(alone.PerSecond, "{d}minute", 2)
}

func TestMemory_NeedsNoRedis(t *testing.T) {
	told := 0
	b := open(t, backend.Options{Memory: true, Main: tcp("nowhere:1"), Health: func(healthy bool) {
		if healthy {
			told++
		}
	}})
	if !b.Healthy() || told != 1 || len(b.Pools()) != 0 {
		t.Errorf("healthy %v, told %d times, pools %v", b.Healthy(), told, b.Pools())
	}
	b.counts(b.Main, "{d}k", 1)
	b.counts(b.PerSecond, "{d}k", 2)
	if err := <-b.ended; err != nil {
		t.Error(err)
	}
	b.ended <- nil
}

// What proves that Redis writes is under the prefix, which may be all that a user may write.
func TestKeyPrefix_IsThatOfEveryKey(t *testing.T) {
	server := partstest.Redis(t, parts.RedisServer)
	admin := partstest.Admin(t, server)
	if err := admin.Do(t.Context(), "acl", "setuser", "ann", "on", ">p", "~limits:*", "+evalsha", "+eval", "+time", "+get", "+set", "+mget", "+exists", "+del", "+pexpire").Err(); err != nil {
		t.Fatal(err)
	}
	r := tcp(server.Addr)
	r.Auth = "ann:p"
	b := open(t, backend.Options{Main: r, KeyPrefix: "limits:"})
	b.turns(true)
	b.counts(b.Main, "limits:{d}k", 1)
	if keys := admin.Keys(t.Context(), "*").Val(); len(keys) == 0 || strings.Count(strings.Join(keys, " "), "limits:") != len(keys) {
		t.Errorf("keys without the prefix: %v", keys)
	}
}

func TestPoolSize_BoundsConnections(t *testing.T) {
	server := partstest.Redis(t, parts.RedisServer)
	r := tcp(server.Addr)
	r.PoolSize = 2
	b := open(t, backend.Options{Main: r})
	b.turns(true)
	var callers sync.WaitGroup
	for range 64 {
		callers.Go(func() {
			for range 20 {
				if _, err := b.Main.Take(t.Context(), []buckets.Charge{hit("{d}k")}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
	if n := b.Pools()[0].Count(); n.Made > 2 {
		t.Errorf("%d connections were made, want 2 at most", n.Made)
	}
	b.counts(b.Main, "{d}k", 64*20+1)
}

// silence is a server that accepts and never answers.
func silence(t *testing.T) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		conns.Wait()
	})
	return listener.Addr().String()
}
