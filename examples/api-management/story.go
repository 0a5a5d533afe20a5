package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/weir-rls/weir/internal/stage"
)

// as is a request of a user through a subscription.
func as(user, subscription, path string) stage.Request {
	return stage.Request{Path: path, Header: map[string]string{
		"Authorization": "Bearer " + token(user), "Ocp-Apim-Subscription-Key": "key-of-" + subscription,
	}}
}

// with is the request with one more header.
func with(r stage.Request, name, value string) stage.Request {
	header := map[string]string{name: value}
	for n, v := range r.Header {
		if n != name {
			header[n] = v
		}
	}
	r.Header = header
	return r
}

// tell sends requests through the gateway and shows what became of them.
func tell(ctx context.Context, s *stage.Stage) error {
	for _, scene := range []func(context.Context, *stage.Stage) error{authentication, users, calls, quota, public, breaker, connections} {
		if err := scene(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// authentication shows what a caller needs to be let in.
func authentication(ctx context.Context, s *stage.Stage) error {
	s.Screen.Title("1. Who are you? A token and a subscription key, then the limits")
	for _, c := range []struct {
		what string
		r    stage.Request
		want int
	}{
		{"no token", stage.Request{Path: "/api/users"}, 401},
		{"a forged token", with(as("bob", "contoso", "/api/users"), "Authorization", "Bearer "+token("bob")+"A"), 401},
		{"an expired token", with(as("bob", "contoso", "/api/users"), "Authorization", "Bearer "+tokenUntil("bob", time.Now().Add(-time.Hour))), 401},
		{"no subscription key", with(as("bob", "contoso", "/api/users"), "Ocp-Apim-Subscription-Key", ""), 401},
		{"both", as("bob", "contoso", "/api/users"), 200},
	} {
		answer, err := s.Send(ctx, c.r)
		if err != nil {
			return err
		}
		if answer.Status != c.want {
			return fmt.Errorf("%s: %s %s, want %d", c.what, answer.Proto, answer.Body, c.want)
		}
		s.Screen.Line(fmt.Sprintf("  %-24s %s", c.what, answer.Proto))
	}
	return nil
}

// users empties the bucket of one user.
func users(ctx context.Context, s *stage.Stage) error {
	s.Screen.Title("2. Each user: 10 calls a second, 50 at once")
	begin := time.Now()
	passed, err := send(ctx, s, 60, "alice", as("alice", "fabrikam", "/api/users"), 429)
	if err != nil {
		return err
	}
	return within(passed, 50, 50+int(time.Since(begin)/(100*time.Millisecond))+1)
}

// calls uses up the calls of one subscription, by many users.
func calls(ctx context.Context, s *stage.Stage) error {
	s.Screen.Title("3. Each subscription: 100 calls in any 60 seconds, whoever its users are")
	sum := 0
	for _, user := range []string{"bob", "carol", "dave"} {
		passed, err := send(ctx, s, 40, user, as(user, "contoso", "/api/products"), 429)
		if err != nil {
			return err
		}
		sum += passed
	}
	if err := within(sum, 99, 99); err != nil { // one was used for the first scene
		return err
	}
	return show(ctx, s, as("erin", "contoso", "/api/products"), 429)
}

// quota uses up the quota of a trial subscription.
func quota(ctx context.Context, s *stage.Stage) error {
	s.Screen.Title("4. And 10000 calls a day, of a trial 20: a quota is answered with 403")
	passed, err := send(ctx, s, 25, "frank", as("frank", "trial", "/api/products"), 403)
	if err != nil {
		return err
	}
	if err := within(passed, 20, 20); err != nil {
		return err
	}
	return show(ctx, s, as("frank", "trial", "/api/products"), 403)
}

// public shows the limit of those who need no key.
func public(ctx context.Context, s *stage.Stage) error {
	s.Screen.Title("5. Pages need no key: 30 a minute for each address")
	passed, err := send(ctx, s, 35, "GET /static/logo", stage.Request{Path: "/static/logo"}, 429)
	if err != nil {
		return err
	}
	return within(passed, 30, 30)
}

// breaker lets the payment service fail, and get well.
func breaker(ctx context.Context, s *stage.Stage) error {
	s.Screen.Title("6. Five failures of the payment service in a row open its breaker")
	pay := as("grace", "fabrikam", "/api/payments")
	if err := open(ctx, s, with(pay, "X-Fail", "503")); err != nil {
		return err
	}
	if err := show(ctx, s, pay, 503); err != nil {
		return err
	}
	s.Screen.Line("")
	s.Screen.Line("  ... 5 s later one request is let through as a trial, and it succeeds:")
	return stage.Until(ctx, time.Second, "the payment service is tried again", func() (bool, error) {
		answer, err := s.Send(ctx, pay)
		if err == nil && answer.Status == http.StatusOK {
			s.Screen.Line("  " + answer.Proto)
		}
		return answer.Status == http.StatusOK, err
	})
}

// open sends failing payments until the breaker refuses.
func open(ctx context.Context, s *stage.Stage, failing stage.Request) error {
	reached := 0
	err := stage.Until(ctx, 50*time.Millisecond, "the breaker opens", func() (bool, error) {
		answer, err := s.Send(ctx, failing)
		refused := answer.Header.Get("X-Envoy-Ratelimited") != ""
		if err == nil && !refused {
			reached++
			s.Screen.Line(fmt.Sprintf("  failure %d: %s", reached, answer.Proto))
		}
		return refused, err
	})
	if err == nil && reached < 5 {
		err = fmt.Errorf("the breaker opened after %d failures", reached)
	}
	return err
}

// connections uses up what one address may open at layer 4.
func connections(ctx context.Context, s *stage.Stage) error {
	s.Screen.Title("7. Layer 4: each address may open 20 connections a minute to a port")
	ports := len(s.Envoys) // each Envoy here has a port of its own
	passed := connect(ctx, s, 25*ports, "127.0.0.1")
	s.Screen.Tally("connections", 25*ports, passed, -1)
	return within(passed, 20*ports, 20*ports)
}

// connect opens n connections from an address, and counts those that were served.
func connect(ctx context.Context, s *stage.Stage, n int, from string) int {
	passed := 0
	for range n {
		answer, err := s.Send(ctx, stage.Request{Listener: "tcp", Path: "/static/logo", From: from})
		if err == nil && answer.Status == http.StatusOK {
			passed++
		}
	}
	return passed
}

// send sends a request n times, and tells how many passed. The others must have
// been refused with the status.
func send(ctx context.Context, s *stage.Stage, n int, what string, r stage.Request, refused int) (int, error) {
	counts, err := s.Repeat(ctx, n, r)
	if err != nil {
		return 0, err
	}
	if counts[200]+counts[refused] != n {
		return 0, fmt.Errorf("%s: %v, want only 200 and %d", r.Path, counts, refused)
	}
	s.Screen.Tally(what, n, counts[200], -1)
	return counts[200], nil
}

// show shows an answer whole, which must have the status.
func show(ctx context.Context, s *stage.Stage, r stage.Request, status int) error {
	answer, err := s.Send(ctx, r)
	if err != nil {
		return err
	}
	if answer.Status != status {
		return fmt.Errorf("%s: %s %s, want %d", r.Path, answer.Proto, answer.Body, status)
	}
	s.Screen.Line("")
	s.Screen.Answer(answer)
	return nil
}

func within(passed, least, most int) error {
	if passed < least || passed > most {
		return fmt.Errorf("%d passed, want %d to %d", passed, least, most)
	}
	return nil
}
