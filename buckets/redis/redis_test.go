package redis_test

import (
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/redis"
	"github.com/weir-rls/weir/buckets/storetest"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// servers are what the store must behave the same on.
var servers = []parts.Part{parts.RedisServer, parts.ValkeyServer}

func TestConformance(t *testing.T) {
	for _, part := range servers {
		t.Run(part.String(), func(t *testing.T) { storetest.Run(t, subject(t, part)) })
	}
}

func BenchmarkTake(b *testing.B) {
	for _, part := range servers {
		b.Run(part.String(), func(b *testing.B) { storetest.Benchmark(b, subject(b, part)) })
	}
}

// onServers runs a test on a fresh server of each kind, beside which admin sees
// everything.
func onServers(t *testing.T, test func(t *testing.T, s *redis.Store, admin *goredis.Client)) {
	for _, part := range servers {
		t.Run(part.String(), func(t *testing.T) {
			server := partstest.Redis(t, part)
			test(t, open(t, server.URL), partstest.Admin(t, server))
		})
	}
}

// subject starts a server that all stores of one suite share; each set of stores
// begins with it empty.
func subject(tb testing.TB, part parts.Part) storetest.Subject {
	server := partstest.Redis(tb, part)
	admin := partstest.Admin(tb, server)
	return storetest.Subject{
		Open: func(tb testing.TB, n int, clock *storetest.Clock) []buckets.Store {
			if err := admin.FlushAll(tb.Context()).Err(); err != nil {
				tb.Fatal(err)
			}
			var stores []buckets.Store
			for range n {
				s := open(tb, server.URL)
				if clock != nil {
					s.SetNow(clock.Micros)
				}
				stores = append(stores, s)
			}
			return stores
		},
		Held: func(tb testing.TB, key string) (storetest.Record, bool) { return held(tb, admin, key) },
		Disturb: func(tb testing.TB) {
			if err := admin.ScriptFlush(tb.Context()).Err(); err != nil {
				tb.Error(err)
			}
		},
	}
}

func open(tb testing.TB, url string) *redis.Store {
	tb.Helper()
	s, err := redis.Open(url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

func held(tb testing.TB, admin *goredis.Client, key string) (storetest.Record, bool) {
	tb.Helper()
	ctx := tb.Context()
	var dump *goredis.StringCmd
	var expires, left *goredis.Cmd
	_, err := admin.Pipelined(ctx, func(p goredis.Pipeliner) error {
		dump, expires, left = p.Dump(ctx, key), p.Do(ctx, "PEXPIRETIME", key), p.Do(ctx, "PTTL", key)
		return nil
	})
	if dump.Err() == goredis.Nil {
		return storetest.Record{}, false
	}
	if err != nil {
		tb.Fatal(err)
	}
	at, _ := expires.Int64()
	ttl, _ := left.Int64()
	// Instants that tests send make the script add an hour, which is not part of what is checked.
	ttl = min(ttl-time.Hour.Milliseconds(), (1<<63-1)/time.Millisecond.Nanoseconds())
	return storetest.Record{Value: dump.Val(), Expires: at, TTL: time.Duration(ttl) * time.Millisecond}, true
}
