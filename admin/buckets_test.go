package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/weir-rls/weir/internal/parts/partstest"
)

// A bucket that is there stays as it is, whatever is asked for in its name.
func TestW06_ABucketIsCreatedOnceAndStays(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		first := w.must(200, "PUT", "/api/v1/buckets/partner", `{"rate": "1/4s", "burst": 4, "initial": "empty", "max_wait": "1h", "max_waiters": 10}`)
		if first.at("created") != true || first.at("rate") != "1/4s" || first.at("max_wait") != "1h0m0s" {
			t.Errorf("created: %s", first.Body)
		}
		again := w.must(200, "PUT", "/api/v1/buckets/partner", `{"rate": "100/s"}`)
		if again.at("created") != false || again.at("rate") != "1/4s" || again.at("version") != first.at("version") {
			t.Errorf("again: %s", again.Body)
		}
		seen := first.at("version").(float64)
		if got := w.ask("PUT", "/api/v1/buckets/partner", fmt.Sprintf(`{"rate": "2/s", "version": %.0f}`, seen+1)); got.Code != 409 || got.at("version") != seen {
			t.Errorf("another version: %d %s", got.Code, got.Body)
		}
		if got := w.ask("PUT", "/api/v1/buckets/partner", `{"rate": "2/s", "version": 0}`); got.Code != 409 || got.at("version") != seen {
			t.Errorf("create only: %d %s", got.Code, got.Body)
		}
		r := request("PUT", "/api/v1/buckets/partner", `{"rate": "2/s"}`)
		r.Header.Set("If-Match", first.Header().Get("ETag"))
		if got := w.do(r); got.Code != 200 || got.at("rate") != "2/s" || got.at("created") != false {
			t.Errorf("update: %d %s", got.Code, got.Body)
		}
		if got := w.must(200, "GET", "/api/v1/buckets/partner", ""); got.at("rate") != "2/s" || got.at("remaining") == nil {
			t.Errorf("got: %s", got.Body)
		}
		if got := w.must(200, "PUT", "/api/v1/buckets/new", `{"rate": "2/s", "version": 0}`); got.at("created") != true {
			t.Errorf("create only: %s", got.Body)
		}
		w.must(200, "DELETE", "/api/v1/buckets/new", "")
		w.must(200, "PUT", "/api/v1/buckets/other%2Fone", `{"max_tokens": 4, "refill_period_ms": 4000}`)
		if got := w.must(200, "GET", "/api/v1/buckets/other/one", ""); got.at("rate") != "1/4000ms" || got.at("burst") != 4.0 || got.at("initial") != "empty" {
			t.Errorf("by the other names: %s", got.Body)
		}
		if all := w.must(200, "GET", "/api/v1/buckets", "").at("buckets").([]any); len(all) != 2 {
			t.Errorf("listed: %v", all)
		}
		w.must(409, "DELETE", "/api/v1/buckets/partner?version=1", "")
		w.must(200, "DELETE", "/api/v1/buckets/partner", "")
		w.must(404, "DELETE", "/api/v1/buckets/partner", "")
	})
}

func TestW07_ABucketThatNobodyMadeIsNotFound(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		for _, c := range [][3]string{
			{"GET", "/api/v1/buckets/nobody", ""},
			{"DELETE", "/api/v1/buckets/nobody", ""},
			{"POST", "/api/v1/check", `{"bucket": "nobody"}`},
			{"POST", "/api/v1/acquire?wait=1s", `{"bucket": "nobody", "tokens": 2}`},
		} {
			got := w.must(404, c[0], c[1], c[2])
			if got.at("detail") != "bucket nobody not found" || got.at("field") != "bucket" {
				t.Errorf("%s %s: %s", c[0], c[1], got.Body)
			}
		}
	})
}

// check answers at once; acquire is held until the tokens are there, but not
// longer than it says.
func TestC19_W02_TokensAreTakenOrWaitedForWithoutEnvoy(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.must(200, "PUT", "/api/v1/buckets/partner", `{"rate": "1/300ms", "burst": 2}`)
		took := w.must(200, "POST", "/api/v1/check", `{"bucket": "partner", "tokens": 2}`)
		if took.at("allowed") != true || took.at("remaining") != 0.0 {
			t.Errorf("%s", took.Body)
		}
		refused := w.must(429, "POST", "/api/v1/check", `{"bucket": "partner"}`)
		if refused.at("allowed") != false || refused.at("retry_after") == nil || refused.Header().Get("Retry-After") != "1" {
			t.Errorf("%v %s", refused.Header(), refused.Body)
		}
		if got := w.must(429, "POST", "/api/v1/check", `{"bucket": "partner", "tokens": 3}`); got.at("never") != true || got.Header().Get("Retry-After") != "" {
			t.Errorf("more than it holds: %v %s", got.Header(), got.Body)
		}
		if got := w.must(429, "POST", "/api/v1/acquire?wait=10ms", `{"bucket": "partner"}`); got.at("allowed") != false {
			t.Errorf("%s", got.Body)
		}
		begun := time.Now()
		if got := w.must(200, "POST", "/api/v1/acquire?wait=5s", `{"bucket": "partner"}`); got.at("waited") == "0s" || time.Since(begun) > 2*time.Second {
			t.Errorf("%s after %v", got.Body, time.Since(begun))
		}
	})
}

// Rules are asked as Envoy asks them, and answer with Envoy's fields.
func TestC19_RulesAreAskedWithoutEnvoy(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		const body = `{"domain": "shop", "descriptors": [{"entries": [{"key": "user", "value": "u"}]}]}`
		if got := w.must(200, "POST", "/api/v1/check", body); got.at("overallCode") != "OK" {
			t.Errorf("%s", got.Body)
		}
		if got := w.must(429, "POST", "/api/v1/check", body); got.at("overallCode") != "OVER_LIMIT" || got.Header().Get("Retry-After") == "" || got.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%v %s", got.Header(), got.Body)
		}
		for _, field := range []string{"descriptors[0].entries[0].key", "domain"} {
			bad := map[string]string{
				"domain":                        strings.Replace(body, "shop", "nobody", 1),
				"descriptors[0].entries[0].key": strings.Replace(body, `"user"`, `7`, 1),
			}[field]
			got := w.ask("POST", "/api/v1/acquire", bad)
			if got.Code < 400 || got.Code > 404 || got.at("field") != field || got.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s: %d %s", bad, got.Code, got.Body)
			}
		}
	})
}

// A level is read without taking, and reset for one limit or all.
func TestLevelsAreReadAndResetByKey(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		const target = "/api/v1/buckets?domain=llm&entry=user=u%3D1"
		w.must(200, "POST", "/api/v1/check", `{"domain": "llm", "descriptors": [{"entries": [{"key": "user", "value": "u=1"}]}], "hitsAddend": 60}`)
		for range 3 {
			if got := w.must(200, "GET", target, ""); got.at("levels", "limit") != "per-user" || got.at("levels", "used").(float64) < 58 {
				t.Errorf("%s", got.Body)
			}
		}
		if got := w.must(404, "DELETE", target+"&limit=vip", ""); got.at("field") != "entry" {
			t.Errorf("%s", got.Body)
		}
		if got := w.must(200, "DELETE", target+"&limit=per-user", ""); got.at("reset") != 1.0 {
			t.Errorf("%s", got.Body)
		}
		if got := w.must(200, "GET", target, ""); got.at("levels", "used") != 0.0 {
			t.Errorf("after the reset: %s", got.Body)
		}
		for target, field := range map[string]string{
			"/api/v1/buckets?entry=user=u": "domain", "/api/v1/buckets?domain=llm": "entry", "/api/v1/buckets?domain=llm&entry=user": "entry",
			"/api/v1/buckets?domain=llm&entry==u": "entry", "/api/v1/buckets?domain=nobody&entry=user=u": "domain",
			"/api/v1/buckets?domain=llm&domain=shop&entry=user=u": "domain", "/api/v1/buckets?domian=llm": "domian",
		} {
			for _, method := range []string{"GET", "DELETE"} {
				if got := w.ask(method, target, ""); got.Code < 400 || got.Code > 404 || got.at("field") != field {
					t.Errorf("%s %s: %d %s, want a fault of %s", method, target, got.Code, got.Body, field)
				}
			}
		}
	})
}

// A caller who is held longer than the server's time-outs is answered all the
// same, and one who leaves takes no token.
func TestW13_WhoIsHeldLongIsAnsweredAndWhoLeavesTakesNothing(t *testing.T) {
	w := alone(t)
	server := httptest.NewUnstartedServer(w)
	server.Config.ReadTimeout, server.Config.WriteTimeout = 100*time.Millisecond, 100*time.Millisecond
	server.Start()
	defer server.Close()
	w.must(200, "PUT", "/api/v1/buckets/slow", `{"rate": "1/s", "burst": 1}`)
	begun := time.Now()
	w.must(200, "POST", "/api/v1/check", `{"bucket": "slow"}`)
	acquire := func(ctx context.Context) (int, error) {
		r, err := http.NewRequestWithContext(ctx, "POST", server.URL+"/api/v1/acquire?wait=10s", strings.NewReader(`{"bucket": "slow"}`))
		if err != nil {
			return 0, err
		}
		r.Header.Set("Content-Type", "application/json")
		answer, err := server.Client().Do(r)
		if err != nil {
			return 0, err
		}
		defer answer.Body.Close()
		_, err = io.Copy(io.Discard, answer.Body)
		return answer.StatusCode, err
	}
	ctx, leave := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer leave()
	if code, err := acquire(ctx); err == nil {
		t.Errorf("who left was answered %d", code)
	}
	partstest.Eventually(t, 30*time.Second, "his token is given back, which is tried in the background, and only while nobody stands behind him", func() bool {
		full, err := time.ParseDuration(fmt.Sprint(w.must(200, "GET", "/api/v1/buckets/slow", "").at("reset")))
		return err == nil && full <= time.Second
	})
	if code, err := acquire(t.Context()); err != nil || code != 200 {
		t.Errorf("who stayed: %d, %v", code, err)
	}
	if took := time.Since(begun); took < 900*time.Millisecond || took > 1700*time.Millisecond {
		t.Errorf("it took %v: who left still had the token of before", took)
	}
}

// Units are counted for as long as a backend says, a capacity set by hand wins
// over them, and failures are left out where an operator says so.
func TestC13_APoolFollowsItsInstancesAndTheOperator(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		size := func() (size, instances any) {
			got := w.must(200, "GET", "/api/v1/pools?domain=llm", "")
			return got.at("pools", "size"), got.at("pools", "instances")
		}
		w.must(200, "PUT", "/api/v1/pools/units/instances/pod-1", `{"units": 30, "ttl": "1m"}`)
		w.must(200, "PUT", "/api/v1/pools/units/instances/pod-2", `{}`)
		partstest.Eventually(t, 5*time.Second, "both are counted", func() bool { size, n := size(); return size == 50.0 && n == 2.0 })
		w.must(200, "DELETE", "/api/v1/pools/units/instances/pod-1?domain=llm", "")
		partstest.Eventually(t, 5*time.Second, "one left", func() bool { size, n := size(); return size == 20.0 && n == 1.0 })
		set := w.must(200, "PUT", "/api/v1/pools/units/capacity", `{"per_instance": 10, "instances": 3, "ttl": "1h", "reason": "rollout"}`)
		if set.at("capacity", "expires") == nil {
			t.Errorf("%s", set.Body)
		}
		w.must(200, "PUT", "/api/v1/pools/units/feedback", `{"freeze": true}`)
		w.must(200, "DELETE", "/api/v1/pools/units/capacity?author=ann", "")
		if got := w.must(200, "GET", "/api/v1/history", ""); strings.Count(got.Body.String(), `"action"`) != 3 || got.at("history", "author") != "ann" {
			t.Errorf("told: %s", got.Body)
		}
	})
}

// What is answered is JSON that ends in a line, so that a shell shows it well.
func TestAnswersAreOneLineOfJSON(t *testing.T) {
	w := alone(t)
	for _, target := range []string{"/api/v1/limits", "/api/v1/pools", "/api/v1/buckets", "/api/v1/history", "/api/v1/nothing"} {
		got := w.ask("GET", target, "").Body.String()
		if !json.Valid([]byte(got)) || strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, "\n") || strings.Contains(got, "null") {
			t.Errorf("%s: %q", target, got)
		}
	}
}
