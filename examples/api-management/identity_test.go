package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weir-rls/weir/internal/stage"
	"github.com/weir-rls/weir/internal/stage/stagetest"
)

// ask sends one request, which must be answered.
func ask(t *testing.T, s *stage.Stage, r stage.Request) stage.Answer {
	t.Helper()
	answer, err := s.Send(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// served is what the service behind the gateway heard.
func served(t *testing.T, s *stage.Stage, r stage.Request) heard {
	t.Helper()
	answer := ask(t, s, r)
	var h heard
	if err := json.Unmarshal([]byte(answer.Body), &h); err != nil || answer.Status != http.StatusOK {
		t.Fatalf("%s: %s %s", r.Path, answer.Proto, answer.Body)
	}
	return h
}

// forged is a token whose signature begins with another letter. The last one would not
// do: some of its bits mean nothing.
func forged(token string) string {
	at := strings.LastIndexByte(token, '.') + 1
	letter := "A"
	if token[at] == 'A' {
		letter = "B"
	}
	return token[:at] + letter + token[at+1:]
}

func TestG14_OnlyWhoIsKnownIsLimitedAndAsHimself(t *testing.T) {
	stagetest.OnEachStore(t, example, func(t *testing.T, s *stage.Stage) {
		good := as("bob", "contoso", "/api/users")
		bearer := func(token string) stage.Request { return with(good, "Authorization", "Bearer "+token) }
		for what, stranger := range map[string]stage.Request{
			"no token":          with(good, "Authorization", ""),
			"a forged token":    bearer(forged(token("bob"))),
			"an expired token":  bearer(tokenUntil("bob", time.Now().Add(-2*time.Minute))),
			"an unsigned token": bearer("eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2xvZ2luLmV4YW1wbGUuY29tIiwiYXVkIjoiYXBpIiwic3ViIjoiYm9iIn0."),
			"no key":            with(good, "Ocp-Apim-Subscription-Key", ""),
			"an unknown key":    with(good, "Ocp-Apim-Subscription-Key", "key-of-nobody"),
		} {
			for range 20 { // together they would use up the subscription, if they counted
				if answer := ask(t, s, stranger); answer.Status != http.StatusUnauthorized {
					t.Errorf("%s: %s", what, answer.Proto)
				}
			}
		}
		h := served(t, s, with(with(good, "X-User", "alice"), "X-Subscription", "trial"))
		if users, subscriptions := h.Header["X-User"], h.Header["X-Subscription"]; len(users) != 1 || users[0] != "bob" || len(subscriptions) != 1 || subscriptions[0] != "contoso" {
			t.Errorf("the service was told of %q and %q", users, subscriptions)
		}
		if h.Header.Get("Ocp-Apim-Subscription-Key") != "" || h.Header.Get("Authorization") != "" {
			t.Errorf("the service was told the caller's key or token: %v", h.Header)
		}
		passed := 1
		for _, user := range []string{"bob", "carol", "dave"} {
			counts, err := s.Repeat(t.Context(), 40, as(user, "contoso", "/api/users"))
			if err != nil {
				t.Fatal(err)
			}
			passed += counts[http.StatusOK]
		}
		if passed != 100 {
			t.Errorf("%d calls of the subscription passed, want 100: those of strangers and of forged names take none", passed)
		}
	})
}

// Whoever needs no key must not spend the quota of one who does.
func TestG14_APageIsNobodysCallWhateverItsHeadersSay(t *testing.T) {
	stagetest.OnEachStore(t, example, func(t *testing.T, s *stage.Stage) {
		page := stage.Request{Path: "/static/logo", Header: map[string]string{"X-Subscription": "trial", "X-User": "frank"}}
		if counts, err := s.Repeat(t.Context(), 25, page); err != nil || counts[http.StatusOK] != 25 {
			t.Fatalf("%v %v", counts, err)
		}
		if counts, err := s.Repeat(t.Context(), 20, as("frank", "trial", "/api/users")); err != nil || counts[http.StatusOK] != 20 {
			t.Errorf("%v %v: the trial's quota of 20 is not whole", counts, err)
		}
	})
}
