package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-rls/weir/internal/stage"
	"github.com/weir-rls/weir/internal/stage/stagetest"
)

// What the rlimit server does for its clients, through Envoy: each part begins
// where the one before left the partner's bucket.
func TestEgressThroughEnvoy(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *stage.Stage, o *others) {
		t.Run("W-04 W-12 the first caller of a new bucket waits a full period", func(t *testing.T) {
			if took := served(t, s, from("first", partner)); took < period || took > period+time.Second {
				t.Errorf("served after %v, want %v and little more", took, period)
			}
		})
		t.Run("W-01 W-05 a rest saves up four tokens and no fifth", func(t *testing.T) {
			rest(t)
			rest(t)
			begin := time.Now()
			for range burst + 3 {
				served(t, s, from("rested", partner))
			}
			within(t, o.of(partner, begin), begin, burst)
		})
		t.Run("W-12 a token that is there is had at once", func(t *testing.T) {
			rest(t)
			best := time.Hour // the machine may be busy at any moment
			for range burst {
				best = min(best, served(t, s, from("hurried", partner)))
			}
			if best > 10*time.Millisecond {
				t.Errorf("served after %v at best, want less than 10 ms", best)
			}
		})
		t.Run("W-02 W-03 callers of an empty bucket are served in their order, none is refused", func(t *testing.T) { inOrder(t, s, o) })
		t.Run("W-13 who leaves burns no token", func(t *testing.T) { leaves(t, s, o) })
		t.Run("W-02 a wait that would be too long is refused at once", func(t *testing.T) {
			begin := time.Now()
			counts := s.Burst(t.Context(), 20, from("many", "maps.example"))
			if counts[http.StatusOK] < 6 || counts[http.StatusOK] > 8 || counts[http.StatusOK]+counts[http.StatusTooManyRequests] != 20 {
				t.Errorf("%v of 20 calls at 2/s that wait for at most 2 s after %v", counts, time.Since(begin))
			}
		})
		t.Run("W-07 a host without a rule is not called", func(t *testing.T) {
			answer, err := s.Send(t.Context(), from("curious", "nobody.example"))
			if err != nil || answer.Status != http.StatusTooManyRequests || len(o.of("nobody.example", time.Time{})) != 0 {
				t.Errorf("%s %v", answer.Proto, err)
			}
			refused, err := s.Metric(`weir_unmatched_descriptors_total{domain="egress"}`)
			if err != nil || refused != 1 {
				t.Errorf("%d descriptors without a rule are counted, %v", refused, err)
			}
		})
		for _, envoy := range s.Envoys { // no test passes by failing open
			if failed, err := envoy.Stat("cluster.others.ratelimit.error"); err != nil || failed != 0 {
				t.Errorf("%d requests without a verdict, %v", failed, err)
			}
		}
	})
}

// inOrder lets callers come one after another, to each Envoy in turn.
func inOrder(t *testing.T, s *stage.Stage, o *others) {
	const n = 5
	begin := time.Now()
	var all sync.WaitGroup
	var done atomic.Int64
	for i := range n {
		all.Go(func() {
			defer done.Add(1)
			answer, err := s.Send(t.Context(), from(pod(i), partner))
			if err != nil || answer.Status != http.StatusOK {
				t.Errorf("%s %v", answer.Proto, err)
			}
		})
		until(t, "each has his place", func() bool { return waiting(t, s)+int(done.Load()) > i })
	}
	all.Wait()
	calls := o.of(partner, begin)
	for i, c := range calls {
		if c.pod != pod(i) {
			t.Errorf("call %d is of %s", i, c.pod)
		}
	}
	if len(calls) != n {
		t.Errorf("%d calls arrived, want %d", len(calls), n)
	}
	within(t, calls, begin, 1) // a part of one may have been there
}

// leaves lets a caller leave while he waits, and another one come.
func leaves(t *testing.T, s *stage.Stage, o *others) {
	served(t, s, from("before", partner)) // the bucket is empty now
	begin := time.Now()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	var all sync.WaitGroup
	all.Go(func() { _, _ = s.Send(ctx, from("gone", partner)) })
	until(t, "he waits", func() bool { return waiting(t, s) == 1 })
	leave()
	all.Wait()
	until(t, "weir knows that he left", func() bool { return waiting(t, s) == 0 })
	until(t, "his place is given back", func() bool {
		n, err := s.Metric(`weir_abandoned_reservations_total{fate="given_back"}`)
		return err == nil && n == 1
	})
	served(t, s, from("next", partner))
	if took := time.Since(begin); took > 2*period-soon {
		t.Errorf("the next caller was served after %v: the token of the one who left is gone", took)
	}
	for _, c := range o.of(partner, begin) {
		if c.pod == "gone" {
			t.Error("the call of a caller who left was made")
		}
	}
}

// Pods at many addresses, through each Envoy, have one bucket together.
func TestW08_AllPodsShareWhatThePartnerAdmits(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *stage.Stage, o *others) {
		begin := time.Now()
		var all sync.WaitGroup
		for i := range 3 {
			all.Go(func() {
				for range 2 {
					r := from(pod(i), partner)
					r.From = fmt.Sprintf("127.0.0.%d", i+2)
					if answer, err := s.Send(t.Context(), r); err != nil || answer.Status != http.StatusOK {
						t.Errorf("%s %v", answer.Proto, err)
					}
				}
			})
		}
		all.Wait()
		calls := o.of(partner, begin)
		if len(calls) != 6 {
			t.Errorf("%d calls arrived, want 6", len(calls))
		}
		within(t, calls, begin, 0)
	})
}

// The truth is in Redis: a replica that is lost takes no tokens along, and hands
// out none by going.
func TestW09_ALostReplicaChangesNothing(t *testing.T) {
	e := example()
	o := e.Upstreams[0].Handler.(*others)
	s := stagetest.Start(t, e, "redis")
	begin := time.Now()
	call := func(n int) {
		t.Helper()
		until(t, fmt.Sprintf("call %d is served", n), func() bool {
			answer, err := s.Send(t.Context(), from(pod(n), partner))
			return err == nil && answer.Status == http.StatusOK
		})
	}
	for n := range 4 {
		call(n)
	}
	if err := s.Lose(s.Weirs[0].Process); err != nil {
		t.Fatal(err)
	}
	for n := range 4 {
		call(4 + n)
	}
	calls := o.of(partner, begin)
	if len(calls) < 8 {
		t.Errorf("%d calls arrived, want 8", len(calls))
	}
	within(t, calls, begin, 0)
}
