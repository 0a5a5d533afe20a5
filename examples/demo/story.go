package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/weir-rls/weir/internal/stage"
)

// What rules/demo.yaml gives each API to cost.
var apis = []struct {
	name string
	cost int
}{{"a", 1}, {"b", 2}, {"c", 3}}

// pause is long enough for 12 tokens at 10/s, and to see that they take time.
const pause = 1250 * time.Millisecond

// tell sends requests through Envoy and shows what became of them.
func tell(ctx context.Context, from *caller, backend *upstream) error {
	show := from.stage.Screen
	for _, scene := range []func(context.Context, *caller, *stage.Screen) error{oneBucket, refill, groups, refusal} {
		if err := scene(ctx, from, show); err != nil {
			return err
		}
	}
	show.Title(fmt.Sprintf("The upstream served %d requests: the %d that passed, and it limits nothing itself.", backend.served.Load(), from.passed))
	return nil
}

// oneBucket empties the bucket with requests to all APIs in turn.
func oneBucket(ctx context.Context, from *caller, show *stage.Screen) error {
	const rounds = 30
	show.Title("1. Three APIs, one bucket: 100 tokens, 10 come back each second" + from.through())
	begin := time.Now()
	passed := make([]int, len(apis))
	for range rounds {
		for i, api := range apis {
			ok, err := from.call(ctx, "/api/"+api.name, "")
			if err != nil {
				return err
			}
			if ok {
				passed[i]++
			}
		}
	}
	took, tokens := time.Since(begin), 0
	for i, api := range apis {
		tokens += passed[i] * api.cost
		show.Tally(fmt.Sprintf("/api/%s costs %d", api.name, api.cost), rounds, passed[i], passed[i]*api.cost)
	}
	show.Line(fmt.Sprintf("  together %d tokens in %.2f s", tokens, took.Seconds()))
	return nil
}

// refill lets the empty bucket rest before each API.
func refill(ctx context.Context, from *caller, show *stage.Screen) error {
	const sent = 20
	show.Title(fmt.Sprintf("2. The same bucket, empty, after %.2f s of rest before each line", pause.Seconds()))
	for _, api := range apis {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		passed, err := from.calls(ctx, sent, "/api/"+api.name, "")
		if err != nil {
			return err
		}
		show.Tally(fmt.Sprintf("/api/%s costs %d", api.name, api.cost), sent, passed, passed*api.cost)
	}
	return nil
}

func groups(ctx context.Context, from *caller, show *stage.Screen) error {
	const sent = 8
	show.Title("3. A limit for each group of users: default 5 a minute, vip 20")
	for _, group := range []string{"default", "vip"} {
		passed, err := from.calls(ctx, sent, "/chat", group)
		if err != nil {
			return err
		}
		show.Tally("/chat as "+group, sent, passed, -1)
	}
	return nil
}

// refusal shows one refused answer whole.
func refusal(ctx context.Context, from *caller, show *stage.Screen) error {
	show.Title("4. What the refused caller reads: GET /chat")
	answer, err := from.get(ctx, "/chat", "default")
	if err != nil {
		return err
	}
	if answer.Status != http.StatusTooManyRequests {
		return fmt.Errorf("GET /chat: %s, want a refusal", answer.Proto)
	}
	show.Answer(answer)
	return nil
}
