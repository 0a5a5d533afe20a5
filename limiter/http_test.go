package limiter_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-rls/weir/limiter"
)

// fine answers 200.
var fine = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("fine")) })

// ask sends a request from an address, with headers in pairs.
func ask(h http.Handler, from string, headers ...string) *httptest.ResponseRecorder {
	return askCtx(context.Background(), h, from, headers...)
}

func askCtx(ctx context.Context, h http.Handler, from string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	r.RemoteAddr = from
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestC20_HandlerAnswers429WithRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, limiter.Options{})
		h := l.Handler(fine, limiter.RemoteAddr, limiter.WithCapacity(2), limiter.WithRatePer(1, 2500*time.Millisecond))
		for range 2 {
			if w := ask(h, "192.0.2.1:1"); w.Code != http.StatusOK || w.Body.String() != "fine" {
				t.Fatalf("answered %d %s", w.Code, w.Body)
			}
		}
		w := ask(h, "192.0.2.1:2")
		var problem struct {
			Type, Title string
			Status      int
		}
		if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil || problem.Status != 429 || problem.Type == "" || problem.Title == "" {
			t.Errorf("the body %s is no problem: %v", w.Body, err)
		}
		if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "3" || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("answered %d with %v, want 429 and 3 seconds", w.Code, w.Header())
		}
		if w := ask(h, "192.0.2.2:1"); w.Code != http.StatusOK {
			t.Errorf("another address is answered %d", w.Code)
		}
		if elapse(3 * time.Second); ask(h, "192.0.2.1:3").Code != http.StatusOK {
			t.Error("refused after the time that Retry-After said")
		}
	})
}

// Two servers that share a Redis are one limit.
func TestC20_C01_ServersShareALimit(t *testing.T) {
	onStores(t, func(t *testing.T, l, other *limiter.Limiter) {
		var urls []string
		for _, from := range []*limiter.Limiter{l, other} {
			server := httptest.NewServer(from.Handler(fine, limiter.Header("x-api-key"), limiter.WithCapacity(60), limiter.WithRatePer(1, 1000*day)))
			t.Cleanup(server.Close)
			urls = append(urls, server.URL)
		}
		client := &http.Client{Transport: &http.Transport{}}
		t.Cleanup(client.CloseIdleConnections)
		var passed, refused atomic.Int64
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, urls[i%2], nil)
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("X-Api-Key", "k")
				answer, err := client.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				_ = answer.Body.Close()
				switch answer.StatusCode {
				case http.StatusOK:
					passed.Add(1)
				case http.StatusTooManyRequests:
					refused.Add(1)
				}
			})
		}
		all.Wait()
		if passed.Load() != 60 || refused.Load() != 140 {
			t.Errorf("%d of 200 requests pass and %d are refused, want 60 and 140", passed.Load(), refused.Load())
		}
	})
}

// A store whose verdict is unknown is no refusal: the client is to know whose fault
// it is, and nothing of the store.
func TestHandlerAnswers503WhenTheLimitCannotBeChecked(t *testing.T) {
	l := open(t, limiter.Options{RedisURL: away(t), OnStoreError: limiter.ReturnError, Timeout: patience})
	w := ask(l.Handler(fine, limiter.RemoteAddr), "192.0.2.1:1")
	if w.Code != http.StatusServiceUnavailable || !json.Valid(w.Body.Bytes()) || strings.Contains(w.Body.String(), "127.0.0.1") {
		t.Errorf("answered %d %s", w.Code, w.Body)
	}
	refusing := open(t, limiter.Options{RedisURL: away(t), OnStoreError: limiter.RefuseAll, Timeout: patience})
	w = ask(refusing.Handler(fine, limiter.RemoteAddr), "192.0.2.1:1")
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "" {
		t.Errorf("answered %d with %v, want 429 without a Retry-After that nobody knows", w.Code, w.Header())
	}
}

func TestHandlerDoesNotServeAClientThatHasLeft(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("served") })
	askCtx(gone, open(t, limiter.Options{}).Handler(next, limiter.RemoteAddr), "192.0.2.1:1")
}

// A mistake in the program is told when it starts, not by the first request.
func TestC16_HandlerPanicsOnWhatCanNeverWork(t *testing.T) {
	l := open(t, limiter.Options{})
	for what, build := range map[string]func(){
		"no next handler":        func() { l.Handler(nil, limiter.RemoteAddr) },
		"no KeyFunc":             func() { l.Handler(fine, nil) },
		"a bad option":           func() { l.Handler(fine, limiter.RemoteAddr, limiter.WithRate(0)) },
		"more than the capacity": func() { l.Handler(fine, limiter.RemoteAddr, limiter.WithRequested(11)) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", what)
				}
			}()
			build()
		}()
	}
}

func TestG01_KeysOfAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1:5678":               "addr 192.0.2.1",
		"192.0.2.1":                    "addr 192.0.2.1",
		"[::ffff:192.0.2.1]:5678":      "addr 192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:5678":  "addr 2001:db8:1:2::/64",
		"2001:db8:1:2:ffff::":          "addr 2001:db8:1:2::/64",
		"[fe80::1%eth0]:5678":          "addr fe80::/64",
		"@":                            "addr @",
		"":                             "addr ",
		"999.0.2.1:5678":               "addr 999.0.2.1:5678",
		"/run/a.sock":                  "addr /run/a.sock",
		"192.0.2.1:5678, 192.0.2.2:80": "addr 192.0.2.1:5678, 192.0.2.2:80",
	} {
		if got := limiter.AddressKey(address); got != want {
			t.Errorf("the key of %q is %q, want %q", address, got, want)
		}
	}
}

func TestHeaderIsAKey(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if got := limiter.Header("x-api-key")(r); got != "X-Api-Key: " {
		t.Errorf("without the header: %q", got)
	}
	r.Header.Add("X-API-KEY", "a")
	r.Header.Add("X-API-KEY", "b")
	if got := limiter.Header("X-Api-Key")(r); got != "X-Api-Key: a" {
		t.Errorf("with two values: %q", got)
	}
}

var proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}

func forwarded(from string, headers ...string) string {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = from
	r.Header["X-Forwarded-For"] = headers
	return limiter.ForwardedFor(proxies...)(r)
}

func TestForwardedForBelievesTrustedProxiesOnly(t *testing.T) {
	for _, c := range []struct {
		name, from string
		header     []string
		want       string
	}{
		{"no proxy, no header", "192.0.2.1:1", nil, "192.0.2.1"},
		{"no proxy, a header that the client made up", "192.0.2.1:1", []string{"198.51.100.9"}, "192.0.2.1"},
		{"one proxy", "10.0.0.1:1", []string{"192.0.2.1"}, "192.0.2.1"},
		{"one proxy, that appended to what the client made up", "10.0.0.1:1", []string{"198.51.100.9, 192.0.2.1"}, "192.0.2.1"},
		{"the made-up part looks like a proxy", "10.0.0.1:1", []string{"198.51.100.9, 10.0.0.2, 192.0.2.1"}, "192.0.2.1"},
		{"two proxies", "10.0.0.1:1", []string{"198.51.100.9, 192.0.2.1, 10.0.0.2"}, "192.0.2.1"},
		{"two proxies, two lines", "10.0.0.1:1", []string{"198.51.100.9, 192.0.2.1", "10.0.0.2"}, "192.0.2.1"},
		{"a client in the proxies' network", "10.0.0.1:1", []string{"10.0.0.7,10.0.0.2"}, "10.0.0.7"},
		{"ports", "10.0.0.1:1", []string{"192.0.2.1:4711"}, "192.0.2.1"},
		{"IPv6", "[fd00::1]:1", []string{"[2001:db8::1]:4711,fd00::2"}, "2001:db8::/64"},
		{"a proxy on this link", "[fd00::1%eth0]:1", []string{"192.0.2.1"}, "192.0.2.1"},
		{"IPv4 in IPv6", "[::ffff:10.0.0.1]:1", []string{"::ffff:192.0.2.1"}, "192.0.2.1"},
		{"no header behind a proxy", "10.0.0.1:1", nil, "10.0.0.1"},
		{"garbage behind a proxy", "10.0.0.1:1", []string{"192.0.2.1, unknown, 10.0.0.2"}, "10.0.0.2"},
		{"an empty line", "10.0.0.1:1", []string{"192.0.2.1", ""}, "10.0.0.1"},
		{"an empty element", "10.0.0.1:1", []string{"192.0.2.1,"}, "10.0.0.1"},
		{"a socket that is no address", "@", []string{"192.0.2.1"}, "@"},
	} {
		if got := forwarded(c.from, c.header...); got != "addr "+c.want {
			t.Errorf("%s: %s with %q is %q, want %q", c.name, c.from, c.header, got, c.want)
		}
	}
}

// Whatever a client writes into the header, he counts with the address that the
// proxy saw, and without a proxy with his own.
func TestForwardedForIsNotTheClientsToChoose(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		hop := rapid.OneOf(rapid.SampledFrom([]string{"10.0.0.1", "192.0.2.9", "unknown", "", "fd00::1", ",", ", ,"}), rapid.String())
		lines := rapid.SliceOf(rapid.Map(rapid.SliceOf(hop), func(s []string) string { return strings.Join(s, ",") })).Draw(r, "header")
		if got := forwarded("192.0.2.1:1", lines...); got != "addr 192.0.2.1" {
			r.Errorf("without a proxy: %q", got)
		}
		if len(lines) > 0 { // a proxy appends to the last line, or adds one
			lines[len(lines)-1] += ", 192.0.2.1"
		} else {
			lines = []string{"192.0.2.1"}
		}
		if got := forwarded("10.0.0.1:1", lines...); got != "addr 192.0.2.1" {
			r.Errorf("behind a proxy: %q", got)
		}
	})
}
