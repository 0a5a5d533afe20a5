package limiter_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/limiter"
)

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

// A request for nothing tells how the bucket stands, and for more than there can
// ever be that waiting does not help.
func TestC16_NothingAndTooMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, limiter.Options{})
		for _, c := range []struct {
			requested int64
			want      limiter.Decision
		}{
			{0, limiter.Decision{Allowed: true, Remaining: 10}},
			{11, limiter.Decision{Remaining: 10}},
			{math.MaxInt64, limiter.Decision{Remaining: 10}},
		} {
			if d, err := l.Decide(t.Context(), "k", limiter.WithRequested(c.requested)); err != nil || d != c.want {
				t.Errorf("who asks for %d is told %+v, %v, want %+v", c.requested, d, err, c.want)
			}
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

// N4: a bucket of N that refills N in a period lets nearly 2N through in little more
// than one. It does here, as it says, on every store; and it never does when
// capacity and rate fit into the period together.
func TestN4_WhatGetsThroughInAnyMinute(t *testing.T) {
	for _, c := range []struct{ capacity, perMinute, most int64 }{{60, 60, 120}, {30, 30, 60}} {
		synctest.Test(t, func(t *testing.T) {
			l := open(t, limiter.Options{})
			var at []time.Time
			for range 10 * 60 * 4 { // as often as it is allowed, each quarter of a second, for ten minutes
				for allow(t, l, "k", limiter.WithCapacity(c.capacity), limiter.WithRatePer(c.perMinute, time.Minute)) {
					at = append(at, time.Now())
				}
				elapse(time.Second / 4)
			}
			worst := 0
			for i, first := 0, 0; i < len(at); i++ {
				for at[i].Sub(at[first]) > time.Minute {
					first++
				}
				worst = max(worst, i-first+1)
			}
			if int64(worst) != c.most {
				t.Errorf("capacity %d and %d a minute: %d get through within a minute, want %d", c.capacity, c.perMinute, worst, c.most)
			}
		})
	}
}

// N5: tokens that come back in whole seconds only would make everybody come back at
// the same instant, and a wait of a second where half of one is enough.
func TestN5_TokensComeBackWithinASecond(t *testing.T) {
	onStores(t, func(t *testing.T, l, _ *limiter.Limiter) {
		opts := []limiter.Option{limiter.WithCapacity(1), limiter.WithRatePer(1, 100*time.Millisecond)}
		start := time.Now()
		for range 4 {
			if err := l.Wait(t.Context(), "waits", opts...); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took < 300*time.Millisecond {
			t.Errorf("three tokens came back in %v, want one each 100 ms", took)
		}
		slow := []limiter.Option{limiter.WithCapacity(1), limiter.WithRatePer(1, 1000*day+500*time.Microsecond)}
		allow(t, l, "k", slow...)
		d, err := l.Decide(t.Context(), "k", slow...)
		if err != nil || d.Allowed || d.RetryAfter%time.Second == 0 && d.Reset%time.Second == 0 {
			t.Errorf("told %+v, %v: no instant is finer than a second", d, err)
		}
	})
}

// Bad numbers are told by the name of the option, and change nothing.
func TestW11_W14_OptionsThatCannotBeUsedAreNamed(t *testing.T) {
	l := open(t, limiter.Options{})
	for _, c := range []struct {
		names string
		opts  []limiter.Option
	}{
		{"WithCapacity(0): ", []limiter.Option{limiter.WithCapacity(0)}},
		{"WithCapacity(-9223372036854775808)", []limiter.Option{limiter.WithCapacity(math.MinInt64)}},
		{"WithRate(0)", []limiter.Option{limiter.WithRate(0)}},
		{"WithRate(-1)", []limiter.Option{limiter.WithRate(-1)}},
		{"WithRatePer(0, 1m0s)", []limiter.Option{limiter.WithRatePer(0, time.Minute)}},
		{"WithRatePer(1, 0s)", []limiter.Option{limiter.WithRatePer(1, 0)}},
		{"WithRatePer(1, -1s)", []limiter.Option{limiter.WithRatePer(1, -time.Second)}},
		{"WithRatePer(1, 1ns)", []limiter.Option{limiter.WithRatePer(1, 1)}},
		{"WithRequested(-1)", []limiter.Option{limiter.WithRequested(-1)}},
		{"WithCapacity(9223372036854775807) and WithRate(1)", []limiter.Option{limiter.WithCapacity(math.MaxInt64)}},
		{"WithCapacity(10) and WithRate(9223372036854775807)", []limiter.Option{limiter.WithRate(math.MaxInt64)}},
	} {
		named := func(how string, err error) {
			t.Helper()
			if err == nil || !strings.Contains(err.Error(), c.names) {
				t.Errorf("%s with %s: the error is %v", how, c.names, err)
			}
		}
		allowed, err := l.Allow(t.Context(), "k", c.opts...)
		named("Allow", err)
		if allowed {
			t.Errorf("%s: allowed", c.names)
		}
		named("Wait", l.Wait(t.Context(), "k", c.opts...))
		named("Validate", limiter.Validate(c.opts...))
	}
	if _, err := l.Allow(t.Context(), "k", limiter.WithRate(math.MaxInt64)); !errors.Is(err, buckets.ErrInexact) {
		t.Errorf("the error %v does not wrap its cause", err)
	}
	if err := limiter.Validate(limiter.WithRequested(11)); err == nil || !strings.Contains(err.Error(), "WithRequested(11) asks for more than WithCapacity(10)") {
		t.Errorf("options that no call ever passes with: %v", err)
	}
	if d, err := l.Decide(t.Context(), "k"); err != nil || d.Remaining != 9 {
		t.Errorf("what was refused for its options has changed the bucket: %+v, %v", d, err)
	}
}

func TestM24_TheStoreIsASetting(t *testing.T) {
	for _, c := range []struct {
		names   string
		options limiter.Options
	}{
		{"Options.RedisURL", limiter.Options{RedisURL: "localhost:6379"}},
		{"Options.RedisURL", limiter.Options{RedisURL: "redis://user:secret@host:port"}},
		{"Options.Timeout", limiter.Options{Timeout: -1}},
		{"Options.MaxKeys", limiter.Options{MaxKeys: -1}},
		{"Options.OnStoreError", limiter.Options{OnStoreError: 4}},
	} {
		if _, err := limiter.New(c.options); err == nil || !strings.Contains(err.Error(), c.names) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: the error is %v, want one that names %s", c.options, err, c.names)
		}
	}
}

// A caller who has left takes nothing, on any store.
func TestAContextThatHasEndedTakesNothing(t *testing.T) {
	onStores(t, func(t *testing.T, l, _ *limiter.Limiter) {
		gone, leave := context.WithCancel(t.Context())
		leave()
		if ok, err := l.Allow(gone, "k"); ok || !errors.Is(err, context.Canceled) {
			t.Errorf("Allow: %v, %v", ok, err)
		}
		if err := l.Wait(gone, "k"); !errors.Is(err, context.Canceled) {
			t.Errorf("Wait: %v", err)
		}
		if d, err := l.Decide(t.Context(), "k"); err != nil || d.Remaining != 9 {
			t.Errorf("the next call is told %+v, %v, want 9 tokens left", d, err)
		}
	})
}

// Whoever invents keys fills neither the memory nor his purse.
func TestMaxKeysBoundsTheMemoryNotTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, limiter.Options{MaxKeys: 100})
		opts := []limiter.Option{limiter.WithCapacity(2), limiter.WithRatePer(1, time.Hour)}
		admitted := 0
		for i := range 10_000 {
			if allow(t, l, string(rune(0x4e00+i)), opts...) {
				admitted++
			}
		}
		if admitted > 102 {
			t.Errorf("%d calls with 10,000 keys are allowed where 100 are held", admitted)
		}
		other := []limiter.Option{limiter.WithCapacity(2), limiter.WithRatePer(1, time.Minute)}
		if !allow(t, l, "of another limit", other...) {
			t.Error("one limit's keys used up what another's share")
		}
	})
}
