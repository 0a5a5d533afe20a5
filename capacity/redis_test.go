package capacity_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/guard"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/redis"
	"github.com/weir-rls/weir/capacity"
	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// within waits until something holds, or fails the test.
func within(t *testing.T, d time.Duration, what string, holds func() bool) {
	t.Helper()
	deadline, ticker := time.After(d), time.NewTicker(20*time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("not within %v: %s", d, what)
		}
	}
}

// connect is one replica's share of a fleet on a Redis, guarded as in weir; closed
// ends its connections as the end of its process would.
func connect(t *testing.T, server *parts.Redis) (s shared, closed func()) {
	t.Helper()
	store, err := redis.Open(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	guarded := guard.New(guard.Options{
		Store: store, Local: memory.New(memory.Options{}), Timeout: 500 * time.Millisecond, Observe: func(context.Context, time.Duration, error) {},
	})
	return shared{guarded, store.Records("weir:live"), store.Records("weir:sizes"), store}, func() { _ = store.Close() }
}

func onServers(t *testing.T, test func(t *testing.T, server *parts.Redis)) {
	for _, part := range []parts.Part{parts.RedisServer, parts.ValkeyServer} {
		t.Run(part.String(), func(t *testing.T) {
			t.Parallel()
			test(t, partstest.Redis(t, part))
		})
	}
}

// Two replicas count instances that either is told of, one of them computes, both
// have the size. The one that leads is lost, and the other goes on with what it
// had computed; all of it without a key that stays for ever, but for the ledgers.
func TestC13_OneReplicaLeadsAndAnotherTakesOver(t *testing.T) {
	onServers(t, func(t *testing.T, server *parts.Redis) {
		var replicas []*replica
		var closes []func()
		for range 2 {
			s, closed := connect(t, server)
			replicas, closes = append(replicas, start(t, s, rules)), append(closes, closed)
		}
		a, b := replicas[0], replicas[1]
		a.beat(t, "pod-1", 30, time.Minute)
		b.beat(t, "pod-2", 30, time.Minute)
		within(t, 8*time.Second, "60 units on both", func() bool { return a.size(t) == 60 && b.size(t) == 60 })
		leader, other := 0, 1
		if a.led() == "" {
			leader, other = 1, 0
		}
		if led := replicas[other].led(); led != "" {
			t.Errorf("both have led: the second made it %s", led)
		}
		closes[leader]() // nothing of it reaches the store any more, and it gives up nothing
		b, lost := replicas[other], time.Now()
		if err := b.Leave(t.Context(), units, "pod-2"); err != nil {
			t.Fatal(err)
		}
		within(t, 6*time.Second, "the other leads", func() bool { return b.size(t) == 30 })
		t.Logf("the other took over after %v", time.Since(lost))
		if s := b.state(t); s.Source != capacity.Heartbeats || s.Instances != 1 {
			t.Errorf("the state is %+v", s)
		}
		checkLifetimes(t, server)
	})
}

// No key of a controller stays for ever, but the ledgers.
func checkLifetimes(t *testing.T, server *parts.Redis) {
	t.Helper()
	admin := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	defer func() { _ = admin.Close() }()
	lasting := []string{"{weir:sizes}:values", "{weir:sizes}:version"}
	for _, key := range admin.Keys(t.Context(), "*").Val() {
		if admin.TTL(t.Context(), key).Val() <= 0 && !slices.Contains(lasting, key) {
			t.Errorf("%s has no time to live", key)
		}
	}
}

// A leader that is stopped in order leaves the lead to the other at once.
func TestC13_ALeaderThatIsStoppedResigns(t *testing.T) {
	server := partstest.Redis(t, parts.RedisServer)
	first, _ := connect(t, server)
	second, _ := connect(t, server)
	a := start(t, first, rules)
	a.beat(t, "pod-1", 60, time.Minute)
	within(t, 8*time.Second, "60 units", func() bool { return a.size(t) == 60 })
	b := start(t, second, rules)
	a.stop()
	b.beat(t, "pod-1", 40, time.Minute)
	within(t, 2*time.Second, "the other leads, before the lease of the first would have ended", func() bool { return b.size(t) == 40 })
}

// Failures that each replica sees alone are too few to tell; the fleet's are not.
func TestC07_TheFleetCountsFailuresTogether(t *testing.T) {
	onServers(t, func(t *testing.T, server *parts.Redis) {
		var replicas []*replica
		for range 3 {
			s, _ := connect(t, server)
			replicas = append(replicas, start(t, s, rules))
		}
		within(t, 20*time.Second, "half the size, while a third fails", func() bool {
			for i, r := range replicas {
				status := int64(200)
				if i == 0 {
					status = 500
				}
				r.Ended("shop", "units", status) // each 20 ms: some 45 a second of all replicas
			}
			return replicas[0].size(t) == 50 && replicas[1].size(t) == 50 && replicas[2].size(t) == 50
		})
	})
}

// A Redis that is lost leaves the sizes as they are, also when it comes back with
// nothing, and instances that report again are followed again.
func TestC13_TheSizesOutliveTheStore(t *testing.T) {
	server := partstest.Redis(t, parts.RedisServer)
	s, _ := connect(t, server)
	r := start(t, s, rules)
	r.beat(t, "pod-1", 60, time.Minute)
	within(t, 8*time.Second, "60 units", func() bool { return r.size(t) == 60 })
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	within(t, 3*time.Second, "the loss is told", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.failed) > 0
	})
	if err := r.Beat(t.Context(), units, "pod-1", 60, 0); err == nil {
		t.Error("an instance is counted by nobody")
	}
	restored, err := parts.StartRedisAt(partstest.Binary(t, parts.RedisServer), server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = restored.Stop() })
	within(t, 6*time.Second, "what was published is there again", func() bool {
		_, published, err := s.sizes.Read(t.Context())
		return err == nil && len(published) == 1 && r.state(t).Source == capacity.Kept
	})
	if r.size(t) != 60 {
		t.Errorf("after the loss it holds %d", r.size(t))
	}
	r.beat(t, "pod-1", 40, time.Minute)
	within(t, 8*time.Second, "40 units", func() bool { return r.size(t) == 40 })
}

// The stores agree with theorem T1 under resizing: what was used of 400 stays used
// at 10 and at 400 again.
func TestT1_TokensUsedStayUsedInRedisToo(t *testing.T) {
	onServers(t, func(t *testing.T, server *parts.Redis) {
		store, _ := connect(t, server)
		r := start(t, inMemory(t), rules)
		r.stop() // sizes are this test's
		began, taken := time.Now(), int64(0)
		for _, size := range []int64{400, 10, 100, 20, 400} {
			r.source.Resize(map[descriptors.PoolID]int64{units: size})
			for _, api := range []string{"a", "b", "c", "b", "a"} {
				taken += exhaust(t, r, store.store, api)
			}
		}
		// 400 and what has refilled meanwhile, at no more than 40/s.
		if most := 400 + int64(40*time.Since(began).Seconds()) + 1; taken > most || taken < 390 {
			t.Errorf("%d tokens were taken in %v of a pool that never held more than 400", taken, time.Since(began))
		}
	})
}

// exhaust takes for an API until it is refused, and answers the tokens.
func exhaust(t *testing.T, r *replica, store buckets.Store, api string) (tokens int64) {
	t.Helper()
	for {
		c := r.source.Rules().Resolve(&descriptors.Request{Domain: "shop", Descriptors: []descriptors.Descriptor{{Entries: []descriptors.Entry{{Key: "api", Value: api}}}}}).Matches[0].Charge
		outcomes, err := store.Take(t.Context(), []buckets.Charge{c})
		if err != nil {
			t.Fatal(err)
		}
		if !outcomes[0].Admitted {
			return tokens
		}
		tokens += c.Cost
	}
}

// A store that answers nothing in time: the controller goes on trying, and says so
// once.
func TestC13_AStoreThatHangsIsToldOnce(t *testing.T) {
	s := inMemory(t)
	hanging := &hangingStore{Store: s.store}
	s.store = hanging
	hanging.hangs.Store(true)
	r := start(t, s, rules)
	within(t, 5*time.Second, "the failure is told", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.failed) > 0 && hanging.calls.Load() > 2
	})
	hanging.hangs.Store(false)
	within(t, 5*time.Second, "that it works again is told", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return fmt.Sprint(r.failed) == "[leader: context deadline exceeded leader works]"
	})
}

type hangingStore struct {
	buckets.Store
	hangs atomic.Bool
	calls atomic.Int64
}

func (s *hangingStore) Take(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
	if s.calls.Add(1); s.hangs.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.Store.Take(ctx, charges)
}
