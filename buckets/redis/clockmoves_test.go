package redis_test

import (
	"fmt"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/redis"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// The clock of the server's host goes forward or back, as when a failover meets another
// clock, or somebody sets it: forward it is worth what refills in that time, at most a
// bucket, once; back nobody is admitted early, and nobody is locked out for longer than
// the bucket takes to fill, a window to end, a slot to expire.
func TestChaos_TheClockMoves(t *testing.T) {
	const limit = 100
	token, err := buckets.NewTokenBucket(10, time.Second, limit)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []struct {
		name   string
		bucket buckets.Bucket
		heals  time.Duration // within this all is there again
		worth  func(moved time.Duration) int64
	}{
		{"token", token, 10 * time.Second, func(d time.Duration) int64 { return min(limit, int64(10*d/time.Second)) }},
		{"fixed", buckets.FixedWindow{Limit: limit, Calendar: buckets.Calendar{Unit: buckets.CalendarMinute}}, time.Minute, whenOver(30*time.Second, limit)},
		{"sliding", buckets.SlidingWindow{Limit: limit, Window: minute, Parts: 60}, time.Minute + time.Second, whenOver(time.Minute, limit)},
		{"slots", buckets.Slots{Count: limit, TTL: minute}, time.Minute, whenOver(time.Minute, limit)},
	} {
		for _, moved := range []time.Duration{2 * time.Second, time.Hour, -2 * time.Second, -time.Hour} {
			t.Run(fmt.Sprintf("%s by %v", b.name, moved), func(t *testing.T) {
				onServers(t, func(t *testing.T, s *redis.Store, _ *goredis.Client) {
					now := 1000*minute + 30_000_000
					s.SetNow(func() int64 { return now })
					s.SetLocalClock(func() int64 { return now })
					leases := 0
					takes := func() (admitted int64) {
						for range 2 * limit {
							leases++
							o, err := s.Take(t.Context(), []buckets.Charge{{Key: "{moves}1", Bucket: b.bucket, Cost: 1, Lease: fmt.Sprint(leases)}})
							if err != nil {
								t.Fatal(err)
							}
							if o[0].Admitted {
								admitted++
							}
						}
						return admitted
					}
					if n := takes(); n != limit {
						t.Fatalf("%d were admitted before", n)
					}
					now += moved.Microseconds()
					after, bound := takes(), int64(0)
					if moved > 0 {
						bound = b.worth(moved)
					}
					if after > bound {
						t.Errorf("%d were admitted after the clock moved, want at most %d", after, bound)
					}
					partstest.Chaos(t, fmt.Sprintf("the clock of Redis moves by %v", moved), b.name, limit+after, limit+bound, 0, 0)
					heals := b.heals
					if b.name == "slots" { // they live for their time by the clock that they were taken by
						heals += max(0, -moved)
					}
					now += heals.Microseconds()
					if n := takes(); n != limit {
						t.Errorf("%d were admitted %v later, want %d", n, heals, limit)
					}
				})
			})
		}
	}
}

// whenOver is worth all if the clock moves so far that what was taken is over.
func whenOver(left time.Duration, all int64) func(time.Duration) int64 {
	return func(moved time.Duration) int64 {
		if moved < left {
			return 0
		}
		return all
	}
}
