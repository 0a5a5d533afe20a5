package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/weir-rls/weir/internal/stage"
	"github.com/weir-rls/weir/internal/stage/stagetest"
)

// refused is a request that somebody refuses, with the status.
type refused struct {
	r      stage.Request
	status int
}

// refusals are one for each part of the gateway that may refuse.
func refusals(t *testing.T, s *stage.Stage) map[string]refused {
	t.Helper()
	if counts := atOnce(t, s, 20, "trial", "frank"); counts[http.StatusOK] != 20 {
		t.Fatal(counts)
	}
	if counts := atOnce(t, s, 50, "contoso", "alice", "carol", "dave"); counts[http.StatusOK] != 100 {
		t.Fatal(counts)
	}
	pay := as("grace", "fabrikam", "/api/payments")
	if err := open(t.Context(), s, with(pay, "X-Fail", "503")); err != nil {
		t.Fatal(err)
	}
	return map[string]refused{
		"authentication": {stage.Request{Path: "/api/users"}, 401},
		"routing":        {as("bob", "fabrikam", "/api/nothing"), 404},
		"rate":           {as("erin", "contoso", "/api/users"), 429},
		"quota":          {as("frank", "trial", "/api/users"), 403},
		"breaker":        {pay, 503},
	}
}

func TestG11_EveryRefusalHasOneForm(t *testing.T) {
	stagetest.OnEachStore(t, example, func(t *testing.T, s *stage.Stage) {
		wanted := refusals(t, s)
		check := func(what string, r stage.Request, status int) {
			for sent, told := range map[string]string{"id-" + what: "id-" + what, `a"}{"b`: ""} {
				answer := ask(t, s, with(r, "X-Request-Id", sent))
				var body map[string]any
				err := json.Unmarshal([]byte(answer.Body), &body)
				if keys := slices.Sorted(maps.Keys(body)); err != nil || !slices.Equal(keys, []string{"error", "requestId"}) {
					t.Errorf("%s: %s %v", what, answer.Body, err)
				}
				if answer.Status != status || body["error"] == "" || told != "" && body["requestId"] != told {
					t.Errorf("%s: %s %s, want %d and the id %s", what, answer.Proto, answer.Body, status, told)
				}
				if types := answer.Header["Content-Type"]; len(types) != 1 || types[0] != "application/json" {
					t.Errorf("%s: content types %q", what, types)
				}
			}
		}
		for what, w := range wanted {
			check(what, w.r, w.status)
		}
		for _, weir := range s.Weirs {
			if err := s.Lose(weir.Process); err != nil {
				t.Fatal(err)
			}
		}
		check("no weir", as("bob", "fabrikam", "/api/users"), 503)
	})
}

func TestG12_RequestIDsHeadersAndOrigins(t *testing.T) {
	stagetest.OnEachStore(t, example, func(t *testing.T, s *stage.Stage) {
		good := as("bob", "fabrikam", "/api/users")
		t.Run("request id", func(t *testing.T) {
			if h := served(t, s, with(good, "X-Request-Id", "mine")); h.Header.Get("X-Request-Id") != "mine" {
				t.Errorf("the service was told %q", h.Header["X-Request-Id"])
			}
			answer := ask(t, s, good)
			var h heard
			if err := json.Unmarshal([]byte(answer.Body), &h); err != nil {
				t.Fatal(err)
			}
			if id := answer.Header.Get("X-Request-Id"); id == "" || id != h.Header.Get("X-Request-Id") {
				t.Errorf("the caller was told %q, the service %q", id, h.Header.Get("X-Request-Id"))
			}
		})
		wanted := refusals(t, s)
		wanted["nobody"] = refused{good, 200}
		const origin = "https://app.example.com"
		for what, w := range wanted {
			answer := ask(t, s, with(w.r, "Origin", origin))
			for _, hidden := range []string{"Server", "X-Powered-By", "X-Envoy-Upstream-Service-Time"} {
				if values := answer.Header[hidden]; len(values) > 0 {
					t.Errorf("%s: %s is %q", what, hidden, values)
				}
			}
			// Without it the page's script cannot read why it was refused.
			allowed := origin
			if what == "routing" {
				allowed = "" // an address that is no API's has no policy
			}
			if answer.Status != w.status || answer.Header.Get("Access-Control-Allow-Origin") != allowed {
				t.Errorf("%s: %s, allowed origin %q", what, answer.Proto, answer.Header.Get("Access-Control-Allow-Origin"))
			}
		}
		t.Run("preflight", func(t *testing.T) {
			for from, allowed := range map[string]string{origin: origin, "https://evil.example.com": ""} {
				answer := ask(t, s, stage.Request{Method: http.MethodOptions, Path: "/api/users", Header: map[string]string{
					"Origin": from, "Access-Control-Request-Method": "DELETE",
				}})
				if answer.Header.Get("Access-Control-Allow-Origin") != allowed {
					t.Errorf("%s: %s, allowed origin %q", from, answer.Proto, answer.Header.Get("Access-Control-Allow-Origin"))
				}
			}
		})
	})
}

func TestG15_RoutesByPath(t *testing.T) {
	stagetest.OnEachStore(t, example, func(t *testing.T, s *stage.Stage) {
		for path, service := range map[string]string{
			"/api/users": "users", "/api/users/7": "users", "/api/users?page=2": "users",
			"/api/products/7": "products", "/api/orders": "orders", "/api/payments": "payments",
			"/static/logo": "web", "/": "web", "//api//users": "users", "/static/../api/users": "users",
		} {
			if h := served(t, s, as("bob", "fabrikam", path)); h.Service != service {
				t.Errorf("%s went to %s, want %s", path, h.Service, service)
			}
		}
		// No spelling of a path is a way around authentication.
		for _, path := range []string{"/api/users", "//api/users", "/./api/users", "/static/../api/users", "/%61pi/users", "/api"} {
			if answer := ask(t, s, stage.Request{Path: path}); answer.Status != http.StatusUnauthorized {
				t.Errorf("%s without a token: %s", path, answer.Proto)
			}
		}
	})
}
