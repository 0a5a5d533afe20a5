package redis_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/redis"
)

// tenAMinute is a window of which a minute begins at each full minute.
var tenAMinute = buckets.FixedWindow{Limit: 10, Calendar: buckets.Calendar{Unit: buckets.CalendarMinute}}

const minute = int64(60_000_000)

// calls is how many scripts the server has run.
func calls(t *testing.T, admin *goredis.Client) (n int) {
	t.Helper()
	for line := range strings.Lines(admin.Info(t.Context(), "commandstats").Val()) {
		for _, verb := range []string{"eval", "evalsha"} {
			var made, rejected, failed int
			if rest, ok := strings.CutPrefix(line, "cmdstat_"+verb+":"); ok {
				_, _ = fmt.Sscanf(rest, "calls=%d", &made)
				_, _ = fmt.Sscanf(rest[strings.Index(rest, "rejected_calls="):], "rejected_calls=%d,failed_calls=%d", &rejected, &failed)
				n += made - failed // NOSCRIPT fails
			}
		}
	}
	return n
}

// TestWindowIsTheServers: the server's clock says which window a request is in. A
// replica whose own clock is an hour off calls twice once, and one at a boundary,
// whose guess is behind by the time that calls take, not at all.
func TestWindowIsTheServers(t *testing.T) {
	onServers(t, func(t *testing.T, s *redis.Store, admin *goredis.Client) {
		local, server := int64(1000)*minute, 940*minute+59_000_000
		s.SetNow(func() int64 { return server })
		s.SetLocalClock(func() int64 { return local })
		charges := []buckets.Charge{{Key: "{w}1", Bucket: tenAMinute, Cost: 1}}
		for step, want := range []struct {
			elapsed, behind int64 // microseconds; behind is what the call is under way
			calls           int
			used            int64
		}{
			{0, 0, 2, 1},                        // the local clock is an hour ahead
			{1000, 0, 1, 2},                     // not any more
			{998_999, 0, 1, 3},                  // the last microsecond of the window
			{0, 1, 1, 1},                        // guessed in the window before, judged in the next
			{10_000, 0, 1, 2},                   //
			{minute - 1_100_000, 999_999, 1, 3}, // still in it
			{0, 500_000, 1, 1},                  // another boundary, half a second late
			{0, 2 * minute, 2, 1},               // the server's clock leaps,
			{0, -3 * minute, 2, 2},              // and back: what is counted moves along
			{0, 0, 1, 3},
		} {
			local, server = local+want.elapsed, server+want.elapsed+want.behind
			before := calls(t, admin)
			o, err := s.Take(t.Context(), charges)
			if err != nil || o[0].Used != want.used || o[0].Now != server {
				t.Fatalf("step %d: %+v, %v, want %d used at %d", step, o, err, want.used, server)
			}
			if end := (server/minute + 1) * minute; o[0].Reset != time.Duration(end-server)*time.Microsecond {
				t.Errorf("step %d: resets in %v, want the end of the window, %d us later", step, o[0].Reset, end-server)
			}
			if got := calls(t, admin) - before; got != want.calls {
				t.Errorf("step %d: %d calls, want %d", step, got, want.calls)
			}
		}
	})
}

// TestStaleWindowChangesNothing: a call that is made again was not made, of no
// charge of it; one whose windows are never right is an error.
func TestStaleWindowChangesNothing(t *testing.T) {
	onServers(t, func(t *testing.T, s *redis.Store, admin *goredis.Client) {
		charges := []buckets.Charge{
			{Key: "{w}1", Bucket: tenPerSecond(t), Cost: 1},
			{Key: "{w}2", Bucket: tenAMinute, Cost: 1},
			{Key: "{w}1", Bucket: tenPerSecond(t), Cost: 100, Mode: buckets.Settle},
		}
		server, asked := int64(1000)*minute, 0
		s.SetLocalClock(func() int64 { return server })
		s.SetNow(func() int64 { asked++; server += 5 * minute; return server })
		o, err := s.Take(t.Context(), charges)
		if err == nil || !strings.Contains(err.Error(), "clock") || asked != 3 {
			t.Errorf("%+v, %v after %d calls, want an error about the clock after 3", o, err, asked)
		}
		if keys := admin.Keys(t.Context(), "*").Val(); len(keys) != 0 {
			t.Errorf("%q were written", keys)
		}
	})
}
