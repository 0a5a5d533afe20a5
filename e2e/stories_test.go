package e2e

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/weir-rls/weir/internal/parts"
)

// onBothStores tells a story twice, behind two Envoys each time: with one replica
// and its own memory, and with two replicas and the Redis that they share.
func onBothStores(t *testing.T, s spec, story func(*testing.T, *topology)) {
	t.Helper()
	s.envoys, s.envoy, s.headers = 2, "ends.yaml", "off" // this Envoy shows them itself
	for name, replicas := range map[string]int{"memory": 1, "redis": 2} {
		t.Run(name, func(t *testing.T) {
			s := s
			s.weirs, s.redis = replicas, replicas > 1
			if s.onlyReplica {
				s.weirs = 1
			}
			top := run(t, s)
			story(t, top)
			top.neverFailed(t)
		})
	}
}

// neverFailed asserts that no question of an Envoy was left without a verdict,
// so that nothing passed or was refused because the limiter failed.
func (top *topology) neverFailed(t *testing.T) {
	t.Helper()
	asked := int64(0)
	for _, envoy := range top.envoys {
		for _, filter := range []string{"", "breaker."} {
			for name, isFailure := range map[string]bool{"ok": false, "over_limit": false, "error": true} {
				n, err := envoy.Stat("cluster.upstream.ratelimit." + filter + name)
				if err != nil {
					t.Fatal(err)
				}
				asked += n
				if isFailure && n > 0 {
					t.Errorf("Envoy counted %d failures of the limiter in %s%s", n, filter, name)
				}
			}
		}
	}
	if asked == 0 {
		t.Error("no Envoy asked anything")
	}
}

// call is a request under way.
type call struct {
	answer       // once done is closed
	began, ended time.Time
	done         chan struct{}
	leave        context.CancelFunc // the caller hangs up
}

// begin sends a request through one of the Envoys and does not wait for it. A
// connection of its own, so that leaving is closing it.
func (top *topology) begin(t *testing.T, front int, h headers) *call {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := &call{began: time.Now(), done: make(chan struct{}), leave: cancel}
	caller := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	go func() {
		defer close(c.done)
		c.answer = getWithin(ctx, caller, top.fronts[front%len(top.fronts)], h)
		c.ended = time.Now()
	}()
	t.Cleanup(func() {
		cancel()
		<-c.done
	})
	return c
}

// beginAll sends n requests at once, spread over the Envoys.
func (top *topology) beginAll(t *testing.T, n int, h headers) []*call {
	t.Helper()
	calls := make([]*call, n)
	for i := range calls {
		calls[i] = top.begin(t, i, h)
	}
	return calls
}

// settled waits for the answers of the calls and counts them.
func settled(calls ...*call) tally {
	got := tally{}
	for _, c := range calls {
		<-c.done
		got[c.status]++
	}
	return got
}

// isDone tells whether the call was answered.
func (c *call) isDone() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// metric is the sum of a series over the replicas that still run.
func (top *topology) metric(t *testing.T, series string) int {
	t.Helper()
	sum := 0
	for _, weir := range top.weirs {
		select {
		case <-weir.Done():
		default:
			sum += metricOf(t, weir, series)
		}
	}
	return sum
}

func metricOf(t *testing.T, weir *parts.WeirProcess, series string) int {
	t.Helper()
	n, err := weir.Metric(series)
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}

const (
	waitingNow = "weir_waiting_requests"
	redeemed   = `weir_receipts_total{result="redeemed"}`
)

// reaches waits until a series is n over all replicas.
func (top *topology) reaches(t *testing.T, series string, n int) {
	t.Helper()
	last := -1
	defer func() {
		if t.Failed() {
			t.Logf("%s is %d", series, last)
		}
	}()
	eventually(t, fmt.Sprintf("%s is %d", series, n), func() bool {
		last = top.metric(t, series)
		return last == n
	})
}
