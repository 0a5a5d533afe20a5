package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/stage"
	"github.com/weir-rls/weir/internal/stage/stagetest"
)

// onEachStore runs a test that also sees what arrives at the backends. The pool is
// as stated, and full.
func onEachStore(t *testing.T, test func(*testing.T, *stage.Stage, *fleet)) {
	var f *fleet
	stagetest.OnEachStore(t, func() stage.Example {
		e := example()
		f = e.Upstreams[0].Handler.(*backend).fleet
		return e
	}, func(t *testing.T, s *stage.Stage) {
		asStated(t, s)
		test(t, s, f)
		for _, envoy := range s.Envoys { // no test passes by failing open
			if failed, err := envoy.Stat("cluster.backend.ratelimit.error"); err != nil || failed != 0 {
				t.Errorf("%d requests without a verdict, %v", failed, err)
			}
		}
	})
}

// asStated gives the pool the size that is stated, whatever lives.
func asStated(t *testing.T, s *stage.Stage) {
	t.Helper()
	if err := setByHand(t.Context(), s, 100); err != nil {
		t.Fatal(err)
	}
	if _, err := await(t.Context(), s, "100 units", func(p pool) bool { return p.Size == 100 && p.Source == "hand" }, nil); err != nil {
		t.Fatal(err)
	}
}

func TestWeightedCapacity(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *stage.Stage, f *fleet) {
		t.Run("C-01 C-03 C-04 C-10 all Envoys and replicas share one pool exactly", func(t *testing.T) { exactly(t, s, f) })
		t.Run("C-06 a hog leaves the others what they are guaranteed", func(t *testing.T) { hog(t, s) })
		t.Run("C-02 each API costs its weight, whatever the client says", func(t *testing.T) { costs(t, s) })
		t.Run("C-05 C-08 C-17 fifty units a minute for each consumer", func(t *testing.T) { budget(t, s) })
		t.Run("C-16 C-19 without Envoy, and a call that never fits", func(t *testing.T) { withoutEnvoy(t, s) })
		t.Run("C-18 it is counted how often each API is refused", func(t *testing.T) {
			for _, outcome := range []string{"allowed", "denied"} {
				n, err := s.Metric(`weir_decisions_total{domain="capacity",limit="api=c",outcome="` + outcome + `"}`)
				if err != nil || n == 0 {
					t.Errorf("%d calls of c are %s, %v", n, outcome, err)
				}
			}
		})
		t.Run("C-11 C-15 calls wait for their turn, and a full queue refuses at once", func(t *testing.T) { queues(t, s) })
		t.Run("C-12 C-14 units in flight: the next call waits for one to end", func(t *testing.T) { jobs(t, s, f) })
		t.Run("C-07 failures shrink the pool, frozen it stays, and its rate is set while it runs", func(t *testing.T) { follows(t, s) })
	})
}

// flood sends calls of all APIs at once, and answers how many units were admitted.
func flood(t *testing.T, s *stage.Stage, each int) (admitted int) {
	t.Helper()
	var all sync.WaitGroup
	var passed [3]int
	for i, name := range []string{"a", "b", "c"} {
		all.Go(func() {
			counts := s.Burst(t.Context(), each, stage.Request{Path: "/api/" + name})
			if passed[i] = counts[http.StatusOK]; counts[http.StatusOK]+counts[http.StatusTooManyRequests] != each {
				t.Errorf("%s: %v of %d calls", name, counts, each)
			}
		})
	}
	all.Wait()
	return passed[0] + 2*passed[1] + 3*passed[2]
}

// exactly floods a full pool of 100 that refills 10 a second. Who borrows leaves the
// others their whole reserves of 10, also where they have used them already: so
// once 20 units and less than a call's 3 may stay unused.
func exactly(t *testing.T, s *stage.Stage, f *fleet) {
	begin := time.Now()
	admitted := flood(t, s, 100)
	most := 100 + int(10*time.Since(begin).Seconds()) + 1
	if admitted > most || admitted < 77 {
		t.Errorf("%d units of a pool of 100 were admitted in %v, at most %d could be", admitted, time.Since(begin), most)
	}
	if arrived := f.calls("/api/a") + 2*f.calls("/api/b") + 3*f.calls("/api/c"); arrived != admitted {
		t.Errorf("%d units arrived at the backends, %d were admitted", arrived, admitted)
	}
}

// hog lets c want all, while a wants a little less than it is guaranteed: 2 units a
// second.
func hog(t *testing.T, s *stage.Stage) {
	if err := pause(t.Context(), 1500*time.Millisecond); err != nil { // a's own reserve is used up, and gets 2 a second
		t.Fatal(err)
	}
	_, hogged, err := during(t.Context(), s, 10, 100*time.Millisecond, "/api/c", func() error {
		for range 6 {
			answer, err := s.Send(t.Context(), stage.Request{Path: "/api/a"})
			if err != nil || answer.Status != http.StatusOK {
				t.Errorf("a call within its guarantee: %s %v", answer.Proto, err)
			}
			if err := pause(t.Context(), 600*time.Millisecond); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || hogged == 0 {
		t.Errorf("of the hog %d passed, %v", hogged, err)
	}
}

// as is a consumer's call of an API within his budget.
func as(consumer, name string) stage.Request {
	return stage.Request{Path: "/budget/" + name, Header: map[string]string{"X-Consumer": consumer, "X-Weight": "0", "Cost": "0"}}
}

func send(t *testing.T, s *stage.Stage, r stage.Request) stage.Answer {
	t.Helper()
	answer, err := s.Send(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func costs(t *testing.T, s *stage.Stage) {
	for name, units := range weights {
		answer := send(t, s, as("new-"+name, name))
		if left := answer.Header.Get("X-Ratelimit-Remaining"); answer.Status != http.StatusOK || left != strconv.Itoa(50-units) {
			t.Errorf("%s costs %d, and left are %s of 50", name, units, left)
		}
	}
}

// budget uses 48 of 50 units; 3 are refused then and take nothing, 2 pass, and then
// not even 1. A second and more would refill one.
func budget(t *testing.T, s *stage.Stage) {
	if counts := s.Burst(t.Context(), 16, as("x", "c")); counts[http.StatusOK] != 16 {
		t.Fatalf("%v of 16 calls for 48 of 50 units", counts)
	}
	refused := send(t, s, as("x", "c"))
	if retry, err := strconv.Atoi(refused.Header.Get("Retry-After")); refused.Status != http.StatusTooManyRequests || err != nil || retry < 1 || refused.Body == "" {
		t.Errorf("3 of 2 units: %s, Retry-After %q, %q", refused.Proto, refused.Header.Get("Retry-After"), refused.Body)
	}
	if answer := send(t, s, as("x", "b")); answer.Status != http.StatusOK {
		t.Errorf("2 of 2 units: %s", answer.Proto)
	}
	if answer := send(t, s, as("x", "a")); answer.Status != http.StatusTooManyRequests {
		t.Errorf("1 of none: %s", answer.Proto)
	}
	if answer := send(t, s, as("y", "a")); answer.Status != http.StatusOK {
		t.Errorf("another consumer: %s", answer.Proto)
	}
}

func withoutEnvoy(t *testing.T, s *stage.Stage) {
	ask := func(path, entry, hits string) (status int, answer string) {
		body := `{"domain": "capacity", "descriptors": [{"entries": [` + entry + `]}], "hitsAddend": ` + hits + `}`
		status, answer, err := (api{s.Weirs[len(s.Weirs)-1].HTTP}).ask(t.Context(), http.MethodPost, path, body)
		if err != nil {
			t.Fatal(err)
		}
		return status, answer
	}
	consumer := `{"key": "consumer", "value": "nginx"}, {"key": "route", "value": "c"}`
	if status, answer := ask("/check", consumer, "1"); status != http.StatusOK {
		t.Errorf("3 of 50 units: %d %s", status, answer)
	}
	if status, answer := ask("/check", consumer, "17"); status != http.StatusTooManyRequests || strings.Contains(answer, "durationUntilReset") {
		t.Errorf("51 of 50 units, which no wait helps: %d %s", status, answer)
	}
	if status, answer := ask("/acquire?wait=5s", `{"key": "sync", "value": "c"}`, "1"); status != http.StatusOK {
		t.Errorf("a call that may wait: %d %s", status, answer)
	}
}

// queues sends more calls than the queues of all replicas hold.
func queues(t *testing.T, s *stage.Stage) {
	const n = 200
	if err := pause(t.Context(), time.Second); err != nil { // 20 tokens
		t.Fatal(err)
	}
	begin := time.Now()
	counts := s.Burst(t.Context(), n, stage.Request{Path: "/sync/a"})
	took := time.Since(begin)
	admitted, places := counts[http.StatusOK], 60*len(s.Weirs)
	if admitted+counts[http.StatusTooManyRequests] != n || admitted < 20+places-1 || admitted == n {
		t.Errorf("%v of %d calls, at 20 at once and %d that wait", counts, n, places)
	}
	if most := 20 + int(20*took.Seconds()) + 1; admitted > most {
		t.Errorf("%d were admitted in %v, at most %d could be", admitted, took, most)
	}
	if answer := send(t, s, stage.Request{Path: "/sync/a"}); answer.Status != http.StatusOK {
		t.Errorf("a single call, once the queue is empty again: %s", answer.Proto)
	}
}

// jobs holds the backends to 20 units in flight, whichever calls they are of.
func jobs(t *testing.T, s *stage.Stage, f *fleet) {
	f.mostInFlight()
	var all sync.WaitGroup
	for _, name := range []string{"a", "b", "c"} {
		all.Go(func() {
			if counts := s.Burst(t.Context(), 12, stage.Request{Path: "/jobs/" + name + "?work=200ms"}); counts[http.StatusOK] != 12 {
				t.Errorf("%s: %v of 12 jobs", name, counts)
			}
		})
	}
	all.Wait()
	if most := f.mostInFlight(); most > 20 || most < 15 {
		t.Errorf("%d units were in flight at a time, of 20", most)
	}
	counts := s.Burst(t.Context(), 45, stage.Request{Path: "/jobs/a?work=200ms"})
	if most := f.mostInFlight(); counts[http.StatusOK] != 45 || most != 20 {
		t.Errorf("%v of 45 jobs, with %d in flight, want 20", counts, most)
	}
}

func follows(t *testing.T, s *stage.Stage) {
	shrunk := func(p pool) bool { return p.Factor < 1_000_000 }
	fail := func(wanted func(pool) bool) error {
		_, _, err := during(t.Context(), s, 25, time.Second, "/api/a?fail", func() error {
			_, err := await(t.Context(), s, "calls that fail", wanted, nil)
			return err
		})
		return err
	}
	if err := fail(shrunk); err != nil {
		t.Fatal(err)
	}
	if err := freeze(t.Context(), s, true); err != nil {
		t.Fatal(err)
	}
	if err := pause(t.Context(), 1500*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	before, err := units(t.Context(), s)
	if err != nil || !before.Frozen || before.Size > 90 {
		t.Fatalf("frozen, the pool is %+v, %v", before, err)
	}
	s.Burst(t.Context(), 40, stage.Request{Path: "/api/a?fail"})
	if err := pause(t.Context(), 2500*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if after, err := units(t.Context(), s); err != nil || after != before {
		t.Errorf("frozen, the pool went from %+v to %+v, %v", before, after, err)
	}
	err = api{s.Weirs[0].HTTP}.do(t.Context(), http.MethodPut, "/limits/units", `{"rate": "20/s", "burst": 200, "ttl": "1m", "author": "ann", "reason": "faster backends"}`, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := await(t.Context(), s, "a pool that is stated otherwise", func(p pool) bool { return p.Stated == 200 }, nil); err != nil {
		t.Error(err)
	}
}

// Three Envoys and three replicas: still one pool.
func TestC01_ThreeEnvoysShareOnePool(t *testing.T) {
	e := example()
	f := e.Upstreams[0].Handler.(*backend).fleet
	args := func(rules, redisURL string) (all [][]string) {
		for range 3 {
			all = append(all, []string{
				"--rules", rules, "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--store", "redis", "--redis-url", redisURL,
				"--store-timeout", "2s", "--drain-delay", "0s", "--admin-token", adminToken,
			})
		}
		return all
	}
	s, err := stage.Start(e, stage.Options{
		Store: "redis", Weir: stagetest.Weir, Files: ".",
		Cast: &stage.Cast{Server: parts.RedisServer, Envoys: 3, Envoy: filepath.Join(".", "envoy.yaml"), Weirs: args},
	}, stage.NewScreen(t.Output()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	asStated(t, s)
	exactly(t, s, f)
}

// The replica that computes the sizes is lost, and a backend too: the other one
// goes on, and all sources count as before.
func TestC13_TheSizeFollowsThoughAReplicaIsLost(t *testing.T) {
	e := example()
	f := e.Upstreams[0].Handler.(*backend).fleet
	s := stagetest.Start(t, e, "redis")
	if _, err := await(t.Context(), s, "three healthy hosts", func(p pool) bool { return p.Size == 60 }, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Lose(s.Weirs[1].Process); err != nil { // either may lead; the story loses nobody
		t.Fatal(err)
	}
	f.backends[0].ill.Store(true)
	began := time.Now()
	if _, err := await(t.Context(), s, "two healthy hosts", func(p pool) bool { return p.Size == 40 }, nil); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the pool had its size after %v", took)
	}
	if err := (api{s.Weirs[0].HTTP}).do(t.Context(), http.MethodPut, "/pools/units/instances/pod-1", `{"units": 30, "ttl": "1m"}`, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := await(t.Context(), s, "what an instance says", func(p pool) bool { return p.Size == 30 && p.Source == "heartbeats" }, nil); err != nil {
		t.Error(err)
	}
}

// What weir's API cannot do is said by the field at fault.
func TestC13_BadCapacitiesAreRefused(t *testing.T) {
	s := stagetest.Start(t, example(), "memory")
	for i, c := range []struct{ path, body, field string }{
		{"/pools/units/capacity", `{"total": 4000}`, "total"},
		{"/pools/units/capacity", `{"total": "many"}`, "total"},
		{"/pools/units/instances/pod-1", `{"units": 1e3}`, "units"},
		{"/pools/units/instances/pod-1", `{"units": 20, "ttl": "1ms"}`, "ttl"},
		{"/pools/none/instances/pod-1", `{"units": 20}`, "pool"},
		{"/pools/queue/instances/pod-1", `{"units": 20}`, "pool"},
	} {
		status, answer, err := (api{s.Weirs[0].HTTP}).ask(t.Context(), http.MethodPut, c.path, c.body)
		if err != nil || status < 400 || status > 499 || !strings.Contains(answer, fmt.Sprintf("%q:%q", "field", c.field)) {
			t.Errorf("%d: PUT %s %s: %d %s %v, want a fault of %s", i, c.path, c.body, status, answer, err, c.field)
		}
	}
}
