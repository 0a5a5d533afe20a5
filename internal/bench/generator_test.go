package bench

import (
	"context"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	ok   = rlsv3.RateLimitResponse_OK
	over = rlsv3.RateLimitResponse_OVER_LIMIT
)

// What the server says and what is counted are the same, whoever of the workers
// asked.
func TestRun_CountsVerdictsAndErrorsByCode(t *testing.T) {
	var asked atomic.Int64
	answer := func(context.Context, *rlsv3.RateLimitRequest) (rlsv3.RateLimitResponse_Code, error) {
		switch n := asked.Add(1); {
		case n%50 == 0:
			return ok, status.Error(codes.ResourceExhausted, "every fiftieth")
		case n%3 == 0:
			return over, nil
		}
		return ok, nil
	}
	inBubble(t, answer, func(t *testing.T, open func(Load) *Generator) {
		r := open(someLoad()).Run(t.Context(), Bound{Requests: 600})
		// Of 600, 12 fail, and of the 200 thirds 4 are among them.
		want := map[string]int64{"ok": 392, "over_limit": 196}
		if !maps.Equal(r.verdicts, want) || !maps.Equal(r.errors, map[string]int64{"ResourceExhausted": 12}) {
			t.Errorf("%v, errors %v", r.verdicts, r.errors)
		}
		if r.Answered() != 588 || r.Failed() != 12 || r.latency.TotalCount() != 588 {
			t.Errorf("%d answered, %d failed, %d latencies", r.Answered(), r.Failed(), r.latency.TotalCount())
		}
	})
}

// A server stalls for a second, once. Callers that come meanwhile wait for it:
// half of all in this open loop, and as long as there is left of the second. Who
// counts from when a request was sent sees four slow ones, those that were in
// flight.
func TestOpenLoop_CountsTheWaitOfWhoWasDueDuringAStall(t *testing.T) {
	var began time.Time
	answer := func(context.Context, *rlsv3.RateLimitRequest) (rlsv3.RateLimitResponse_Code, error) {
		if at := time.Since(began); at >= 500*time.Millisecond && at < 1500*time.Millisecond {
			time.Sleep(1500*time.Millisecond - at)
		}
		return ok, nil
	}
	inBubble(t, answer, func(t *testing.T, open func(Load) *Generator) {
		l := someLoad()
		l.Rate = 1000
		g := open(l)
		began = time.Now()
		r := g.Run(t.Context(), Bound{Duration: 2 * time.Second})
		if r.Answered() != 2000 || r.Unsent != 0 {
			t.Errorf("%d answered, %d unsent", r.Answered(), r.Unsent)
		}
		for percent, want := range map[float64]time.Duration{
			49: 0, 75: 500 * time.Millisecond, 95: 900 * time.Millisecond, 100: time.Second,
		} {
			if got := r.Latency(percent); (got - want).Abs() > 5*time.Millisecond {
				t.Errorf("p%g is %v, not %v", percent, got, want)
			}
		}
	})
}

// In a closed loop nobody is due: the same stall is seen by who is in flight.
func TestClosedLoop_CountsWhoWasInFlightDuringAStall(t *testing.T) {
	var asked atomic.Int64
	answer := func(context.Context, *rlsv3.RateLimitRequest) (rlsv3.RateLimitResponse_Code, error) {
		if asked.Add(1) <= 4 {
			time.Sleep(time.Second)
		}
		return ok, nil
	}
	inBubble(t, answer, func(t *testing.T, open func(Load) *Generator) {
		r := open(someLoad()).Run(t.Context(), Bound{Requests: 1000})
		if fast, slow := r.Latency(99.6), r.Latency(99.7); fast > time.Millisecond || slow < 999*time.Millisecond {
			t.Errorf("p99.6 %v, p99.7 %v: not four slow ones of 1000", fast, slow)
		}
	})
}

// An open loop sends at its rate as long as the server keeps up.
func TestOpenLoop_KeepsItsRate(t *testing.T) {
	var mostAtOnce, now atomic.Int64
	answer := func(context.Context, *rlsv3.RateLimitRequest) (rlsv3.RateLimitResponse_Code, error) {
		mostAtOnce.Store(max(mostAtOnce.Load(), now.Add(1)))
		time.Sleep(2 * time.Millisecond)
		now.Add(-1)
		return ok, nil
	}
	inBubble(t, answer, func(t *testing.T, open func(Load) *Generator) {
		l := someLoad()
		l.Rate = 500
		r := open(l).Run(t.Context(), Bound{Duration: 3 * time.Second})
		if r.Answered() != 1500 || r.Elapsed < 3*time.Second-2*time.Millisecond || r.Elapsed > 3*time.Second+2*time.Millisecond || mostAtOnce.Load() > 2 {
			t.Errorf("%d answered in %v, %d at once", r.Answered(), r.Elapsed, mostAtOnce.Load())
		}
	})
}

// What an overloaded server never got is told, or its latencies would be those
// of the lucky.
func TestOpenLoop_TellsWhatWasDueAndNotSent(t *testing.T) {
	answer := func(context.Context, *rlsv3.RateLimitRequest) (rlsv3.RateLimitResponse_Code, error) {
		time.Sleep(100 * time.Millisecond)
		return ok, nil
	}
	inBubble(t, answer, func(t *testing.T, open func(Load) *Generator) {
		l := someLoad()
		l.Rate = 1000 // four in flight make 40 a second
		r := open(l).Run(t.Context(), Bound{Duration: time.Second})
		if r.Answered()+r.Unsent != 1000 || r.Unsent < 950 {
			t.Errorf("%d answered, %d unsent", r.Answered(), r.Unsent)
		}
	})
}

// Ctrl-C ends a run early; what is in flight is neither lost nor counted as
// failed.
func TestRun_ThatIsCancelledWaitsForItsAnswers(t *testing.T) {
	answer := func(context.Context, *rlsv3.RateLimitRequest) (rlsv3.RateLimitResponse_Code, error) {
		time.Sleep(100 * time.Millisecond)
		return ok, nil
	}
	for _, rate := range []int{0, 10} {
		inBubble(t, answer, func(t *testing.T, open func(Load) *Generator) {
			l := someLoad()
			l.Rate = rate
			ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
			defer cancel()
			g := open(l)
			r := g.Run(ctx, Bound{Duration: time.Hour})
			if r.Answered() != g.Sent() || r.Answered() == 0 || r.Failed() != 0 || r.Elapsed > 350*time.Millisecond || r.Unsent > 0 {
				t.Errorf("rate %d: %d sent, %d answered, %v, %d unsent after %v", rate, g.Sent(), r.Answered(), r.errors, r.Unsent, r.Elapsed)
			}
		})
	}
}

// A request that is never answered takes its time-out, and shows in the
// latencies.
func TestRun_CountsTimeOutsWithTheirLength(t *testing.T) {
	answer := func(ctx context.Context, _ *rlsv3.RateLimitRequest) (rlsv3.RateLimitResponse_Code, error) {
		<-ctx.Done()
		return ok, ctx.Err()
	}
	inBubble(t, answer, func(t *testing.T, open func(Load) *Generator) {
		l := someLoad()
		l.Timeout = 2 * time.Second
		r := open(l).Run(t.Context(), Bound{Requests: 8})
		if r.errors["DeadlineExceeded"] != 8 || (r.Latency(50)-l.Timeout).Abs() > 10*time.Millisecond {
			t.Errorf("%v, p50 %v", r.errors, r.Latency(50))
		}
	})
}

// A server that refuses calls at once is not asked as fast as it can refuse.
func TestRun_PausesAfterAnError(t *testing.T) {
	answer := func(context.Context, *rlsv3.RateLimitRequest) (rlsv3.RateLimitResponse_Code, error) {
		return ok, status.Error(codes.Unavailable, "no rules")
	}
	inBubble(t, answer, func(t *testing.T, open func(Load) *Generator) {
		r := open(someLoad()).Run(t.Context(), Bound{Duration: time.Second})
		if r.Failed() != 400 { // four workers, each once in 10 ms
			t.Errorf("%d failed calls in a second", r.Failed())
		}
	})
}

// Runs go on with the keys where the last one stopped, and end with the number
// of requests that was asked for.
func TestRun_SendsWhatTheLoadSays(t *testing.T) {
	var seen [10]atomic.Int64
	answer := func(_ context.Context, r *rlsv3.RateLimitRequest) (rlsv3.RateLimitResponse_Code, error) {
		if len(r.GetDescriptors()) != 1 || r.GetDomain() != "bench" || r.GetHitsAddend() != 1 {
			return ok, status.Error(codes.InvalidArgument, r.String())
		}
		seen[r.GetDescriptors()[0].GetEntries()[0].GetValue()[0]-'0'].Add(1)
		return ok, nil
	}
	inBubble(t, answer, func(t *testing.T, open func(Load) *Generator) {
		l := someLoad()
		l.Distribution = Sequence
		g := open(l)
		for range 3 {
			if r := g.Run(t.Context(), Bound{Requests: 20}); r.Answered() != 20 {
				t.Errorf("%d answered, %v", r.Answered(), r.errors)
			}
		}
		for key := range seen {
			if n := seen[key].Load(); n != 6 {
				t.Errorf("key %d was sent %d times", key, n)
			}
		}
	})
}

func TestOpen_TellsThatNobodyListens(t *testing.T) {
	l := someLoad()
	_, err := Open(t.Context(), l)
	if err == nil || !strings.Contains(err.Error(), "no gRPC server answers on 127.0.0.1:1") || !strings.Contains(err.Error(), "--target") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, l); err == nil || !strings.Contains(err.Error(), "stopped before 127.0.0.1:1 was connected") {
		t.Error(err)
	}
}
