package redis_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/redis"
)

func tenPerSecond(tb testing.TB) buckets.TokenBucket {
	tb.Helper()
	b, err := buckets.NewTokenBucket(10, time.Second, 100)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// TestM14_ScriptIsSentOnceAndCalledByDigest also covers a server that lost its
// scripts: the call that meets it is charged exactly once.
func TestM14_ScriptIsSentOnceAndCalledByDigest(t *testing.T) {
	onServers(t, func(t *testing.T, s *redis.Store, admin *goredis.Client) {
		b := tenPerSecond(t)
		one := []buckets.Charge{{Key: "{m}1", Bucket: b, Cost: 1}}
		two := []buckets.Charge{{Key: "{m}1", Bucket: b, Cost: 1}, {Key: "{m}2", Bucket: b, Cost: 1}}

		for range 2 {
			if err := admin.ScriptFlush(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			if err := admin.ConfigResetStat(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			for _, charges := range [][]buckets.Charge{one, two, one, two, one, two} {
				if o, err := s.Take(t.Context(), charges); err != nil || !o[0].Admitted {
					t.Fatalf("%+v, %v", o, err)
				}
			}
			stats := admin.Info(t.Context(), "commandstats").Val()
			for _, want := range []string{"cmdstat_eval:calls=2,", "cmdstat_evalsha:calls=6,", "cmdstat_set:calls=9,"} {
				if !strings.Contains(stats, want) {
					t.Errorf("want %s in\n%s", want, stats)
				}
			}
		}
	})
}

// TestM13_ServersClockJudges: to the microsecond, whatever clock the caller has.
func TestM13_ServersClockJudges(t *testing.T) {
	onServers(t, func(t *testing.T, s *redis.Store, admin *goredis.Client) {
		one := buckets.Charge{Key: "{m}1", Bucket: tenPerSecond(t), Cost: 1}
		for _, charges := range [][]buckets.Charge{{one}, {one, one}} {
			before := admin.Time(t.Context()).Val().UnixMicro()
			o, err := s.Take(t.Context(), charges)
			after := admin.Time(t.Context()).Val().UnixMicro()
			if err != nil || o[0].Now < before || o[0].Now > after {
				t.Errorf("judged at %+v (%v), want an instant from %d to %d", o, err, before, after)
			}
		}
	})
}

// TestStoredValueStaysShort: 41 bytes are an embstr for Redis, one allocation
// beside the key; 45 would be two.
func TestStoredValueStaysShort(t *testing.T) {
	onServers(t, func(t *testing.T, s *redis.Store, admin *goredis.Client) {
		if _, err := s.Take(t.Context(), []buckets.Charge{{Key: "{m}1", Bucket: tenPerSecond(t), Cost: 1}}); err != nil {
			t.Fatal(err)
		}
		value := admin.Get(t.Context(), "{m}1").Val()
		if len(value) != 41 || value[0] != 6 {
			t.Errorf("%d bytes of format %d are stored, want 41 of 6", len(value), value[0])
		}
		if encoding := admin.ObjectEncoding(t.Context(), "{m}1").Val(); encoding != "embstr" {
			t.Errorf("stored as %s, want embstr", encoding)
		}
	})
}

// TestUnknownFormatIsNoFullBucket: what a newer version or another program wrote
// is an error that names the key, nothing is written, and no charge of the
// request is made.
func TestUnknownFormatIsNoFullBucket(t *testing.T) {
	onServers(t, func(t *testing.T, s *redis.Store, admin *goredis.Client) {
		b := tenPerSecond(t)
		for _, value := range []string{"\x02" + strings.Repeat("x", 40), "\x01 too short", "", "hello"} {
			admin.Set(t.Context(), "{m}odd\nkey", value, 0)
			for _, charges := range [][]buckets.Charge{
				{{Key: "{m}odd\nkey", Bucket: b, Cost: 1}},
				{{Key: "{m}good", Bucket: b, Cost: 1}, {Key: "{m}odd\nkey", Bucket: b, Cost: 1}},
			} {
				o, err := s.Take(t.Context(), charges)
				if !errors.Is(err, redis.ErrFormat) || !strings.HasSuffix(err.Error(), ` delete the key "{m}odd\nkey"`) {
					t.Errorf("value %q: %+v, %v, want ErrFormat with the key, escaped", value, o, err)
				}
			}
			if got := admin.Get(t.Context(), "{m}odd\nkey").Val(); got != value {
				t.Errorf("%q was overwritten with %q", value, got)
			}
		}
		admin.RPush(t.Context(), "{m}list", "x")
		if o, err := s.Take(t.Context(), []buckets.Charge{{Key: "{m}list", Bucket: b, Cost: 1}}); !goredis.HasErrorPrefix(errors.Unwrap(err), "WRONGTYPE") {
			t.Errorf("a list answers %+v, %v", o, err)
		}
		if n := admin.Exists(t.Context(), "{m}good").Val(); n != 0 {
			t.Error("the good bucket beside an unknown one was charged")
		}
	})
}

func TestURLs(t *testing.T) {
	for _, url := range []string{
		"redis://127.0.0.1:6379", "redis://user:pass@127.0.0.1:6379/3?pool_size=50", "rediss://127.0.0.1:6379", "unix:///run/redis.sock",
		"redis://127.0.0.1:26379/2?master_name=m&addr=127.0.0.1:26380&sentinel_username=s&sentinel_password=t&pool_size=5", "rediss://u:p@127.0.0.1?master_name=m",
		"redis://u:p@127.0.0.1:7000?cluster=true&addr=127.0.0.1:7001&addr=127.0.0.1:7002&pool_size=5", "rediss://127.0.0.1/?cluster=true",
	} {
		s, err := redis.Open(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		_ = s.Close()
	}
	for _, url := range []string{
		"127.0.0.1:6379", "http://127.0.0.1", "redis://u:secret@127.0.0.1:port", "redis://u:secret@127.0.0.1/db", "redis://u:secret@127.0.0.1/?no_such=1", "redis://u:secret%zz@h",
		"redis://u:secret@127.0.0.1?addr=127.0.0.1:1", "redis://u:secret@127.0.0.1?cluster=yes", "redis://u:secret@127.0.0.1/3?cluster=true",
		"redis://u:secret@127.0.0.1?cluster=true&master_name=m", "redis://u:secret@127.0.0.1?cluster=true&no_such=1", "redis://u:secret@127.0.0.1?cluster=true&addr=x",
		"redis://u:secret@127.0.0.1?master_name=", "redis://127.0.0.1?master_name=m&no_such=1&sentinel_password=secret", "redis://127.0.0.1?master_name=m&addr=y&sentinel_password=secret",
	} {
		_, err := redis.Open(url)
		if err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want an error without the password", url, err)
		}
	}
}
