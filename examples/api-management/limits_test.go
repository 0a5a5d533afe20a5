package main

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/weir-rls/weir/internal/stage"
	"github.com/weir-rls/weir/internal/stage/stagetest"
)

// atOnce sends n requests of each user at once.
func atOnce(t *testing.T, s *stage.Stage, n int, subscription string, users ...string) map[int]int {
	t.Helper()
	return together(t, s, n, stage.Request{Path: "/api/users"}, subscription, users...)
}

// together sends a request n times for each user at once.
func together(t *testing.T, s *stage.Stage, n int, what stage.Request, subscription string, users ...string) map[int]int {
	t.Helper()
	sum := map[int]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, user := range users {
		all.Go(func() {
			r := as(user, subscription, what.Path)
			r.Method, r.Body = what.Method, what.Body
			if r.Body != "" {
				r = with(r, "Content-Type", "application/json")
			}
			counts := s.Burst(t.Context(), n, r)
			mu.Lock()
			defer mu.Unlock()
			for status, n := range counts {
				sum[status] += n
			}
		})
	}
	all.Wait()
	return sum
}

func TestG01_LimitsByUser(t *testing.T) {
	stagetest.OnEachStore(t, example, func(t *testing.T, s *stage.Stage) {
		begin := time.Now()
		counts := atOnce(t, s, 80, "contoso", "alice")
		most := 50 + int(time.Since(begin)/(100*time.Millisecond)) + 1
		if passed := counts[http.StatusOK]; passed < 50 || passed > most || passed+counts[http.StatusTooManyRequests] != 80 {
			t.Errorf("%v, want 50 to %d passed", counts, most)
		}
		if counts := atOnce(t, s, 40, "contoso", "bob"); counts[http.StatusOK] != 40 {
			t.Errorf("another user of the subscription: %v", counts)
		}
	})
}

func TestG01_LimitsByAddressAndNetwork(t *testing.T) {
	stagetest.OnEachStore(t, example, func(t *testing.T, s *stage.Stage) {
		// 200 of the network: six addresses with their 30, and 20 of the seventh.
		for i, want := range []int{30, 30, 30, 30, 30, 30, 20, 0} {
			page := stage.Request{Path: "/static/logo", From: fmt.Sprintf("127.0.0.%d", i+2)}
			passed := 0
			for n := range 32 {
				// An address that the client claims is not believed.
				answer := ask(t, s, with(page, "X-Forwarded-For", fmt.Sprintf("192.0.2.%d", n)))
				if answer.Status == http.StatusOK {
					passed++
				}
			}
			if passed != want {
				t.Errorf("%d passed of %s, want %d", passed, page.From, want)
			}
		}
	})
}

func TestG02_G03_BothTheCallsAndTheQuotaMustPass(t *testing.T) {
	stagetest.OnEachStore(t, example, func(t *testing.T, s *stage.Stage) {
		counts := atOnce(t, s, 30, "contoso", "a", "b", "c", "d", "e")
		if counts[http.StatusOK] != 100 || counts[http.StatusTooManyRequests] != 50 {
			t.Errorf("%v of 150 calls, want 100 in 60 s and 429 for the others", counts)
		}
		counts = atOnce(t, s, 25, "trial", "frank")
		if counts[http.StatusOK] != 20 || counts[http.StatusForbidden] != 5 {
			t.Errorf("%v of 25 calls of a trial, want its quota of 20 and 403 for the others", counts)
		}
		// What one limit refused has taken nothing of the others: Frank's own has
		// 30 of its 50 left, not 25.
		if counts := atOnce(t, s, 30, "fabrikam", "frank"); counts[http.StatusOK] != 30 {
			t.Errorf("%v of 30 calls through another subscription, want all", counts)
		}
	})
}

// An order is large if its amount is above 10000. The order service's own limit
// keeps 40 of 140 for large ones.
func TestG22_LargeOrdersGoFirst(t *testing.T) {
	order := func(body string) stage.Request {
		return stage.Request{Method: http.MethodPost, Path: "/api/orders", Body: body}
	}
	stagetest.OnEachStore(t, example, func(t *testing.T, s *stage.Stage) {
		begin := time.Now()
		passed := together(t, s, 40, order(`{"amount": "a lot"}`), "fabrikam", "c")[http.StatusOK]
		passed += together(t, s, 40, order(`{"amount": 10000}`), "contoso", "a", "b")[http.StatusOK]
		if most := 100 + int(time.Since(begin)/(50*time.Millisecond)) + 1; passed < 100 || passed > most {
			t.Errorf("%d of 120 normal orders passed, want 100 to %d", passed, most)
		}
		if counts := together(t, s, 30, order(`{"amount": 10001}`), "fabrikam", "d"); counts[http.StatusOK] != 30 {
			t.Errorf("%v of 30 large orders, want all", counts)
		}
		// For 1.5 s nothing is left to normal ones, and an order whose amount says
		// nothing is one of them.
		for _, body := range []string{`{"amount": {}}`, `{"amount": []}`, `{"amount": null}`, `{"amount": true}`, `{"amount": -1}`, `{"amount": "9e9x"}`, `{`, `[]`, ``} {
			if counts := together(t, s, 1, order(body), "fabrikam", "e"); counts[http.StatusTooManyRequests] != 1 {
				t.Errorf("an order of %s: %v", body, counts)
			}
		}
	})
}

func TestG13_ClientsSeeTheirState(t *testing.T) {
	stagetest.OnEachStore(t, example, func(t *testing.T, s *stage.Stage) {
		r := as("bob", "trial", "/api/users")
		for left := 19; left >= 0; left-- {
			answer := ask(t, s, r)
			if got := answer.Header.Get("X-RateLimit-Remaining"); got != fmt.Sprint(left) || answer.Header.Get("X-RateLimit-Limit") != "20" {
				t.Fatalf("%s remaining %s of %s, want %d of 20", answer.Proto, got, answer.Header.Get("X-RateLimit-Limit"), left)
			}
		}
		refused := ask(t, s, r)
		if refused.Status != http.StatusForbidden || refused.Header.Get("Retry-After") == "" || refused.Header.Get("X-RateLimit-Remaining") != "0" {
			t.Errorf("%s %v", refused.Proto, refused.Header)
		}
	})
}

func TestG20_ConnectionsBySourceAndPort(t *testing.T) {
	stagetest.OnEachStore(t, example, func(t *testing.T, s *stage.Stage) {
		ports := len(s.Envoys)
		for _, source := range []string{"127.0.0.2", "127.0.0.3"} {
			if passed := connect(t.Context(), s, 23*ports, source); passed != 20*ports {
				t.Errorf("%d connections of %s were served, want %d", passed, source, 20*ports)
			}
		}
		if passed := connect(t.Context(), s, 3, "127.0.0.66"); passed != 0 {
			t.Errorf("%d connections from a network that may not come in", passed)
		}
		// It is connections that count, not what is said on them.
		counts, err := s.Repeat(t.Context(), 25*ports, stage.Request{Listener: "tcp", Path: "/static/logo"})
		if err != nil || counts[http.StatusOK] != 25*ports {
			t.Errorf("%v on one connection to each port: %v", counts, err)
		}
	})
}
