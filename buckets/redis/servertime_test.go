package redis_test

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// BenchmarkServerTime tells how long one call keeps the server busy, by kind:
// script-us is what the server says of the script alone, cpu-us is all of its
// processor time, with the network.
func BenchmarkServerTime(b *testing.B) {
	for _, part := range servers {
		server := partstest.Redis(b, part)
		admin, store := partstest.Admin(b, server), open(b, server.URL)
		for _, load := range loads(b) {
			b.Run(part.String()+"/"+load.name, func(b *testing.B) {
				admin.FlushAll(b.Context())
				now := time.Now().UnixMicro()
				store.SetNow(nil)
				if load.step > 0 {
					store.SetNow(func() int64 { now += load.step; return now })
				}
				call := func(i int) {
					if _, err := store.Take(b.Context(), load.charges(i)); err != nil {
						b.Fatal(err)
					}
				}
				for i := range warmUp {
					call(i)
				}
				if load.then != nil {
					store.SetNow(func() int64 { return now })
					load.charges = load.then
				}
				admin.ConfigResetStat(b.Context())
				before, n := processorTime(b, admin), warmUp
				for b.Loop() {
					call(n)
					n++
				}
				b.ReportMetric((processorTime(b, admin)-before)/float64(n-warmUp)*1e6, "cpu-us")
				b.ReportMetric(info(b, admin, "commandstats", `cmdstat_evalsha:.*usec_per_call=([\d.]+)`), "script-us")
			})
		}
	}
}

const warmUp = 1000

// load is what a benchmark asks again and again.
type load struct {
	name    string
	charges func(i int) []buckets.Charge
	step    int64                        // microseconds between calls on the clock that judges; 0 is the server's clock
	then    func(i int) []buckets.Charge // what is asked after the warm-up, while the clock stands still; nil: the same
}

func loads(b *testing.B) []load {
	charge := func(key string, bucket buckets.Bucket) buckets.Charge {
		return buckets.Charge{Key: "{b}" + key, Limit: "bench", Bucket: bucket, Cost: 1}
	}
	rate := func(tokens int64) buckets.TokenBucket {
		bucket, err := buckets.NewTokenBucket(tokens, time.Second, 1_000_000)
		if err != nil {
			b.Fatal(err)
		}
		return bucket
	}
	pool, classes, err := buckets.NewPool(buckets.Terms{Tokens: 1_000_000, Period: time.Second, Capacity: 1_000_000},
		[]buckets.ClassTerms{{Guarantee: 500_000, Period: time.Second, Reserve: 500_000, Borrow: true}})
	if err != nil {
		b.Fatal(err)
	}
	day := buckets.FixedWindow{Limit: 1 << 40, Calendar: buckets.Calendar{Unit: buckets.CalendarDay}}
	window := buckets.SlidingWindow{Limit: 1 << 40, Window: 60_000_000, Parts: 60}
	exhausted, err := buckets.NewTokenBucket(1, 24*time.Hour, 10)
	if err != nil {
		b.Fatal(err)
	}
	tooMuch := charge("s", window) // so that all sub-windows would have to leave
	tooMuch.Cost = window.Limit
	slots := buckets.Slots{Count: 100, TTL: 600_000_000}
	breaker := buckets.Breaker{Failures: 5, OpenFor: 1_000_000, Probes: 1, ProbeTTL: 1_000_000}
	always := func(charges ...buckets.Charge) func(int) []buckets.Charge {
		return func(int) []buckets.Charge { return charges }
	}
	pooled := charge("pool", pool)
	pooled.Class, pooled.ClassKey = &classes[0], "{b}class"
	// 50 are in flight: each other call gives back the lease of 50 takes before.
	inFlight := func(i int) []buckets.Charge {
		c := charge("slots", slots)
		if c.Lease = fmt.Sprintf("%032d", i); i >= 100 && i%2 == 1 {
			c.Mode, c.Lease = buckets.Refund, fmt.Sprintf("%032d", i-101)
		}
		return []buckets.Charge{c}
	}
	return []load{
		{name: "token-bucket", charges: always(charge("t", rate(1e6)))},
		{name: "token-bucket-refused", charges: always(charge("r", exhausted))},
		{name: "token-bucket-4", charges: always(charge("t", rate(1e6)), charge("u", rate(1e6)), charge("v", rate(1e6)), charge("w", rate(1e6)))},
		{name: "fixed-window", charges: always(charge("f", day))},
		{name: "sliding-window", charges: always(charge("s", window))},
		{name: "sliding-window-60-parts", charges: always(charge("s", window)), step: 100_000},
		{name: "sliding-window-60-parts-refused", charges: always(charge("s", window)), step: 100_000, then: always(tooMuch)},
		{name: "slots", charges: inFlight},
		{name: "breaker", charges: always(charge("breaker", breaker))},
		{name: "pool-class", charges: always(pooled)},
		{name: "mixed-4", charges: always(charge("t", rate(1e6)), charge("f", day), charge("s", window), pooled)},
	}
}

func processorTime(b *testing.B, admin *goredis.Client) float64 {
	return info(b, admin, "cpu", `used_cpu_user:([\d.]+)`) + info(b, admin, "cpu", `used_cpu_sys:([\d.]+)`)
}

func info(b *testing.B, admin *goredis.Client, section, pattern string) float64 {
	b.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(admin.Info(b.Context(), section).Val())
	if found == nil {
		b.Fatalf("no %s in INFO %s", pattern, section)
	}
	value, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		b.Fatal(err)
	}
	return value
}
