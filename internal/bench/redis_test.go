package bench

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// Commands are those that clients send: two for INCR and EXPIRE, and one for a
// script, whatever it calls.
func TestRedisCounters_AreWhatClientsSent(t *testing.T) {
	for _, part := range []parts.Part{parts.RedisServer, parts.ValkeyServer} {
		t.Run(part.String(), func(t *testing.T) {
			server := partstest.Redis(t, part)
			counters, err := OpenRedis(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer counters.Close()
			options, err := redis.ParseURL(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			client := redis.NewClient(options)
			defer client.Close()
			const calls = 100
			used := func(do func()) RedisCounters {
				t.Helper()
				before, err := counters.Counters(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				do()
				after, err := counters.Counters(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				return after.Since(before)
			}
			plain := used(func() {
				for range calls {
					client.Incr(t.Context(), "counter")
					client.Expire(t.Context(), "counter", 1e12)
				}
			})
			if plain.Sent() != 2*calls || plain.Commands["incr"] != calls || plain.Commands["expire"] != calls || len(plain.Commands) != 2 {
				t.Errorf("%d sent, %v", plain.Sent(), plain.Commands)
			}
			script := client.ScriptLoad(t.Context(), `for i = 1, 30 do redis.call('GET', KEYS[1]) end return redis.call('SET', KEYS[1], string.rep('x', ARGV[1]))`).Val()
			scripted := used(func() {
				for range calls {
					if err := client.EvalSha(t.Context(), script, []string{"k"}, 1<<17).Err(); err != nil {
						t.Fatal(err)
					}
				}
			})
			if scripted.Sent() != calls || scripted.Commands["get"] != 30*calls || scripted.Commands["set"] != calls {
				t.Errorf("%d sent, %v", scripted.Sent(), scripted.Commands)
			}
			if scripted.CPU <= 0 || scripted.UsedMemory < plain.UsedMemory+1<<17 {
				t.Errorf("CPU %v, %d bytes after %d", scripted.CPU, scripted.UsedMemory, plain.UsedMemory)
			}
		})
	}
}

func TestRedis_WithoutCountersIsAnError(t *testing.T) {
	for _, info := range []string{"", "used_memory:x\n", "used_memory:1\nused_cpu_sys:1\n", "used_memory:1\nused_cpu_sys:1\nused_cpu_user:1\ncmdstat_get:calls=many\n"} {
		if c, err := parseInfo(info); err == nil {
			t.Errorf("%q: %+v", info, c)
		}
	}
	if _, err := OpenRedis("http://user:secret@x"); err == nil || err.Error() != "--redis-url: it is no redis://[USER:PASSWORD@]HOST:PORT/DB" {
		t.Error(err)
	}
}
