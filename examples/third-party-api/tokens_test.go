package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-rls/weir/internal/stage"
)

// api is the HTTP API of a replica, in turn.
func api(s *stage.Stage, i int) tokens { return tokens{s.Weirs[i%len(s.Weirs)].HTTP} }

// ask sends a request to the API, which must answer.
func (t tokens) ask(test *testing.T, method, path string, body any) answer {
	test.Helper()
	a, err := t.do(test.Context(), method, path, body)
	if err != nil {
		test.Fatal(err)
	}
	return a
}

// problem wants a refusal in the form of RFC 9457, and tells the field at fault.
func (a answer) problem(t *testing.T, status int) (field, detail string) {
	t.Helper()
	var p struct {
		Title, Detail, Field string
		Status               int
	}
	err := json.Unmarshal([]byte(a.Body), &p)
	if err != nil || a.Status != status || p.Status != status || p.Detail == "" || a.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %q, want a problem with status %d", a.Status, a.Body, status)
	}
	return p.Field, p.Detail
}

// Buckets without Envoy, on each replica in turn.
func TestTokensWithoutEnvoy(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *stage.Stage, _ *others) {
		t.Run("W-06 of many who create a bucket one does, and it stays as it is", func(t *testing.T) { createOnce(t, s) })
		t.Run("W-01 W-16 a bucket in milliseconds", func(t *testing.T) {
			a := api(s, 0).ask(t, http.MethodGet, "/buckets/once", nil)
			var d struct {
				Rate, Initial string
				Burst         int64
			}
			if err := json.Unmarshal([]byte(a.Body), &d); err != nil || d.Rate != "1/300ms" || d.Burst != 2 || d.Initial != "empty" {
				t.Errorf("%d %s, want 2 tokens, one more in 300 ms, none at first", a.Status, a.Body)
			}
		})
		t.Run("W-02 W-03 W-12 acquire waits, check does not", func(t *testing.T) { acquires(t, s) })
		t.Run("W-07 an unknown bucket is not found", func(t *testing.T) {
			for _, path := range []string{"/check", "/acquire?wait=5s"} {
				if _, detail := api(s, 0).ask(t, http.MethodPost, path, map[string]string{"bucket": "X"}).problem(t, 404); detail != "bucket X not found" {
					t.Errorf("%s: %q", path, detail)
				}
			}
			api(s, 1).ask(t, http.MethodGet, "/buckets/X", nil).problem(t, 404)
		})
		t.Run("W-11 W-14 bad numbers are refused by their field", func(t *testing.T) { badNumbers(t, s) })
		t.Run("W-10 lines are served in order, from the same buckets", func(t *testing.T) { byLine(t, s) })
		t.Run("W-15 no level is kept for ever", func(t *testing.T) { expires(t, s) })
	})
}

func createOnce(t *testing.T, s *stage.Stage) {
	var mu sync.Mutex
	var all sync.WaitGroup
	times := 0
	for i := range 10 {
		all.Go(func() {
			created, err := api(s, i).create(t.Context(), "once", 2, period)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if created {
				times++
			}
		})
	}
	all.Wait()
	if times != 1 {
		t.Errorf("the bucket was created %d times", times)
	}
	if created, err := api(s, 1).create(t.Context(), "once", 1000, time.Millisecond); created || err != nil {
		t.Errorf("a known bucket was created: %v", err)
	}
}

// acquires waits for the tokens of the bucket that createOnce made.
func acquires(t *testing.T, s *stage.Stage) {
	bucket := map[string]string{"bucket": "once"}
	refused := api(s, 0).ask(t, http.MethodPost, "/check", bucket)
	if refused.Status != http.StatusTooManyRequests || refused.Header.Get("Retry-After") != "1" {
		t.Errorf("check of an empty bucket: %d %v", refused.Status, refused.Header)
	}
	begin := time.Now() // the bucket was seen empty just now
	for n := range 3 {
		if err := api(s, n).acquire(t.Context(), "once", 5*time.Second); err != nil {
			t.Error(err)
		}
		if took, least := time.Since(begin), time.Duration(n+1)*period-soon; took < least {
			t.Errorf("token %d after %v, want no sooner than %v", n, took, least)
		}
	}
	begin = time.Now()
	short := api(s, 0).ask(t, http.MethodPost, "/acquire?wait=10ms", bucket)
	if took := time.Since(begin); short.Status != http.StatusTooManyRequests || took > period-soon {
		t.Errorf("a wait that cannot succeed: %d after %v", short.Status, took)
	}
	if err := pause(t.Context(), 3*period); err != nil {
		t.Fatal(err)
	}
	if a := api(s, 1).ask(t, http.MethodPost, "/check", bucket); a.Status != http.StatusOK {
		t.Errorf("check of a bucket with tokens: %d %s", a.Status, a.Body)
	}
}

func badNumbers(t *testing.T, s *stage.Stage) {
	put := func(body any) answer { return api(s, 0).ask(t, http.MethodPut, "/buckets/bad", body) }
	for body, field := range map[string]string{
		`{"max_tokens": 0, "refill_period_ms": 4000}`:                 "max_tokens",
		`{"max_tokens": 4, "refill_period_ms": 0}`:                    "refill_period_ms",
		`{"max_tokens": -4, "refill_period_ms": 4000}`:                "max_tokens",
		`{"max_tokens": "4", "refill_period_ms": 4000}`:               "max_tokens",
		`{"max_tokens": 4.5, "refill_period_ms": 4000}`:               "max_tokens",
		`{"max_tokens": 4, "refill_period_ms": 99999999999999999999}`: "refill_period_ms",
		`{"max_tokens": 4}`:                  "refill_period_ms",
		`{"rate": "0/s"}`:                    "rate",
		`{"rate": "1/eon"}`:                  "rate",
		`{"rate": "1/s", "burst": 0}`:        "burst",
		`{"rate": "1/s", "initial": "half"}`: "initial",
		`{"rate": "1/s", "max_wait": "25h"}`: "max_wait",
		`{"rate": "1/s", "speed": 1}`:        "speed",
		`{"max_tokens": 4611686018427387000, "refill_period_ms": 4000, "max_wait": "1h"}`: "max_tokens",
	} {
		a := put(body)
		if got, _ := a.problem(t, a.Status); got != field || a.Status < 400 || a.Status > 499 {
			t.Errorf("%s: %d, field %q, want a client's fault of %s", body, a.Status, got, field)
		}
	}
	api(s, 0).ask(t, http.MethodGet, "/buckets/bad", nil).problem(t, 404)
}

func byLine(t *testing.T, s *stage.Stage) {
	const n = 100
	l, err := dialLines(t.Context(), s.Weirs[0].Line)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	next := func(want string) {
		t.Helper()
		if got, err := l.next(); err != nil || got != want {
			t.Fatalf("answered %q, %v, want %q", got, err, want)
		}
	}
	all := []string{"INIT i lines 1 10"}
	for i := range n {
		all = append(all, fmt.Sprintf("CHECK r%d lines", i))
	}
	begin := time.Now()
	if err := l.send(all...); err != nil {
		t.Fatal(err)
	}
	next("i: DONE")
	for i := range n {
		next(fmt.Sprintf("r%d: AVAILABLE", i))
	}
	if took := time.Since(begin); took < n*10*time.Millisecond-soon {
		t.Errorf("%d tokens of 10 ms each within %v", n, took)
	}
	if a := api(s, 1).ask(t, http.MethodPost, "/check", map[string]string{"bucket": "lines"}); a.Status != http.StatusOK && a.Status != http.StatusTooManyRequests {
		t.Errorf("the bucket of the lines over HTTP: %d %s", a.Status, a.Body)
	}
	for line, want := range map[string]string{
		"CHECK r":               "r: ERROR - reqID bucketID are required",
		"CHECK r X":             "bucket X not found",
		"INIT r b 4 0":          "r: ERROR - refillRate should be at least 1",
		"INIT r b four 4000":    "r: ERROR - maxTokens should be an integer",
		"INIT r b 4 4000ms":     "r: ERROR - refillRate should be an integer",
		"INIT r once 1000000 1": "r: DONE",
	} {
		if err := l.send(line); err != nil {
			t.Fatal(err)
		}
		next(want)
	}
	if err := l.send("STOP"); err != nil {
		t.Fatal(err)
	}
	if more, err := l.next(); err == nil {
		t.Errorf("after STOP: %q", more)
	}
}

// expires looks at every key of a bucket that the tests before have asked.
func expires(t *testing.T, s *stage.Stage) {
	if s.Redis == nil {
		return // what the memory store forgets is for its own tests
	}
	admin := goredis.NewClient(&goredis.Options{Addr: s.Redis.Addr})
	defer func() { _ = admin.Close() }()
	found := 0
	for _, key := range admin.Keys(t.Context(), "*").Val() {
		ttl := admin.PTTL(t.Context(), key).Val()
		switch {
		case strings.HasPrefix(key, "weir.bucket:"):
			if found++; ttl <= 0 || ttl > 2*time.Hour {
				t.Errorf("the level %s lives for %v", key, ttl)
			}
		case ttl <= 0 && !strings.HasPrefix(key, "{weir:") && key != "weir:receipt-key":
			t.Errorf("%s never expires", key)
		}
	}
	if found == 0 {
		t.Error("no level was found")
	}
}
