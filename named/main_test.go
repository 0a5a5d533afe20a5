package named_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/redis"
	"github.com/weir-rls/weir/buckets/waiting"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
	"github.com/weir-rls/weir/named"
	"github.com/weir-rls/weir/records"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(partstest.Suite{M: m}) }

// replica is a registry as internal/app wires it.
type replica struct {
	*named.Registry
	ledger *records.Kept
	room   *waiting.Room
}

func newReplica(store buckets.Store, ledger records.Records) *replica {
	r := &replica{ledger: records.Keep(ledger), room: waiting.New(waiting.Options{Store: store})}
	r.Registry = named.New(named.Options{Records: r.ledger, Room: r.room})
	return r
}

// inMemory are replicas on one memory store and one ledger.
func inMemory(t testing.TB, n int) (all []*replica) {
	t.Helper()
	ledger, err := records.Open("")
	if err != nil {
		t.Fatal(err)
	}
	store := memory.New(memory.Options{})
	for range n {
		all = append(all, newReplica(store, ledger))
	}
	return all
}

// onRedis are replicas on one server.
func onRedis(t testing.TB, server *parts.Redis, n int) (all []*replica) {
	t.Helper()
	for range n {
		store, err := redis.Open(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		all = append(all, newReplica(store, store.Records("weir:live")))
	}
	return all
}

// everywhere runs a test on two replicas in memory, and on Redis and Valkey.
func everywhere(t *testing.T, test func(t *testing.T, replicas []*replica)) {
	t.Run("memory", func(t *testing.T) { test(t, inMemory(t, 2)) })
	for _, part := range []parts.Part{parts.RedisServer, parts.ValkeyServer} {
		t.Run(part.String(), func(t *testing.T) { test(t, onRedis(t, partstest.Redis(t, part), 2)) })
	}
}

// inTime runs a test in virtual time, on two replicas in memory.
func inTime(t *testing.T, test func(t *testing.T, replicas []*replica)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, inMemory(t, 2)) })
}

func create(t testing.TB, r *replica, d named.Definition) named.Definition {
	t.Helper()
	there, created, err := r.Create(t.Context(), d)
	if err != nil || !created {
		t.Fatalf("created %v, %v", created, err)
	}
	return there
}

func take(t testing.TB, r *replica, id string, wait time.Duration) named.Answer {
	t.Helper()
	a, err := r.Take(t.Context(), id, 1, wait)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// started asks in the background, after everybody before has asked.
func started(ctx context.Context, r *replica, id string, wait time.Duration) <-chan named.Answer {
	synctest.Wait()
	answers := make(chan named.Answer, 1)
	go func() {
		defer close(answers)
		if a, err := r.Take(ctx, id, 1, wait); err == nil {
			answers <- a
		}
	}()
	synctest.Wait()
	return answers
}
