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

// example is one bucket of a kind, and what is kept of it after one charge.
type example struct {
	name   string
	charge buckets.Charge
	format byte
	most   int           // bytes that a value with nothing older in it has
	lives  time.Duration // how long the key matters then
}

func examples(t *testing.T) []example {
	t.Helper()
	marked := tenPerSecond(t)
	marked.Missing = marked.Full()
	return []example{
		{"token bucket", buckets.Charge{Bucket: tenPerSecond(t), Cost: 5}, 6, 41, 500 * time.Millisecond},
		{"initial empty", buckets.Charge{Bucket: marked, Cost: 5}, 6, 41, 10*time.Second + time.Hour},
		{"fixed window", buckets.Charge{Bucket: tenAMinute, Cost: 1}, 2, 44, 59 * time.Second},
		{"sliding window", buckets.Charge{Bucket: buckets.SlidingWindow{Limit: 10, Window: 60_000_000, Parts: 60}, Cost: 1}, 3, 44, 60 * time.Second},
		{"breaker", buckets.Charge{Bucket: buckets.Breaker{Failures: 5, OpenFor: 1, Probes: 1, ProbeTTL: 1}, Cost: 1, Mode: buckets.Settle}, 4, 44, time.Hour},
		{"open breaker", buckets.Charge{Bucket: buckets.Breaker{Failures: 1, OpenFor: 60_000_000, Probes: 1, ProbeTTL: 1}, Cost: 1, Mode: buckets.Settle}, 4, 44, time.Minute + time.Hour},
		{"slots", buckets.Charge{Bucket: buckets.Slots{Count: 3, TTL: 60_000_000}, Cost: 1, Lease: "a"}, 0, 0, 60 * time.Second},
	}
}

// TestEachKindIsKeptAsLongAsItMatters: a few seconds longer, not for ever, and what is
// kept of a bucket says how it is written.
func TestEachKindIsKeptAsLongAsItMatters(t *testing.T) {
	onServers(t, func(t *testing.T, s *redis.Store, admin *goredis.Client) {
		for _, e := range examples(t) {
			e.charge.Key = "{k}" + e.name
			spare := time.Second
			if e.format == 6 { // the grid of tokenlevel.lua
				spare += 4 * time.Second
			}
			if e.name == "fixed window" { // a second after the window began
				s.SetNow(func() int64 { return 1000*minute + 1_000_000 })
				spare += time.Hour // see prelude.lua
			}
			if _, err := s.Take(t.Context(), []buckets.Charge{e.charge}); err != nil {
				t.Fatal(e.name, err)
			}
			s.SetNow(nil)
			lives := admin.PTTL(t.Context(), e.charge.Key).Val()
			if lives > e.lives+spare+2*time.Second || lives < e.lives {
				t.Errorf("%s is kept for %v, want %v and a second or two", e.name, lives, e.lives)
			}
			if e.format == 0 {
				continue
			}
			value := admin.Get(t.Context(), e.charge.Key).Val()
			if value[0] != e.format || len(value) > e.most {
				t.Errorf("%s is %d bytes of format %d, want at most %d of %d", e.name, len(value), value[0], e.most, e.format)
			}
			if encoding := admin.ObjectEncoding(t.Context(), e.charge.Key).Val(); encoding != "embstr" {
				t.Errorf("%s is stored as %s, want embstr", e.name, encoding)
			}
		}
	})
}

// TestNoKindReadsAnothersValue: what was written as another kind, by a newer
// version or by another program is an error, and stays as it is.
func TestNoKindReadsAnothersValue(t *testing.T) {
	onServers(t, func(t *testing.T, s *redis.Store, admin *goredis.Client) {
		good := buckets.Charge{Key: "{k}good", Bucket: tenPerSecond(t), Cost: 1}
		for _, e := range examples(t) {
			e.charge.Key = "{k}odd"
			for _, value := range []string{"", "hello", "\x09" + strings.Repeat("x", 40), string(rune(e.format)) + "short"} {
				admin.Set(t.Context(), "{k}odd", value, 0)
				for _, charges := range [][]buckets.Charge{{e.charge}, {good, e.charge}} {
					o, err := s.Take(t.Context(), charges)
					if e.format == 0 {
						if !goredis.HasErrorPrefix(errors.Unwrap(err), "WRONGTYPE") {
							t.Errorf("%s on %q: %+v, %v, want WRONGTYPE", e.name, value, o, err)
						}
					} else if !errors.Is(err, redis.ErrFormat) || !strings.HasSuffix(err.Error(), `"{k}odd"`) {
						t.Errorf("%s on %q: %+v, %v, want ErrFormat with the key", e.name, value, o, err)
					}
				}
				if got := admin.Get(t.Context(), "{k}odd").Val(); got != value {
					t.Errorf("%s overwrote %q with %q", e.name, value, got)
				}
			}
			admin.Del(t.Context(), "{k}odd")
			admin.ZAdd(t.Context(), "{k}odd", goredis.Z{Score: 1, Member: "another program's"})
			if o, err := s.Take(t.Context(), []buckets.Charge{e.charge}); err == nil {
				t.Errorf("%s took another program's sorted set for its own: %+v", e.name, o)
			}
			admin.Del(t.Context(), "{k}odd")
		}
		if n := admin.Exists(t.Context(), good.Key).Val(); n != 0 {
			t.Error("the good bucket beside one that cannot be read was charged")
		}
	})
}

// TestManySlotsExpireAtOnce: Lua's unpack() takes about 8000 values, and a bucket
// may hold more leases than that.
func TestManySlotsExpireAtOnce(t *testing.T) {
	onServers(t, func(t *testing.T, s *redis.Store, admin *goredis.Client) {
		const many = 9001
		now := int64(1_800_000_000_000_000)
		s.SetNow(func() int64 { return now })
		members := []goredis.Z{{Score: -2 * many, Member: "\x05"}}
		for i := range many {
			lease := strings.Repeat("x", i%60) + string(rune('A'+i%26)) + string(rune(0x4e00+i))
			members = append(members, goredis.Z{Score: float64(now - 1), Member: "l" + lease}, goredis.Z{Score: -2, Member: "w" + lease})
		}
		for len(members) > 0 {
			n := min(1000, len(members))
			if err := admin.ZAdd(t.Context(), "{k}slots", members[:n]...).Err(); err != nil {
				t.Fatal(err)
			}
			members = members[n:]
		}
		charge := buckets.Charge{Key: "{k}slots", Bucket: buckets.Slots{Count: 20_000, TTL: 1000}, Cost: 20_000, Lease: "new"}
		o, err := s.Take(t.Context(), []buckets.Charge{charge})
		if err != nil || !o[0].Admitted || o[0].Used != 20_000 {
			t.Fatalf("%+v, %v", o, err)
		}
		if n := admin.ZCard(t.Context(), charge.Key).Val(); n != 3 {
			t.Errorf("%d members are left, want the sum, one lease and its slots", n)
		}
		charge.Mode = buckets.Refund
		if _, err := s.Take(t.Context(), []buckets.Charge{charge}); err != nil {
			t.Fatal(err)
		}
		if n := admin.Exists(t.Context(), charge.Key).Val(); n != 0 {
			t.Error("a bucket of which nothing is held is still stored")
		}
	})
}

// TestChargesThatCannotBeSent are errors of the caller, before anything is sent.
func TestChargesThatCannotBeSent(t *testing.T) {
	s := open(t, "redis://127.0.0.1:1")
	slots := buckets.Slots{Count: 1, TTL: 1}
	for name, c := range map[string]buckets.Charge{
		"no known kind":    {Key: "{k}"},
		"another kind":     {Key: "{k}", Bucket: tenPerSecond(t), ClassKey: "{k}c", Class: &buckets.Class{Guarantee: slots}},
		"lease of 65 byte": {Key: "{k}", Bucket: slots, Lease: strings.Repeat("x", 65)},
	} {
		if _, err := s.Take(t.Context(), []buckets.Charge{c}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want an error about %s", err, name)
		}
	}
}

// FuzzReply: an answer that is none is an error, whatever it says.
func FuzzReply(f *testing.F) {
	f.Add([]byte{0, 1, 5, 0, 0, 0}, uint8(1))
	f.Add([]byte{0}, uint8(1))
	f.Add([]byte{0, 9, 5, 0, 0, 0}, uint8(1))
	f.Add([]byte{}, uint8(3))
	f.Fuzz(func(t *testing.T, numbers []byte, n uint8) {
		all := []buckets.Bucket{
			buckets.TokenBucket{},
			buckets.FixedWindow{Limit: 1},
			buckets.SlidingWindow{Window: 1, Parts: 1},
			buckets.Slots{Count: 1},
			buckets.Breaker{Failures: 1},
		}
		charges := make([]buckets.Charge, 1+n%buckets.MaxCharges)
		for i := range charges {
			charges[i] = buckets.Charge{Bucket: all[i%len(all)], Mode: buckets.Mode(i % 5), Cost: 1}
		}
		reply := make([]int64, len(numbers))
		for i, b := range numbers {
			reply[i] = (int64(b) - 128) << (b % 64)
		}
		if i := 1; len(reply) > i {
			reply[i] = int64(numbers[i])
		}
		o, err := redis.Outcomes(charges, reply)
		if (err == nil) != (len(o) == len(charges)) || err == nil && len(reply) != 1+5*len(charges) {
			t.Errorf("%d numbers for %d charges: %d outcomes, %v", len(reply), len(charges), len(o), err)
		}
	})
}
