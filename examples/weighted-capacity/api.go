package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/weir-rls/weir/internal/stage"
)

// api is weir's HTTP API, as a backend that reports itself or an operator uses it.
type api struct{ addr string }

// do sends a request that must be answered with 200; the answer is read into
// answer, if that is not nil.
func (a api) do(ctx context.Context, method, path, body string, answer any) error {
	status, text, err := a.ask(ctx, method, path, body)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s %s: %d %s", method, path, status, text)
	}
	if err != nil || answer == nil {
		return err
	}
	return json.Unmarshal([]byte(text), answer)
}

// ask sends a request to the API.
func (a api) ask(ctx context.Context, method, path, body string) (status int, answer string, err error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+a.addr+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Authorization", "Bearer "+adminToken)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return response.StatusCode, string(text), err
}

// pool is what the API says of a pool.
type pool struct {
	Pool      string `json:"pool"`
	Size      int64  `json:"size"`
	Stated    int64  `json:"stated"`
	Units     int64  `json:"units"`
	Instances int64  `json:"instances"`
	Factor    int64  `json:"factor_ppm"`
	Frozen    bool   `json:"frozen"`
	Source    string `json:"source"`
}

// units is the pool that the three APIs share.
func units(ctx context.Context, s *stage.Stage) (pool, error) {
	var answer struct{ Pools []pool }
	if err := (api{s.Weirs[0].HTTP}).do(ctx, http.MethodGet, "/pools?domain=capacity", "", &answer); err != nil {
		return pool{}, err
	}
	for _, p := range answer.Pools {
		if p.Pool == "units" {
			return p, nil
		}
	}
	return pool{}, fmt.Errorf("the pool is not among %v", answer.Pools)
}

// await waits until the pool is as wanted, and shows it to seen meanwhile.
func await(ctx context.Context, s *stage.Stage, what string, wanted func(pool) bool, seen func(pool)) (pool, error) {
	ctx, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	last := pool{}
	for {
		p, err := units(ctx, s)
		if err != nil {
			return p, fmt.Errorf("%s: %w; the pool was %+v", what, err, last)
		}
		if seen != nil {
			seen(p)
		}
		if last = p; wanted(p) {
			return p, nil
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return p, fmt.Errorf("%s: not within 40 s, the pool is %+v", what, p)
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
