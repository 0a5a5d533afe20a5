package stage

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Get reads a page of a part, which is host:port/path.
func (s *Stage) Get(ctx context.Context, page string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+page, nil)
	if err != nil {
		return "", err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", page, response.Status)
	}
	return string(body), err
}

// Show shows the lines of a page, host:port/path, that begin with a text, of which there
// must be one.
func (s *Stage) Show(ctx context.Context, page, begin string) error {
	text, err := s.Get(ctx, page)
	if err != nil {
		return err
	}
	shown := 0
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, begin) {
			s.Screen.Line("  " + strings.TrimSpace(line))
			shown++
		}
	}
	if shown == 0 {
		return fmt.Errorf("%s has nothing that begins with %q", page, begin)
	}
	return nil
}

// InForce waits until each weir that a platform runs has a rule, which is a part of a line
// of its /rlconfig.
func (s *Stage) InForce(ctx context.Context, rule string) error {
	for _, weir := range s.Weirs {
		err := Until(ctx, 10*time.Millisecond, fmt.Sprintf("%s has %q", weir.Debug, rule), func() (bool, error) {
			rules, err := s.Get(ctx, weir.Debug+"/rlconfig")
			return strings.Contains(rules, rule), err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Until asks again and again, for at most 20 s.
func Until(ctx context.Context, every time.Duration, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 20*time.Second, fmt.Errorf("not within 20 s: %s", what))
	defer cancel()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-time.After(every):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
