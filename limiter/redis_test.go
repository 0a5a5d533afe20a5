package limiter_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-rls/weir/buckets/redis"
	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
	"github.com/weir-rls/weir/limiter"
)

// N8: a server that was restarted or told SCRIPT FLUSH does not know the script any
// more, and answered 500 to everybody. M-14: to send it again is enough.
func TestN8_ScriptFlushUnderLoadFailsNothing(t *testing.T) {
	onServers(t, func(t *testing.T, server *parts.Redis) {
		l, admin := shared(t, server), partstest.Admin(t, server)
		var admitted atomic.Int64
		var callers, flusher sync.WaitGroup
		done := make(chan struct{})
		flushes := 0
		flusher.Go(func() {
			for ; ; flushes++ {
				select {
				case <-done:
					return
				default:
				}
				if err := admin.ScriptFlush(t.Context()).Err(); err != nil {
					t.Error(err)
				}
			}
		})
		for range 20 {
			callers.Go(func() {
				for range 100 {
					if allow(t, l, "k", limiter.WithCapacity(1500), limiter.WithRatePer(1, 1000*day)) {
						admitted.Add(1)
					}
				}
			})
		}
		callers.Wait()
		close(done)
		flusher.Wait()
		if admitted.Load() != 1500 || flushes < 10 {
			t.Errorf("%d of 2000 calls are allowed beside %d flushes, want exactly 1500", admitted.Load(), flushes)
		}
	})
}

func TestM14_TheScriptIsSentOnceAndCalledByItsDigest(t *testing.T) {
	onServers(t, func(t *testing.T, server *parts.Redis) {
		admin := partstest.Admin(t, server)
		l := open(t, limiter.Options{RedisURL: server.URL, Timeout: patience, StoreFailed: func(err error) {
			t.Errorf("told of the failure %v", err)
		}})
		allowed(t, 50, l, "k")
		stats, err := admin.Info(t.Context(), "commandstats").Result()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(stats, "cmdstat_eval:calls=1,") || !strings.Contains(stats, "cmdstat_evalsha:calls=50,") {
			t.Errorf("50 calls, want one EVAL and 50 EVALSHA:\n%s", stats)
		}
	})
}

// N6: a key without a time to live stays for ever. W-15: idle buckets are dropped.
func TestN6_W15_EveryKeyHasATimeToLive(t *testing.T) {
	onServers(t, func(t *testing.T, server *parts.Redis) {
		l, admin := shared(t, server), partstest.Admin(t, server)
		ctx, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for i := range 20 {
			key := fmt.Sprintf("user:%d", i)
			allowed(t, 12, l, key) // two of them refused
			allow(t, l, strings.Repeat(key, 100), limiter.WithRequested(11))
			all.Go(func() { _ = l.Wait(ctx, key, limiter.WithRequested(10)) })
		}
		deadline := time.Now().Add(patience)
		for reserved := 0; reserved < 20; {
			if reserved = 0; time.Now().After(deadline) {
				t.Fatal("not everybody who waits has reserved")
			}
			for i := range 20 {
				if d, err := l.Decide(t.Context(), fmt.Sprintf("user:%d", i)); err == nil && d.Reset > 15*time.Second {
					reserved++
				}
			}
		}
		keys, err := admin.Keys(t.Context(), "*").Result()
		if err != nil || len(keys) != 20 {
			t.Errorf("%d keys, %v: want the 20 that something was taken of", len(keys), err)
		}
		for _, key := range keys {
			ttl, err := admin.PTTL(t.Context(), key).Result()
			if err != nil || ttl <= 0 || ttl > 26*time.Second { // on the grid of tokenlevel.lua
				t.Errorf("%q lives for %v, %v, want at most until it is full, and five seconds", key, ttl, err)
			}
		}
		leave()
		all.Wait()
	})
}

// A bucket of a rule and one of the library are never the same, on whatever server
// and whatever somebody calls his domain.
func TestKeysAreNoneOfADomains(t *testing.T) {
	onServers(t, func(t *testing.T, server *parts.Redis) {
		l, admin := shared(t, server), partstest.Admin(t, server)
		rapid.Check(t, func(r *rapid.T) {
			allow(t, l, rapid.String().Draw(r, "key"))
		})
		keys, err := admin.Keys(t.Context(), "*").Result()
		if err != nil || len(keys) < 10 {
			t.Fatal(len(keys), err)
		}
		for _, key := range keys {
			if !strings.HasPrefix(key, "weir:limiter") {
				t.Errorf("%q is outside of the library's keys", key)
			}
		}
	})
	for _, domain := range []string{"weir:limiter:k", "}weir:limiter:k", "{}weir:limiter:k", strings.Repeat("weir:limiter:", 50)} {
		for _, key := range keysOf(t, domain) {
			if !strings.HasPrefix(key, "{") {
				t.Errorf("the domain %q has the bucket %q", domain, key)
			}
		}
	}
}

// keysOf is the buckets of a domain's rule, and of a limit that a request brings.
func keysOf(t *testing.T, domain string) (keys []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules.yaml")
	rule := fmt.Sprintf("domain: %q\ndescriptors: [{key: k, limits: [{rate: 1/s}]}]\n", domain)
	if err := os.WriteFile(path, []byte(rule), 0o600); err != nil {
		t.Fatal(err)
	}
	rules, faults := descriptors.Load([]string{path}, descriptors.Options{})
	if faults.Failed() {
		t.Fatal(faults.Text())
	}
	asked := descriptors.Request{Domain: domain, Descriptors: []descriptors.Descriptor{
		{Entries: []descriptors.Entry{{Key: "k", Value: "weir:limiter:k"}}},
		{Entries: []descriptors.Entry{{Key: "other"}}, Override: &descriptors.Override{Requests: 1, Unit: descriptors.Hour}},
	}}
	for _, match := range rules.Resolve(&asked).Matches {
		keys = append(keys, match.Charge.Key)
	}
	if len(keys) != 2 {
		t.Fatalf("the domain %q has the buckets %q, want two", domain, keys)
	}
	return keys
}

// away is an address where nothing listens.
func away(t *testing.T) string {
	t.Helper()
	addr, err := parts.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return "redis://" + addr
}

func TestM12_TheUserDecidesWhenTheStoreDoesNotAnswer(t *testing.T) {
	for _, c := range []struct {
		name    string
		decides limiter.OnStoreError
		allowed int // of 20 calls
		err     error
		waits   error
	}{
		{"judge locally", limiter.JudgeLocally, 10, nil, nil},
		{"admit all", limiter.AdmitAll, 20, nil, nil},
		{"refuse all", limiter.RefuseAll, 0, nil, limiter.ErrRefused},
		{"return the error", limiter.ReturnError, 0, syscall.ECONNREFUSED, syscall.ECONNREFUSED},
	} {
		t.Run(c.name, func(t *testing.T) {
			var told atomic.Int64
			l := open(t, limiter.Options{
				RedisURL: away(t), Timeout: patience, OnStoreError: c.decides,
				StoreFailed: func(error) { told.Add(1) },
			})
			count := 0
			for range 20 {
				ok, err := l.Allow(t.Context(), "k", limiter.WithRatePer(1, 1000*day))
				if ok {
					count++
				}
				if !errors.Is(err, c.err) {
					t.Errorf("the error is %v, want %v", err, c.err)
				}
			}
			if count != c.allowed || told.Load() != 20 {
				t.Errorf("%d of 20 calls are allowed and %d failures were told, want %d and 20", count, told.Load(), c.allowed)
			}
			blind := c.decides == limiter.AdmitAll || c.decides == limiter.RefuseAll
			if d, _ := l.Decide(t.Context(), "k"); blind && d != (limiter.Decision{Allowed: c.decides == limiter.AdmitAll}) {
				t.Errorf("told %+v of a bucket that nobody saw", d)
			}
			if err := l.Wait(t.Context(), "another"); !errors.Is(err, c.waits) {
				t.Errorf("Wait is answered %v, want %v", err, c.waits)
			}
		})
	}
}

// A server that takes connections and says nothing holds a call up for Timeout, not
// for longer, and not longer than its context.
func TestAStoreThatHangsHoldsACallUpForItsTimeout(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	causes := make(chan error, 1)
	l := open(t, limiter.Options{
		RedisURL: "redis://" + listener.Addr().String(), Timeout: 50 * time.Millisecond,
		StoreFailed: func(err error) { causes <- err },
	})
	began := time.Now()
	if !allow(t, l, "k") {
		t.Error("refused by an empty memory")
	}
	if took := time.Since(began); took < 50*time.Millisecond || took > patience {
		t.Errorf("answered after %v, want the timeout of 50 ms", took)
	}
	if err := <-causes; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("told %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if ok, err := l.Allow(short, "k"); !ok && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a deadline before that: %v, %v", ok, err)
	}
}

// L5: who leaves while Redis is asked has reserved without knowing it.
func TestW13_L5_WhoLeavesWhileRedisIsAskedBurnsNoToken(t *testing.T) {
	onServers(t, func(t *testing.T, server *parts.Redis) {
		l, admin := shared(t, server), partstest.Admin(t, server)
		opts := []limiter.Option{limiter.WithCapacity(1), limiter.WithRatePer(1, 10*time.Minute)}
		allow(t, l, "k", opts...)
		for range 3 {
			if err := admin.Do(t.Context(), "CLIENT", "PAUSE", "100", "ALL").Err(); err != nil {
				t.Fatal(err)
			}
			ctx, leave := context.WithCancel(t.Context())
			time.AfterFunc(20*time.Millisecond, leave)
			if err := l.Wait(ctx, "k", opts...); !errors.Is(err, context.Canceled) {
				t.Errorf("who has left is answered %v", err)
			}
			for began := time.Now(); ; {
				d, err := l.Decide(t.Context(), "k", append(opts, limiter.WithRequested(0))...)
				if err == nil && d.Reset <= 10*time.Minute {
					break
				}
				if time.Since(began) > 5*time.Second {
					t.Fatalf("the bucket is full after %v, %v: who left has kept his token", d.Reset, err)
				}
			}
		}
	})
}

// What another program left under a key is no full bucket.
func TestAForeignValueIsAnErrorOfTheStore(t *testing.T) {
	onServers(t, func(t *testing.T, server *parts.Redis) {
		l, admin := shared(t, server), partstest.Admin(t, server)
		if err := admin.Set(t.Context(), "weir:limiter:k", "something else", 0).Err(); err != nil {
			t.Fatal(err)
		}
		if ok, err := l.Allow(t.Context(), "k"); ok || !errors.Is(err, redis.ErrFormat) {
			t.Errorf("answered %v, %v", ok, err)
		}
	})
}
