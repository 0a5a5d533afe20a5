package limiter_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/limiter"
)

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

func TestM15_WithoutOptionsTenTokensOneASecondOneACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, limiter.Options{})
		if got := allowed(t, 20, l, "k"); got != 10 {
			t.Errorf("%d of 20 calls at once are allowed, want the capacity of 10", got)
		}
		elapse(time.Second - time.Microsecond)
		if allow(t, l, "k") {
			t.Error("allowed before a second has passed")
		}
		elapse(time.Microsecond)
		if got := allowed(t, 2, l, "k"); got != 1 {
			t.Errorf("%d of 2 calls are allowed after a second, want 1", got)
		}
		elapse(time.Hour)
		if got := allowed(t, 20, l, "k"); got != 10 {
			t.Errorf("%d of 20 calls are allowed after an hour, want 10", got)
		}
	})
}

func TestM15_OptionsOfACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, limiter.Options{})
		opts := []limiter.Option{limiter.WithCapacity(20), limiter.WithRate(4), limiter.WithRequested(8)}
		if got := allowed(t, 5, l, "k", opts...); got != 2 {
			t.Errorf("%d calls for 8 of 20 tokens are allowed, want 2", got)
		}
		d, err := l.Decide(t.Context(), "k", opts...)
		if want := (limiter.Decision{Remaining: 4, RetryAfter: time.Second, Reset: 4 * time.Second}); err != nil || d != want {
			t.Errorf("told %+v, %v, want %+v", d, err, want)
		}
		elapse(time.Second)
		if got := allowed(t, 2, l, "k", opts...); got != 1 {
			t.Errorf("%d calls are allowed after a second, want 1", got)
		}
	})
}

// N1: a check and a record that are apart let all 200 through. M-13: one atomic
// step does not.
func TestM13_N1_Limit60With200AtOnceAdmitsExactly60(t *testing.T) {
	onStores(t, func(t *testing.T, l, other *limiter.Limiter) {
		var admitted atomic.Int64
		var all sync.WaitGroup
		start := make(chan struct{})
		for i := range 200 {
			from := []*limiter.Limiter{l, other}[i%2]
			all.Go(func() {
				<-start
				if allow(t, from, "k", limiter.WithCapacity(60), limiter.WithRatePer(60, 1000*day)) {
					admitted.Add(1)
				}
			})
		}
		close(start)
		all.Wait()
		if admitted.Load() != 60 {
			t.Errorf("%d of 200 calls at once are allowed, want exactly 60", admitted.Load())
		}
	})
}
