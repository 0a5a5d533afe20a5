package redis_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/redis"
	"github.com/weir-rls/weir/buckets/storetest"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// crowd draws requests of few buckets, so that those of one batch meet.
type crowd struct {
	random *rand.Rand
	plain  bool // takes from token buckets alone
	prefix string
	of     []buckets.Charge // one for each bucket
}

func newCrowd(t *testing.T, seed uint64, plain bool) *crowd {
	c := &crowd{random: rand.New(rand.NewPCG(seed, 9)), plain: plain, prefix: fmt.Sprintf("{%d}", seed)}
	bucket := func(tokens, capacity, missing, debt int64) buckets.Bucket {
		b, err := buckets.Terms{Tokens: tokens, Period: time.Second, Capacity: capacity, Missing: missing, MaxDebt: debt}.TokenBucket()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	pool, classes, err := buckets.NewPool(buckets.Terms{Tokens: 20, Period: time.Second, Capacity: 20},
		[]buckets.ClassTerms{{Guarantee: 5, Period: time.Second, Reserve: 5, Borrow: true}, {Guarantee: 5, Period: time.Second, Reserve: 5}})
	if err != nil {
		t.Fatal(err)
	}
	kinds := []buckets.Bucket{bucket(7, 5, 0, 3), bucket(10, 20, 0, 0), bucket(3, 9, 9, 0), bucket(1<<30, 1<<21, 0, 0), buckets.TokenBucket{}}
	if !plain {
		kinds = append(kinds, tenAMinute, buckets.SlidingWindow{Limit: 10, Window: 3_000_000, Parts: 6},
			buckets.Slots{Count: 4, TTL: 2_000_000}, buckets.Breaker{Failures: 2, OpenFor: 1_000_000, Probes: 1, ProbeTTL: 500_000})
		for i := range classes {
			c.of = append(c.of, buckets.Charge{Key: c.prefix + "pool", Bucket: pool, Class: &classes[i], ClassKey: fmt.Sprint(c.prefix, "pool/", i)})
		}
	}
	for i, b := range kinds {
		c.of = append(c.of, buckets.Charge{Key: fmt.Sprint(c.prefix, i), Bucket: b})
	}
	if plain { // other calls may overtake one whose script the server does not know yet
		c.of = append(c.of, buckets.Charge{Key: c.prefix + "0", Bucket: bucket(14, 10, 0, 0)}) // of rules that changed meanwhile
	}
	return c
}

func (c *crowd) request() []buckets.Charge {
	charges := make([]buckets.Charge, 1+c.random.IntN(4))
	for i := range charges {
		charges[i] = c.of[c.random.IntN(len(c.of))]
		charge := &charges[i]
		for _, before := range charges[:i] { // one request is of one version of the rules
			if before.Key == charge.Key {
				charge.Bucket = before.Bucket
			}
		}
		charge.Limit, charge.Cost = "l", c.random.Int64N(8)
		if c.random.IntN(20) == 0 {
			charge.Cost = 1 << 40
		}
		if c.plain {
			continue
		}
		if i == 0 { // else tokens.lua may judge the request, before or after those of judge.lua
			charges[0].Mode = buckets.Look
			continue
		}
		charge.Mode = []buckets.Mode{buckets.Take, buckets.Take, buckets.Take, buckets.Look, buckets.Refund, buckets.Settle}[c.random.IntN(6)]
		charge.Role = []buckets.Role{buckets.Enforce, buckets.Enforce, buckets.Enforce, buckets.Shadow, buckets.Quota}[c.random.IntN(5)]
		switch charge.Bucket.(type) {
		case buckets.Slots:
			charge.Lease = fmt.Sprint("lease", c.random.IntN(6))
		case buckets.Breaker:
			charge.Cost, charge.Lease = c.random.Int64N(2), fmt.Sprint("probe", c.random.IntN(3))
		}
	}
	return charges
}

// However many requests travel in one call, each is told what it would have been
// told alone, behind those before it: by a store in memory, which is held to the
// model elsewhere.
func TestABatchIsJudgedAsItsRequestsOneAfterAnother(t *testing.T) {
	onServers(t, func(t *testing.T, s *redis.Store, _ *goredis.Client) {
		known := buckets.Charge{Key: "{known}", Bucket: tenPerSecond(t), Cost: 1}
		for _, charges := range [][]buckets.Charge{{known}, {known, known}} { // so that the server knows the scripts of plain requests
			if _, err := s.Take(t.Context(), charges); err != nil {
				t.Fatal(err)
			}
		}
		for seed := range uint64(200) {
			clock := storetest.NewClock()
			s.SetNow(clock.Micros)
			reference, c := memory.New(memory.Options{Now: clock.Now}), newCrowd(t, seed, seed%2 == 0)
			for range 12 {
				batch := make([][]buckets.Charge, 1+c.random.IntN(24))
				for i := range batch {
					batch[i] = c.request()
				}
				got, errs := s.TakeTogether(t.Context(), batch)
				for i, charges := range batch {
					want, err := reference.Take(t.Context(), charges)
					if err != nil || errs[i] != nil {
						t.Fatalf("seed %d: request %d: %v, %v", seed, i, errs[i], err)
					}
					for j := range want {
						if got[i][j] != want[j] {
							t.Fatalf("seed %d: charge %d of request %d of %d, %+v\nis told %+v\n   want %+v", seed, j, i, len(batch), charges[j], got[i][j], want[j])
						}
					}
				}
				clock.Advance(time.Duration(c.random.Int64N(900_000)) * time.Microsecond)
			}
		}
	})
}

// One bucket that cannot be read fails the requests that ask for it, and no other of
// the same call.
func TestAnUnreadableBucketFailsItsOwnRequestsAlone(t *testing.T) {
	onServers(t, func(t *testing.T, s *redis.Store, admin *goredis.Client) {
		admin.Set(t.Context(), "{m}odd", "hello", 0)
		admin.RPush(t.Context(), "{m}list", "x")
		for _, other := range []buckets.Bucket{tenPerSecond(t), tenAMinute} { // by tokens.lua, and by judge.lua
			charge := func(key string) buckets.Charge {
				return buckets.Charge{Key: "{m}" + key, Bucket: tenPerSecond(t), Cost: 1}
			}
			beside := buckets.Charge{Key: fmt.Sprintf("{m}%T", other), Bucket: other, Cost: 1}
			batch := [][]buckets.Charge{{charge("a")}, {charge("odd"), charge("a")}, {charge("b"), beside}, {charge("list")}, {charge("a")}}
			got, errs := s.TakeTogether(t.Context(), batch)
			for i, charges := range batch {
				bad := i == 1 || i == 3
				if bad != (errs[i] != nil) || !bad && !got[i][len(charges)-1].Admitted {
					t.Errorf("request %d: %+v, %v", i, got[i], errs[i])
				}
			}
			if !errors.Is(errs[1], redis.ErrFormat) || !strings.HasSuffix(errs[1].Error(), `"{m}odd"`) {
				t.Errorf("%v, want ErrFormat with the key", errs[1])
			}
		}
		charge := func(key string) buckets.Charge {
			return buckets.Charge{Key: "{m}" + key, Bucket: tenPerSecond(t), Cost: 1}
		}
		_, errs := s.TakeTogether(t.Context(), [][]buckets.Charge{{charge("list"), charge("c")}, {charge("c")}})
		if errs[0] == nil || errs[1] != nil || admin.Type(t.Context(), "{m}list").Val() != "list" {
			t.Errorf("beside a bucket of another type: %v", errs)
		}
		if used := got(t, s, "{m}a"); used != 4 {
			t.Errorf("%d tokens of the good bucket are used, want the 4 of good requests", used)
		}
	})
}

// got is how many whole tokens of a bucket of ten a second are used, within a few
// milliseconds.
func got(t *testing.T, s *redis.Store, key string) int64 {
	t.Helper()
	b := tenPerSecond(t)
	o, err := s.Take(t.Context(), []buckets.Charge{{Key: key, Bucket: b, Mode: buckets.Look, Cost: 1}})
	if err != nil {
		t.Fatal(err)
	}
	return (o[0].Used + b.Unit() - 1) / b.Unit()
}

// A batch whose answer is lost was judged once: everybody in it gets an error, and
// nothing is sent again.
func TestALostAnswerFailsAllOfABatchOnce(t *testing.T) {
	server := partstest.Redis(t, parts.RedisServer)
	way := partstest.Way(t, server.Addr)
	s := open(t, "redis://"+way.Addr)
	b := slow(t)
	batch := [][]buckets.Charge{}
	for i := range 20 {
		batch = append(batch, []buckets.Charge{{Key: fmt.Sprintf("{%d}", i%2), Bucket: b, Cost: 1}})
	}
	if _, errs := s.TakeTogether(t.Context(), batch); errors.Join(errs...) != nil { // the script is known from now on
		t.Fatal(errs)
	}
	way.LoseNext()
	_, errs := s.TakeTogether(t.Context(), batch)
	for i, err := range errs {
		if err == nil {
			t.Errorf("request %d got an answer that was cut off", i)
		}
	}
	for _, key := range []string{"{0}", "{1}"} {
		o, err := s.Take(t.Context(), []buckets.Charge{{Key: key, Bucket: b, Mode: buckets.Look, Cost: 1}})
		if err != nil || (o[0].Used+b.Unit()-1)/b.Unit() != 20 {
			t.Errorf("%+v, %v: want 20 tokens used, ten by each batch", o, err)
		}
	}
}

// A script call cannot span slots of a cluster: each slot has its call, and a batch
// of several is one pipeline.
func TestABatchHasACallForEachSlot(t *testing.T) {
	onServers(t, func(t *testing.T, s *redis.Store, admin *goredis.Client) {
		var batch [][]buckets.Charge
		for i := range 96 {
			batch = append(batch, []buckets.Charge{{Key: fmt.Sprintf("{tag%d}%d", i%3, i), Bucket: tenPerSecond(t), Cost: 1}})
		}
		for i := range 70 { // more than one call has, of one slot
			batch = append(batch, []buckets.Charge{{Key: fmt.Sprintf("{large}%d", i), Bucket: tenPerSecond(t), Cost: 1}})
		}
		if _, errs := s.TakeTogether(t.Context(), batch); errors.Join(errs...) != nil {
			t.Fatal(errors.Join(errs...))
		}
		before := calls(t, admin)
		if _, errs := s.TakeTogether(t.Context(), batch); errors.Join(errs...) != nil {
			t.Fatal(errors.Join(errs...))
		}
		if made := calls(t, admin) - before; made != 5 {
			t.Errorf("%d calls for three slots and one that needs two, want 5", made)
		}
	})
}

// The slots are those that the server computes.
func TestSlotsAreThoseOfRedisCluster(t *testing.T) {
	server := partstest.Redis(t, parts.RedisServer, "--cluster-enabled", "yes", "--dir", t.TempDir())
	admin := partstest.Admin(t, server)
	for _, key := range []string{"", "a", "123456789", "{bench}x", "x{bench}", "{}a", "{{a}b}", "{a", "a}{b}{c}", "{é}\x00\xff", "{" + strings.Repeat("k", 300) + "}"} {
		want, err := admin.ClusterKeySlot(t.Context(), key).Result()
		if got := redis.SlotOf(key); err != nil || int64(got) != want {
			t.Errorf("%q is in slot %d, want %d (%v)", key, got, want, err)
		}
	}
}

// Who asks at the same moment travels together; who asks alone does not wait for
// company.
func TestCallersAtTheSameMomentShareCalls(t *testing.T) {
	onServers(t, func(t *testing.T, s *redis.Store, admin *goredis.Client) {
		const callers, each = 64, 100
		b := tenPerSecond(t)
		if _, err := s.Take(t.Context(), []buckets.Charge{{Key: "{t}", Bucket: b, Cost: 1}}); err != nil {
			t.Fatal(err)
		}
		before := calls(t, admin)
		var group sync.WaitGroup
		for i := range callers {
			group.Go(func() {
				for j := range each {
					if _, err := s.Take(t.Context(), []buckets.Charge{{Key: fmt.Sprint("{t}", i, j), Bucket: b, Cost: 1}}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		made := calls(t, admin) - before
		if t.Logf("%d calls for %d decisions", made, callers*each); made*100 > callers*each*15 {
			t.Errorf("%d calls for %d decisions, want at most 0.15 each", made, callers*each)
		}
	})
}
