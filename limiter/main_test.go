package limiter_test

import (
	"errors"
	"flag"
	"log"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
	"github.com/weir-rls/weir/limiter"
)

// Properties draw 1,000 examples; -rapid.checks asks for another number.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "1000"); err != nil {
		log.Fatal(err)
	}
	goleak.VerifyTestMain(partstest.Suite{M: m})
}

// open returns a limiter that is closed when its test ends.
func open(tb testing.TB, o limiter.Options) *limiter.Limiter {
	tb.Helper()
	l, err := limiter.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := errors.Join(l.Close(), l.Close()); err != nil {
			tb.Error(err)
		}
	})
	return l
}

// onStores runs a test on each store, which another one of its limiters shares.
func onStores(t *testing.T, test func(t *testing.T, l, other *limiter.Limiter)) {
	t.Run("memory", func(t *testing.T) {
		l := open(t, limiter.Options{})
		test(t, l, l)
	})
	onServers(t, func(t *testing.T, server *parts.Redis) {
		test(t, shared(t, server), shared(t, server))
	})
}

func onServers(t *testing.T, test func(*testing.T, *parts.Redis)) {
	for _, part := range []parts.Part{parts.RedisServer, parts.ValkeyServer} {
		t.Run(part.String(), func(t *testing.T) { test(t, partstest.Redis(t, part)) })
	}
}

// shared is a limiter on a server, to which it leaves more time than a busy machine
// needs, and tells its errors.
func shared(tb testing.TB, server *parts.Redis) *limiter.Limiter {
	tb.Helper()
	return open(tb, limiter.Options{RedisURL: server.URL, Timeout: patience, OnStoreError: limiter.ReturnError})
}

const (
	day      = 24 * time.Hour
	patience = 20 * time.Second
)

// elapse lets virtual time pass.
func elapse(d time.Duration) { <-time.After(d) }

// allow asks and expects no error.
func allow(t *testing.T, l *limiter.Limiter, key string, opts ...limiter.Option) bool {
	t.Helper()
	allowed, err := l.Allow(t.Context(), key, opts...)
	if err != nil {
		t.Error(err)
	}
	return allowed
}

// allowed is how many of n calls are.
func allowed(t *testing.T, n int, l *limiter.Limiter, key string, opts ...limiter.Option) (count int) {
	t.Helper()
	for range n {
		if allow(t, l, key, opts...) {
			count++
		}
	}
	return count
}
