package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/weir-rls/weir/internal/stage"
)

// caller sends requests to all Envoys in turn.
type caller struct {
	stage  *stage.Stage
	passed int
}

func (c *caller) through() string {
	if len(c.stage.Envoys) == 1 {
		return ""
	}
	return fmt.Sprintf(", through %d Envoys in turn", len(c.stage.Envoys))
}

// calls sends n requests, one after the other, and counts those that passed.
func (c *caller) calls(ctx context.Context, n int, path, group string) (int, error) {
	passed := 0
	for range n {
		ok, err := c.call(ctx, path, group)
		if err != nil {
			return 0, err
		}
		if ok {
			passed++
		}
	}
	return passed, nil
}

// call tells whether a request passed. An answer that is neither the upstream's
// nor a refusal is an error: it says nothing about limits.
func (c *caller) call(ctx context.Context, path, group string) (bool, error) {
	answer, err := c.get(ctx, path, group)
	if err != nil {
		return false, err
	}
	switch answer.Status {
	case http.StatusOK:
		c.passed++
		return true, nil
	case http.StatusTooManyRequests:
		return false, nil
	}
	return false, fmt.Errorf("GET %s: %s: %s", path, answer.Proto, answer.Body)
}

func (c *caller) get(ctx context.Context, path, group string) (stage.Answer, error) {
	r := stage.Request{Path: path}
	if group != "" {
		r.Header = map[string]string{"X-User-Group": group}
	}
	return c.stage.Send(ctx, r)
}
