package e2e

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// tally counts answers by HTTP status; 0 is no answer.
type tally map[int]int

func (a tally) total() int {
	sum := 0
	for _, n := range a {
		sum += n
	}
	return sum
}

func (a tally) add(b tally) tally {
	for status, n := range b {
		a[status] += n
	}
	return a
}

// client is the test's callers, who never give up before Envoy does.
func client(t *testing.T, connections int) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: connections, MaxIdleConns: 0}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// headers are the headers of a request by name, which choose its descriptors.
type headers map[string]string

// answer is one response, read whole.
type answer struct {
	status int
	header http.Header
	body   string
}

func get(c *http.Client, url string, h headers) answer {
	return getWithin(context.Background(), c, url, h)
}

// getWithin is get by a caller who leaves when ctx ends.
func getWithin(ctx context.Context, c *http.Client, url string, h headers) answer {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return answer{body: err.Error()}
	}
	for name, value := range h {
		request.Header.Set(name, value)
	}
	response, err := c.Do(request)
	if err != nil {
		return answer{body: err.Error()}
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{body: err.Error()}
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

// send asks n times, one after the other, all Envoys in turn.
func (top *topology) send(t *testing.T, n int, h headers) tally {
	t.Helper()
	c := client(t, 1)
	got := tally{}
	for i := range n {
		got[get(c, top.fronts[i%len(top.fronts)], h).status]++
	}
	return got
}

// burst asks n times at once, each request on a connection of its own, spread
// over all Envoys, and tells how long the whole took.
func (top *topology) burst(t *testing.T, n int, h headers) (tally, time.Duration) {
	t.Helper()
	c := client(t, n)
	statuses := make([]int, n)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-start
			statuses[i] = get(c, top.fronts[i%len(top.fronts)], h).status
		})
	}
	begin := time.Now()
	close(start)
	all.Wait()
	took := time.Since(begin)
	got := tally{}
	for _, status := range statuses {
		got[status]++
	}
	return got, took
}

// load is a stream of requests until it is stopped.
type load struct {
	stop    chan struct{}
	workers sync.WaitGroup
	results []tally
	sent    atomic.Int64
}

// load starts workers that each ask again as soon as they are answered.
func (top *topology) load(t *testing.T, workers int, h headers) *load {
	t.Helper()
	c := client(t, workers)
	l := &load{stop: make(chan struct{}), results: make([]tally, workers)}
	for i := range workers {
		l.results[i] = tally{}
		l.workers.Go(func() {
			for n := i; ; n++ {
				select {
				case <-l.stop:
					return
				default:
					l.results[i][get(c, top.fronts[n%len(top.fronts)], h).status]++
					l.sent.Add(1)
				}
			}
		})
	}
	return l
}

// end stops the load and sums up its answers.
func (l *load) end() tally {
	close(l.stop)
	l.workers.Wait()
	sum := tally{}
	for _, r := range l.results {
		sum.add(r)
	}
	return sum
}

// more waits until n more requests of the load were answered.
func (l *load) more(t *testing.T, n int64) {
	t.Helper()
	target := l.sent.Load() + n
	eventually(t, "the load goes on", func() bool { return l.sent.Load() >= target })
}

// eventually polls until the condition holds, for at most 20 s.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !condition(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}
