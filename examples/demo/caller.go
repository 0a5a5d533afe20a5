package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// caller sends requests to all Envoys in turn.
type caller struct {
	client *http.Client
	fronts []string
	next   int
	passed int
}

func newCaller(t *topology) *caller {
	c := &caller{client: &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}}
	for _, envoy := range t.envoys {
		c.fronts = append(c.fronts, "http://"+envoy.Listener("front"))
	}
	return c
}

func (c *caller) through() string {
	if len(c.fronts) == 1 {
		return ""
	}
	return fmt.Sprintf(", through %d Envoys in turn", len(c.fronts))
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
	response, body, err := c.get(ctx, path, group)
	if err != nil {
		return false, err
	}
	switch response.StatusCode {
	case http.StatusOK:
		c.passed++
		return true, nil
	case http.StatusTooManyRequests:
		return false, nil
	}
	return false, fmt.Errorf("GET %s: %s: %s", path, response.Status, body)
}

func (c *caller) get(ctx context.Context, path, group string) (*http.Response, []byte, error) {
	url := c.fronts[c.next%len(c.fronts)] + path
	c.next++
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, nil, err
	}
	if group != "" {
		request.Header.Set("X-User-Group", group)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	return response, body, err
}
