package redis_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/redis"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// slow is a bucket that refills nothing while a test runs.
func slow(tb testing.TB) buckets.TokenBucket {
	tb.Helper()
	b, err := buckets.NewTokenBucket(1, 24*time.Hour, 100)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// TestLostAnswerIsNotSentAgain: the charge whose answer was cut off was made
// once, and the caller got an error. With MaxRetries at its default, or on a
// cluster client without NoRetry, it is made twice.
func TestLostAnswerIsNotSentAgain(t *testing.T) {
	server := partstest.Redis(t, parts.RedisServer)
	admin := partstest.Admin(t, server)
	for name, connect := range map[string]func(addr string) *redis.Store{
		"single": func(addr string) *redis.Store { return open(t, "redis://"+addr) },
		"cluster": func(addr string) *redis.Store {
			return redis.New(goredis.NewClusterClient(&goredis.ClusterOptions{
				ClusterSlots: func(context.Context) ([]goredis.ClusterSlot, error) {
					return []goredis.ClusterSlot{{Start: 0, End: 16383, Nodes: []goredis.ClusterNode{{Addr: addr}}}}, nil
				},
			}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			way := partstest.Way(t, server.Addr)
			s := connect(way.Addr)
			defer func() { _ = s.Close() }()
			charge := buckets.Charge{Key: "{lost}" + name, Bucket: slow(t), Cost: 1}
			for _, charges := range [][]buckets.Charge{{charge}, {charge, charge}} {
				admin.Del(t.Context(), charge.Key)
				if _, err := s.Take(t.Context(), charges); err != nil {
					t.Fatal(err) // also loads the script and opens the connection
				}
				way.LoseNext()
				if o, err := s.Take(t.Context(), charges); err == nil {
					t.Fatalf("the answer was lost, yet there is one: %+v", o)
				}
				look := charge
				look.Mode = buckets.Look
				o, err := s.Take(t.Context(), []buckets.Charge{look})
				want := int64(100 - 2*len(charges))
				if err != nil || charge.Bucket.Remaining(o[0].Used) != want {
					t.Fatalf("%d tokens remain, want %d: the lost call was not made once (%v)",
						charge.Bucket.Remaining(o[0].Used), want, err)
				}
			}
		})
	}
}

// TestDeadlineHoldsOnAStalledServer: a caller with 50 ms does not wait for the
// read time-out, neither on an open connection nor on a new one, and learns that
// it was its own deadline.
func TestDeadlineHoldsOnAStalledServer(t *testing.T) {
	server := partstest.Redis(t, parts.RedisServer)
	way := partstest.Way(t, server.Addr)
	warm, cold := open(t, "redis://"+way.Addr), open(t, "redis://"+way.Addr)
	charges := []buckets.Charge{{Key: "{stall}1", Bucket: slow(t), Cost: 1}}
	if _, err := warm.Take(t.Context(), charges); err != nil {
		t.Fatal(err)
	}
	way.Swallow(true)
	for name, s := range map[string]*redis.Store{"open connection": warm, "new connection": cold} {
		for call, do := range map[string]func(context.Context) error{
			"take":     func(ctx context.Context) error { _, err := s.Take(ctx, charges); return err },
			"eviction": func(ctx context.Context) error { _, err := s.Eviction(ctx); return err },
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			begin := time.Now()
			err := do(ctx)
			cancel()
			if took := time.Since(begin); took > 250*time.Millisecond {
				t.Errorf("%s, %s: answered after %v, want about 50ms", name, call, took)
			}
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s, %s: %v, want context.DeadlineExceeded", name, call, err)
			}
		}
	}
}

func TestErrorsSayWhatFailed(t *testing.T) {
	server := partstest.Redis(t, parts.RedisServer)
	s := open(t, server.URL)
	charges := []buckets.Charge{{Key: "{gone}1", Bucket: slow(t), Cost: 1}}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Take(ctx, charges); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	for _, err := range []error{s.Probe(t.Context()), func() error { _, err := s.Take(t.Context(), charges); return err }()} {
		if err == nil || !strings.Contains(err.Error(), "Redis: ") || !strings.Contains(err.Error(), "refused") {
			t.Errorf("%v, want an error that says the connection was refused", err)
		}
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("a server that is gone was noticed after %v", took)
	}
}

// A probe is no good where a take would not be.
func TestProbeFailsWhereATakeWould(t *testing.T) {
	onServers(t, func(t *testing.T, s *redis.Store, admin *goredis.Client) {
		if err := s.Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Probe(t.Context()); err != nil {
			t.Errorf("a second one in the same second: %v", err)
		}
		for name, c := range map[string]struct{ begin, end []any }{
			"no memory": {[]any{"config", "set", "maxmemory", "1"}, []any{"config", "set", "maxmemory", "0"}},
			"a replica": {[]any{"replicaof", "127.0.0.1", "1"}, []any{"replicaof", "no", "one"}},
		} {
			if err := admin.Do(t.Context(), c.begin...).Err(); err != nil {
				t.Fatal(err)
			}
			if err := s.Probe(t.Context()); err == nil || !redis.Outage(err) {
				t.Errorf("%s: %v, want an outage", name, err)
			}
			if err := admin.Do(t.Context(), c.end...).Err(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestEvictionIsThePolicyOfTheServer(t *testing.T) {
	onServers(t, func(t *testing.T, s *redis.Store, admin *goredis.Client) {
		for _, want := range []string{redis.NoEviction, "allkeys-lru"} {
			admin.ConfigSet(t.Context(), "maxmemory-policy", want)
			if got, err := s.Eviction(t.Context()); err != nil || got != want {
				t.Errorf("%q, %v, want %q", got, err, want)
			}
		}
	})
}
