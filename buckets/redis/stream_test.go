package redis_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-rls/weir/buckets/redis"
)

// A stream that nobody reads must not fill the server's memory.
func TestAStreamKeepsItsLatestEntries(t *testing.T) {
	onServers(t, func(t *testing.T, s *redis.Store, admin *goredis.Client) {
		fields := map[string]string{"kind": "limit_hit", "text": "\x00\xff 您"}
		for i := range 12_000 {
			fields["n"] = fmt.Sprint(i)
			if err := s.Append(t.Context(), "events", fields); err != nil {
				t.Fatal(err)
			}
		}
		if n := admin.XLen(t.Context(), "events").Val(); n < 10_000 || n > 10_200 {
			t.Errorf("%d entries are kept, want about 10,000", n)
		}
		last := admin.XRevRangeN(t.Context(), "events", "+", "-", 1).Val()[0].Values
		got := map[string]string{}
		for name, value := range last {
			got[name] = value.(string)
		}
		if !maps.Equal(got, fields) {
			t.Errorf("the last entry is %q, want %q", got, fields)
		}
		admin.Set(t.Context(), "text", "x", 0)
		if err := s.Append(t.Context(), "text", fields); err == nil || !strings.Contains(err.Error(), "the stream text") {
			t.Errorf("%v, want an error that names the stream", err)
		}
	})
}
