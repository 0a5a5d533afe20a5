package redis_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/guard"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/redis"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// guarded is a store as weir asks it.
func guarded(tb testing.TB, s *redis.Store) buckets.Store {
	g := guard.New(guard.Options{Store: s, Local: memory.New(memory.Options{}), Timeout: 5 * time.Second, Observe: func(_ context.Context, _ time.Duration, err error) {
		if err != nil {
			tb.Error(err)
		}
	}})
	tb.Cleanup(g.Close)
	return guard.NewDenyCache(guard.DenyCacheOptions{Store: g})
}

// tokensUsed are those of a bucket that refills next to nothing: what a refund left
// with the bucket, because it had refilled meanwhile, is far less than half of one.
func tokensUsed(t *testing.T, s buckets.Store, c buckets.Charge) int64 {
	t.Helper()
	c.Mode, c.Cost = buckets.Look, 1
	o, err := s.Take(t.Context(), []buckets.Charge{c})
	if err != nil {
		t.Fatal(err)
	}
	return (o[0].Used + c.Bucket.Unit()/2) / c.Bucket.Unit()
}

// Users with limits of their own draw from one pool, all in slots of their own, by two
// replicas at the same time. Each bucket admits what it has at most; when all is
// answered it has lost what was admitted, to the token, and alone nobody is refused.
func TestOnAClusterRequestsOverSlotsHoldEveryBound(t *testing.T) {
	for _, part := range servers {
		t.Run(part.String(), func(t *testing.T) {
			nodes := partstest.Cluster(t, part, 3, 0)
			for _, behind := range []bool{false, true} {
				boundsHold(t, clusterURL(nodes), behind)
			}
		})
	}
}

func boundsHold(t *testing.T, url string, behindGuard bool) {
	const users, perUser, callers, each = 30, 10, 64, 60
	direct := []*redis.Store{open(t, url), open(t, url)}
	stores := []buckets.Store{direct[0], direct[1]}
	if behindGuard {
		stores = []buckets.Store{guarded(t, direct[0]), guarded(t, direct[1])}
	}
	mine, err := buckets.NewTokenBucket(1, 24*time.Hour, perUser)
	if err != nil {
		t.Fatal(err)
	}
	pool := buckets.Charge{Key: fmt.Sprintf("{pool %v}", behindGuard), Limit: "pool", Bucket: slow(t), Cost: 1}
	user := func(i int) buckets.Charge {
		return buckets.Charge{Key: fmt.Sprintf("{user %d %v}", i, behindGuard), Limit: "user", Bucket: mine, Cost: 1}
	}
	var admitted [users]atomic.Int64
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			for n := range each {
				i := (caller*7 + n) % users
				o, err := stores[caller%2].Take(t.Context(), []buckets.Charge{user(i), pool})
				if err != nil {
					t.Error(err)
					return
				}
				if o[0].Admitted && o[1].Admitted {
					admitted[i].Add(1)
				}
			}
		})
	}
	all.Wait()
	time.Sleep(300 * time.Millisecond) // what is given back is under way
	sum := int64(0)
	for i := range users {
		n := admitted[i].Load()
		sum += n
		if used := tokensUsed(t, direct[0], user(i)); n > perUser || used != n {
			t.Errorf("behind a guard %v: user %d: %d were admitted of %d, and %d are used", behindGuard, i, n, perUser, used)
		}
	}
	if used := tokensUsed(t, direct[0], pool); sum > 100 || used != sum {
		t.Errorf("behind a guard %v: %d were admitted of the pool's 100, and %d are used", behindGuard, sum, used)
	}
	for i := range users { // alone nobody is refused what is there
		for admitted[i].Load() < perUser && sum < 100 {
			o, err := direct[0].Take(t.Context(), []buckets.Charge{user(i), pool})
			if delay := max(o[0].Delay, o[1].Delay); err == nil && delay > 0 && delay < time.Minute { // what a refund left there
				time.Sleep(delay)
				continue
			}
			if err != nil || !o[0].Admitted || !o[1].Admitted {
				t.Fatalf("%+v, %v: refused with %d admitted of the pool, %d of the user", o, err, sum, admitted[i].Load())
			}
			admitted[i].Add(1)
			sum++
		}
	}
	if sum != 100 {
		t.Errorf("%d were admitted in all, want 100", sum)
	}
}

// With nobody else a request over slots is all or nothing: when it was refused, every
// bucket is as before, of whatever kind.
func TestOnAClusterARefusedRequestLeavesAllSlotsAsTheyWere(t *testing.T) {
	nodes := partstest.Cluster(t, parts.RedisServer, 3, 0)
	s := open(t, clusterURL(nodes))
	pool, classes, err := buckets.NewPool(buckets.Terms{Tokens: 20, Period: 24 * time.Hour, Capacity: 20},
		[]buckets.ClassTerms{{Guarantee: 5, Period: 24 * time.Hour, Reserve: 5, Borrow: true}, {Guarantee: 5, Period: 24 * time.Hour, Reserve: 5}})
	if err != nil {
		t.Fatal(err)
	}
	kinds := []buckets.Bucket{
		slow(t),
		buckets.FixedWindow{Limit: 9, Calendar: buckets.Calendar{Length: 24 * time.Hour}},
		buckets.SlidingWindow{Limit: 9, Window: 1 << 40, Parts: 6},
		buckets.Slots{Count: 9, TTL: 1 << 40},
		pool,
	}
	for full := range kinds {
		var charges, looks []buckets.Charge
		for i, b := range kinds {
			c := buckets.Charge{Key: fmt.Sprintf("{%d,%d}", full, i), Limit: "l", Bucket: b, Cost: 2, Lease: fmt.Sprint(i)}
			if i == len(kinds)-1 {
				c.Class, c.ClassKey = &classes[0], c.Key+"/class"
			}
			look := c
			look.Mode, look.Role, look.Lease = buckets.Look, buckets.Shadow, "another"
			charges, looks = append(charges, c), append(looks, look)
		}
		levels := func() (levels []int64) {
			o, err := s.Take(t.Context(), looks)
			if err != nil {
				t.Fatal(err)
			}
			for i := range o {
				levels = append(levels, o[i].Used, o[i].ClassUsed)
			}
			return levels
		}
		if o, err := s.Take(t.Context(), charges); err != nil || !o[0].Admitted {
			t.Fatal(o, err)
		}
		before, begun := levels(), time.Now()
		for i := range charges {
			charges[i].Lease = "refused"
		}
		charges[full].Cost = 1000
		o, err := s.Take(t.Context(), charges)
		if err != nil || o[full].Admitted {
			t.Fatalf("%+v, %v", o, err)
		}
		after := levels()
		for i := range before {
			if i%2 == 1 { // a class gets back no more than its pool does
				before[i] += time.Since(begun).Microseconds() * pool.TicksPerQuantum / pool.Quantum
			}
			if told := o[i/2].Used; after[i] > before[i] || i%2 == 0 && told > before[i] {
				t.Errorf("%T refuses: of %T %d was used, is told as %d, and is %d", kinds[full], kinds[i/2], before[i], told, after[i])
			}
		}
	}
}

// What a second slot costs, beside as many buckets in one.
func BenchmarkSlots(b *testing.B) {
	nodes := partstest.Cluster(b, parts.RedisServer, 3, 0)
	s := open(b, clusterURL(nodes))
	for _, callers := range []int{1, 64} {
		for _, tags := range [][2]string{{"user", "user"}, {"user", "pool"}} {
			b.Run(fmt.Sprintf("callers=%d/%s+%s", callers, tags[0], tags[1]), func(b *testing.B) {
				var next atomic.Int64
				var all sync.WaitGroup
				wide := buckets.TokenBucket{Capacity: 1_000_000, TicksPerToken: 1, TicksPerQuantum: 1, Quantum: 1}
				for range callers {
					all.Go(func() {
						for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
							charges := []buckets.Charge{
								{Key: fmt.Sprintf("{%s %d}a", tags[0], n%1000), Limit: "l", Bucket: wide, Cost: 1},
								{Key: fmt.Sprintf("{%s %d}b", tags[1], n%1000), Limit: "l", Bucket: wide, Cost: 1},
							}
							if _, err := s.Take(b.Context(), charges); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				all.Wait()
			})
		}
	}
}
