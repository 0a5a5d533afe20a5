package backend_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/guard"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
	"github.com/weir-rls/weir/ratelimit/backend"
)

// A Redis that accepts and never answers costs the first callers the time that they may
// wait, and the others none. None of them is answered as if he had been counted.
func TestHungRedis_CallersDoNotPileUp(t *testing.T) {
	r := tcp(silence(t))
	r.OpTimeout = 100 * time.Millisecond
	b := open(t, backend.Options{Main: r})
	call := func(ctx context.Context) (time.Duration, error) {
		begun := time.Now()
		_, err := b.Main.Take(ctx, []buckets.Charge{hit("{d}k")})
		return time.Since(begun), err
	}
	var callers sync.WaitGroup
	for range 200 {
		callers.Go(func() {
			if took, err := call(t.Context()); err == nil || took > time.Second {
				t.Errorf("after %v: %v, want an error after 100 ms", took, err)
			}
		})
	}
	callers.Wait()
	var err error
	partstest.Eventually(t, 10*time.Second, "nobody waits any more", func() bool {
		_, err = call(t.Context())
		return errors.Is(err, guard.ErrOpen)
	})
	if !strings.Contains(err.Error(), "deadline exceeded") {
		t.Errorf("the error does not say why: %v", err)
	}
	if b.Healthy() {
		t.Error("it is healthy, and Redis has never answered")
	}
}

// The caller's deadline is that of the call, less what the answer needs on its way back.
func TestHungRedis_ACallEndsBeforeItsCallersDeadline(t *testing.T) {
	b := open(t, backend.Options{Main: tcp(silence(t))})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := b.Main.Take(ctx, []buckets.Charge{hit("{d}k")}); !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		t.Errorf("%v, and the caller's deadline: %v", err, ctx.Err())
	}
}

// Health waits for Redis, which may come later than this service, and requests fail until
// then without ending anything.
func TestStart_RedisMayComeLater(t *testing.T) {
	onServers(t, func(t *testing.T, part parts.Part) {
		addr, err := parts.FreeAddr()
		if err != nil {
			t.Fatal(err)
		}
		b := open(t, backend.Options{Main: tcp(addr)})
		partstest.Eventually(t, 10*time.Second, "two tries", func() bool { return strings.Count(b.log.String(), "is tried again") >= 2 })
		if _, err := b.Main.Take(t.Context(), []buckets.Charge{hit("{d}k")}); err == nil || b.Healthy() {
			t.Errorf("without Redis: %v, healthy %v", err, b.Healthy())
		}
		for _, want := range []string{"connection refused", "check REDIS_URL"} {
			if !strings.Contains(b.log.String(), want) {
				t.Errorf("the log does not say %s", want)
			}
		}
		startAt(t, part, addr)
		b.turns(true)
		partstest.Eventually(t, 10*time.Second, "the first answer", func() bool {
			_, err := b.Main.Take(t.Context(), []buckets.Charge{hit("{d}k")})
			return err == nil
		})
	})
}

func startAt(t *testing.T, part parts.Part, addr string) *parts.Redis {
	t.Helper()
	server, err := parts.StartRedisAt(partstest.Binary(t, part), addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	return server
}

func TestStart_GivesUpWhenItsTimeIsOver(t *testing.T) {
	r := tcp("127.0.0.1:1")
	server := partstest.Redis(t, parts.RedisServer)
	b := open(t, backend.Options{Main: tcp(server.Addr), PerSecond: &r, StartupEnd: 200 * time.Millisecond, Watch: true})
	select {
	case err := <-b.ended:
		if err == nil || !strings.Contains(err.Error(), "REDIS_PERSECOND_URL") || !strings.Contains(err.Error(), "REDIS_STARTUP_MAX_ELAPSED_TIME") {
			t.Errorf("%v, want it to name both variables", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it goes on")
	}
	if b.Healthy() {
		t.Error("it is healthy with one Redis of two")
	}
}

// With REDIS_HEALTH_CHECK_ACTIVE_CONNECTION health follows Redis; without it Redis has
// answered once, and that is enough, as in the reference.
func TestHealth_FollowsRedisIfItIsTo(t *testing.T) {
	onServers(t, func(t *testing.T, part parts.Part) {
		server := partstest.Redis(t, part)
		var mu sync.Mutex
		var told []bool
		b := open(t, backend.Options{Main: tcp(server.Addr), Watch: true, Health: func(healthy bool) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, healthy)
		}})
		lasting := open(t, backend.Options{Main: tcp(server.Addr)})
		b.turns(true)
		lasting.turns(true)
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		b.turns(false)
		if !lasting.Healthy() {
			t.Error("health follows Redis, and must not")
		}
		startAt(t, part, server.Addr)
		b.turns(true)
		if n := b.Pools()[0].Count(); n.Closed == 0 || n.Made != uint64(n.Open)+n.Closed {
			t.Errorf("the pool has %+v, want some closed", n)
		}
		mu.Lock()
		defer mu.Unlock()
		if len(told) != 3 || !told[0] || told[1] || !told[2] {
			t.Errorf("told of %v, want of healthy, not, and again", told)
		}
	})
}

// A window that may be evicted begins anew.
func TestStart_ARedisThatEvictsIsWarnedOf(t *testing.T) {
	server := partstest.Redis(t, parts.RedisServer, "--maxmemory-policy", "allkeys-lru")
	b := open(t, backend.Options{Main: tcp(server.Addr)})
	partstest.Eventually(t, 10*time.Second, "the warning", func() bool { return strings.Contains(b.log.String(), "allkeys-lru") })
}
