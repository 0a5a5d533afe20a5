package limiter_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/limiter"
)

// served is a Wait that has returned.
type served struct {
	who   int
	err   error
	after time.Duration
}

// queue lets callers wait, each after the one before stands in the queue.
func queue(ctx context.Context, l *limiter.Limiter, n int, opts ...limiter.Option) <-chan served {
	answers := make(chan served, n)
	for who := range n {
		synctest.Wait()
		began := time.Now()
		go func() {
			err := l.Wait(ctx, "k", opts...)
			answers <- served{who, err, time.Since(began)}
		}()
	}
	synctest.Wait()
	return answers
}

func one() []limiter.Option { return []limiter.Option{limiter.WithCapacity(1)} }

func TestW02_W03_WhoComesFirstIsServedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, limiter.Options{})
		answers := queue(t.Context(), l, 100, one()...)
		for i := range 100 {
			if s := <-answers; s.err != nil || s.who != i || s.after != time.Duration(i)*time.Second {
				t.Fatalf("as number %d caller %d is answered %v after %v", i, s.who, s.err, s.after)
			}
		}
	})
}

// On Redis who waits in one process is behind who came before him in another.
func TestW03_WhoComesFirstIsServedFirstOverAllProcesses(t *testing.T) {
	onStores(t, func(t *testing.T, l, other *limiter.Limiter) {
		const callers, step = 6, 250 * time.Millisecond
		opts := []limiter.Option{limiter.WithCapacity(1), limiter.WithRatePer(1, step)}
		full := func() time.Time { // when the bucket is, which each reservation moves by a step
			d, err := l.Decide(t.Context(), "k", append(opts, limiter.WithRequested(0))...)
			if err != nil {
				t.Fatal(err)
			}
			return time.Now().Add(d.Reset)
		}
		allow(t, l, "k", opts...)
		order := make(chan int, callers)
		var all sync.WaitGroup
		for i := range callers {
			before, from := full(), []*limiter.Limiter{l, other}[i%2]
			all.Go(func() {
				if err := from.Wait(t.Context(), "k", opts...); err != nil {
					t.Error(err)
				}
				order <- i
			})
			for full().Sub(before) < step/2 {
				if time.Since(before) > patience {
					t.Fatal("a caller does not reserve")
				}
			}
		}
		all.Wait()
		for i := range callers {
			if who := <-order; who != i {
				t.Errorf("caller %d is served as number %d", who, i)
			}
		}
	})
}

func TestWhoWaitsIsNotOvertakenByAllow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, limiter.Options{})
		allow(t, l, "k", one()...)
		answers := queue(t.Context(), l, 2, one()...)
		for range 19 { // until just before 2 s
			if elapse(100 * time.Millisecond); allow(t, l, "k", one()...) {
				t.Fatal("Allow took a token for which others wait")
			}
		}
		for range 2 {
			if s := <-answers; s.err != nil || s.after != time.Duration(s.who+1)*time.Second {
				t.Errorf("caller %d is answered %v after %v", s.who, s.err, s.after)
			}
		}
	})
}

func TestW13_WhoLeavesBurnsNoToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, limiter.Options{})
		allow(t, l, "k", one()...)
		ctx, leave := context.WithCancel(t.Context())
		left := queue(ctx, l, 5, one()...)           // would be served after 1 to 5 s
		stayed := queue(t.Context(), l, 3, one()...) // after 6, 7 and 8 s
		elapse(500 * time.Millisecond)
		leave()
		for range 5 {
			if s := <-left; !errors.Is(s.err, context.Canceled) || s.after != 500*time.Millisecond {
				t.Errorf("who left is answered %v after %v", s.err, s.after)
			}
		}
		for i := range 3 {
			if s := <-stayed; s.err != nil || s.who != i || s.after != time.Duration(i+1)*time.Second {
				t.Errorf("caller %d moves up and is answered %v after %v, want %d s", s.who, s.err, s.after, i+1)
			}
		}
		if elapse(time.Second); !allow(t, l, "k", one()...) {
			t.Error("a second after the last was served there is no token: those who left took theirs along")
		}
	})
}

func TestC15_AWaitThatCannotEndInTimeIsRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, limiter.Options{})
		allow(t, l, "k", one()...)
		short, cancel := context.WithTimeout(t.Context(), 999*time.Millisecond)
		defer cancel()
		for _, c := range []struct {
			what string
			ctx  context.Context
			opts []limiter.Option
			says string
		}{
			{"a deadline before the token", short, one(), "1s, after the context's deadline in 999ms"},
			{"a wait beyond the longest", t.Context(), []limiter.Option{limiter.WithCapacity(1), limiter.WithRatePer(1, 2*time.Hour)}, "longer than 1h"},
			{"more than the capacity", t.Context(), append(one(), limiter.WithRequested(2)), "WithRequested(2) asks for more than WithCapacity(1) holds"},
		} {
			began := time.Now()
			err := l.Wait(c.ctx, "k", c.opts...)
			if !errors.Is(err, limiter.ErrRefused) || !strings.Contains(err.Error(), c.says) || time.Since(began) != 0 {
				t.Errorf("%s: answered %v after %v", c.what, err, time.Since(began))
			}
		}
		if d, err := l.Decide(t.Context(), "k", one()...); err != nil || d.RetryAfter != time.Second {
			t.Errorf("who was refused has reserved: the next is told %+v, %v", d, err)
		}
	})
}

// A deadline that is far enough is no reason to refuse, and one that is reached
// ends the wait with the context's error.
func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, limiter.Options{})
		allow(t, l, "k", one()...)
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		answers := queue(ctx, l, 2, one()...)
		first, second := <-answers, <-answers
		if !errors.Is(first.err, limiter.ErrRefused) || first.who != 1 || first.after != 0 {
			t.Errorf("who cannot be served in time is answered %+v", first)
		}
		if second.err != nil || second.who != 0 || second.after != time.Second {
			t.Errorf("who can is answered %+v", second)
		}
	})
}

func TestL9_TheQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, limiter.Options{})
		opts := []limiter.Option{limiter.WithCapacity(1), limiter.WithRate(10)}
		allow(t, l, "k", opts...)
		ctx, leave := context.WithCancel(t.Context())
		answers := make(chan error, 10_000)
		for range 10_000 {
			go func() { answers <- l.Wait(ctx, "k", opts...) }()
		}
		synctest.Wait()
		if err := l.Wait(t.Context(), "k", opts...); !errors.Is(err, limiter.ErrRefused) || !strings.Contains(err.Error(), "10000 calls") {
			t.Errorf("the 10,001st who waits is answered %v", err)
		}
		leave()
		for range 10_000 {
			if err := <-answers; !errors.Is(err, context.Canceled) {
				t.Fatalf("who left is answered %v", err)
			}
		}
	})
}

func TestCloseRefusesWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, limiter.Options{})
		allow(t, l, "k", one()...)
		answers := queue(t.Context(), l, 3, one()...)
		if err := errors.Join(l.Close(), l.Close()); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if s := <-answers; !errors.Is(s.err, limiter.ErrRefused) || !strings.Contains(s.err.Error(), "closed") || s.after != 0 {
				t.Errorf("caller %d is answered %v after %v", s.who, s.err, s.after)
			}
		}
	})
}
