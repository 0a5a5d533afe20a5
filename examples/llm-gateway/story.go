package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/weir-rls/weir/internal/stage"
)

// chat is a question to a model, asked with a key. more are headers, by pairs.
func chat(key, model string, more ...string) stage.Request {
	return ask(key, `{"model":"`+model+`","max_tokens":1,"messages":[{"role":"user","content":"hello"}]}`, more...)
}

func ask(key, body string, more ...string) stage.Request {
	header := map[string]string{"Authorization": "Bearer " + key, "Content-Type": "application/json"}
	for i := 0; i+1 < len(more); i += 2 {
		header[more[i]] = more[i+1]
	}
	return stage.Request{Method: http.MethodPost, Path: "/v1/chat/completions", Header: header, Body: body, Receipt: true}
}

// tell asks the models and shows what became of it.
func tell(ctx context.Context, s *stage.Stage) error {
	for _, scene := range []func(context.Context, *stage.Stage) error{callersOnly, successes, failures, groups, atOnce, tokens, outage} {
		if err := scene(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func callersOnly(ctx context.Context, s *stage.Stage) error {
	s.Screen.Title("1. Whose key is it, and is there such a model? Then the limits")
	for _, c := range []struct {
		what string
		r    stage.Request
		want int
	}{
		{"no key of ours", chat("sk-mallory", "gpt-4"), 401},
		{"no model of ours", chat("sk-carol", "gpt-5"), 404},
		{"both", chat("sk-carol", "claude"), 200},
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

func successes(ctx context.Context, s *stage.Stage) error {
	s.Screen.Title("2. The group default: 100 successful requests a minute to each model")
	if err := s.Passes(ctx, 110, 100, "alice, gpt-4", chat("sk-alice", "gpt-4")); err != nil {
		return err
	}
	if err := s.Passes(ctx, 5, 5, "alice, claude", chat("sk-alice", "claude")); err != nil {
		return err
	}
	return s.Refused(ctx, chat("sk-alice", "gpt-4"))
}

func failures(ctx context.Context, s *stage.Stage) error {
	s.Screen.Title("3. And 200 in all: failures count only there, and the error says so")
	counts, err := s.Repeat(ctx, 210, chat("sk-carol", "gpt-4", "X-Fail", "500"))
	if err != nil {
		return err
	}
	s.Screen.Tally("carol, gpt-4, failing", 210, counts[500], -1)
	if counts[500] != 200 || counts[429] != 10 {
		return fmt.Errorf("%v, want 200 that reach the model", counts)
	}
	return s.Refused(ctx, chat("sk-carol", "gpt-4"))
}

func groups(ctx context.Context, s *stage.Stage) error {
	s.Screen.Title("4. A key of the group vip: 1000, whatever group its user is of")
	return s.Passes(ctx, 110, 110, "alice, gpt-4, vip key", chat("sk-alice-vip", "gpt-4"))
}

func atOnce(ctx context.Context, s *stage.Stage) error {
	s.Screen.Title("5. The group trial: 5 at once")
	done := make(chan map[int]int)
	go func() { done <- s.Burst(ctx, 8, chat("sk-dave", "gpt-4", "X-Hold", "yes")) }()
	err := stage.Until(ctx, 10*time.Millisecond, "five are held and the others refused", func() (bool, error) {
		denied, err := s.Metric(`weir_decisions_total{domain="llm",limit="trial-at-once",outcome="denied"}`)
		if err != nil || denied < 3 {
			return false, err
		}
		n, err := held(ctx, s) // who comes to the model after it has let go is held for ever
		return n == 5, err
	})
	if err = errors.Join(err, letGo(ctx, s)); err != nil {
		return err
	}
	counts := <-done
	s.Screen.Tally("dave, at the same time", 8, counts[200], -1)
	if counts[200] != 5 || counts[429] != 3 {
		return fmt.Errorf("%v, want 5 that pass", counts)
	}
	return charged(ctx, s, 5)
}

func tokens(ctx context.Context, s *stage.Stage) error {
	s.Screen.Title("6. And 100000 tokens a minute, charged when the answer has streamed")
	stream := ask("sk-dave", `{"model":"claude","max_tokens":60000,"stream":true,"messages":[{"role":"user","content":"tell me more"}]}`)
	for n := range int64(2) {
		// Each says at its end what it has used: 60003. The second still finds some left.
		answer, err := s.Send(ctx, stream)
		if err != nil || answer.Status != 200 {
			return fmt.Errorf("%s %s: %w", answer.Proto, answer.Body, err)
		}
		if err := charged(ctx, s, 5+n+1); err != nil {
			return err
		}
		s.Screen.Line("  " + strings.Split(answer.Body, "\n\n")[1])
	}
	return s.Refused(ctx, stream)
}

// charged waits until n answers to users of the group trial are charged.
func charged(ctx context.Context, s *stage.Stage, n int64) error {
	return stage.Until(ctx, 10*time.Millisecond, "the tokens are charged", func() (bool, error) {
		settled, err := s.Metric(`weir_decisions_total{domain="llm",limit="trial-tpm",outcome="settled"}`)
		return settled >= n, err
	})
}

func outage(ctx context.Context, s *stage.Stage) error {
	if s.Redis == nil {
		return nil
	}
	s.Screen.Title("7. Redis is gone: each weir goes on by itself, in its memory")
	if err := s.Lose(s.Redis.Process); err != nil {
		return err
	}
	return s.Passes(ctx, 20, 20, "bob, gpt-4", withoutReceipt(chat("sk-bob", "gpt-4")))
}

// withoutReceipt is a request that weir judges without its store: it holds nothing that its
// end would give back.
func withoutReceipt(r stage.Request) stage.Request {
	r.Receipt = false
	return r
}

// letGo lets the model answer all that it holds.
func letGo(ctx context.Context, s *stage.Stage) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.Upstreams[0].Addr+"/release", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// held is how many requests the model holds.
func held(ctx context.Context, s *stage.Stage) (int, error) {
	text, err := s.Get(ctx, s.Upstreams[0].Addr+"/held")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}
