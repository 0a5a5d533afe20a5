package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	ratelimit "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
)

// soakRules have one limit of each kind. The pair of numbers changes with each reload. No
// bucket that is met once matters for longer than some seconds.
const soakRules = `
domain: d
pools: [{name: units, rate: 200/s, burst: 200, instances: {units_each: 20, min: 20, max: 400}}, {name: workers, slots: 20, slot_ttl: 5s}]
descriptors:
  - {key: user, limits: [{name: user, rate: 50/s, burst: %d}]}
  - {key: once, limits: [{name: once, rate: 10/s, burst: 10}, {name: second, rate: 100/s, algorithm: fixed_window}]}
  - {key: hot, limits: [{name: hot, rate: 1000/s, burst: 9600}]}
  - {key: sliding, limits: [{name: sliding, rate: 30/2s, algorithm: sliding_window}]}
  - {key: month, limits: [{name: month, rate: %d/month}]}
  - {key: job, limits: [{name: job, algorithm: concurrency, slots: 5, slot_ttl: 2s}]}
  - {key: success, limits: [{name: success, rate: 20/s, algorithm: fixed_window, count: success}]}
  - {key: model, limits: [{name: tokens, rate: 1000/s, burst: 1000, max_debt: 1000}]}
  - {key: api, value: a, draw: {pool: units}}
  - {key: api, value: b, draw: {pool: units, weight: 3}}
  - {key: worker, draw: {pool: workers}}
  - {key: service, breaker: {failures: 5, open_for: 500ms}}
  - {key: turn, limits: [{name: turn, rate: 20/s, burst: 1, max_wait: 500ms, max_waiters: 50}]}
`

// soakKind is something that is done to a weir so often a second.
type soakKind struct {
	name      string
	perSecond int
	do        func(s *soaked, n int) error
}

var soakKinds = []soakKind{
	{"tokens", 60, func(s *soaked, n int) error { return s.asks(soakEntry("user", n%200)) }},
	{"keys met once", 60, func(s *soaked, n int) error { return s.asks(soakEntry("once", n)) }},
	{"leases", 600, func(s *soaked, _ int) error { return s.asks(soakEntry("hot", 0)) }},
	{"windows", 60, func(s *soaked, n int) error { return s.asks(soakEntry("sliding", n), soakEntry("month", n%20)) }},
	{"receipts", 40, func(s *soaked, n int) error {
		return s.asksAndEnds(soakEntry("job", n%10), soakEntry("success", n%10), soakEntry("service", n%3))
	}},
	{"lost receipts", 5, func(s *soaked, n int) error {
		return s.asks(soakEntry("job", "lost", n%10), soakEntry("worker", "lost"))
	}},
	{"pools", 60, func(s *soaked, n int) error { return s.asks(soakEntry("api", []string{"a", "b"}[n%2])) }},
	{"slots of a pool", 20, func(s *soaked, n int) error { return s.asksAndEnds(soakEntry("worker", n%5)) }},
	{"costs at the end", 20, func(s *soaked, n int) error { return s.asks(soakEntry("model", n%5), soakEnd(soakEntry("model", n%5))) }},
	{"waiting", 25, func(s *soaked, _ int) error { return s.asks(soakEntry("turn", 0)) }},
	{"waiters that leave", 5, (*soaked).leaves},
	{"new connections", 5, (*soaked).connects},
	{"named buckets", 5, (*soaked).takes},
	{"changes", 4, (*soaked).changes},
	{"pages", 1, (*soaked).looks},
}

func soakEntry(key string, value ...any) *ratelimit.RateLimitDescriptor {
	return &ratelimit.RateLimitDescriptor{Entries: []*ratelimit.RateLimitDescriptor_Entry{{Key: key, Value: fmt.Sprint(value...)}}}
}

func soakEnd(d *ratelimit.RateLimitDescriptor) *ratelimit.RateLimitDescriptor {
	d.Entries = append(d.Entries, &ratelimit.RateLimitDescriptor_Entry{Key: "weir.end", Value: "1"})
	return d
}

// ask is one question, which has to be answered with a verdict.
func (s *soaked) ask(client rls.RateLimitServiceClient, all ...*ratelimit.RateLimitDescriptor) (*rls.RateLimitResponse, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	answer, err := client.ShouldRateLimit(ctx, &rls.RateLimitRequest{Domain: "d", Descriptors: all})
	if err == nil && answer.OverallCode == rls.RateLimitResponse_UNKNOWN {
		err = errors.New("answered without a verdict")
	}
	return answer, err
}

func (s *soaked) asks(all ...*ratelimit.RateLimitDescriptor) error {
	_, err := s.ask(s.client, all...)
	return err
}

// asksAndEnds brings back the receipt of what was admitted.
func (s *soaked) asksAndEnds(all ...*ratelimit.RateLimitDescriptor) error {
	answer, err := s.ask(s.client, all...)
	if receipt := answer.GetDynamicMetadata().GetFields()["receipt"].GetStringValue(); err == nil && receipt != "" {
		return s.asks(soakEntry("weir.receipt", receipt))
	}
	return err
}

// leaves asks as a caller who gives up before it is his turn, or just then.
func (s *soaked) leaves(n int) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(n%50)*time.Millisecond)
	defer cancel()
	_, _ = s.client.ShouldRateLimit(ctx, &rls.RateLimitRequest{Domain: "d", Descriptors: []*ratelimit.RateLimitDescriptor{soakEntry("turn", 0)}})
	return nil
}

func (s *soaked) connects(n int) error {
	conn, err := s.certificates.dial(s.weir.GRPC)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = s.ask(rls.NewRateLimitServiceClient(conn), soakEntry("user", n%200))
	return err
}

// changes sets limits, for all and for one user, and undoes it.
func (s *soaked) changes(n int) error {
	switch n % 4 {
	case 0:
		return s.calls(http.MethodPut, "/api/v1/limits/user", fmt.Sprintf(`{"burst": %d, "ttl": "2s"}`, 60+n%7))
	case 1:
		return s.calls(http.MethodPut, "/api/v1/limits/user", fmt.Sprintf(`{"for": {"user": "%d"}, "blocked": true, "ttl": "1s"}`, n%50))
	case 2:
		return s.calls(http.MethodPut, "/api/v1/pools/units/instances/"+fmt.Sprint(n%10), `{"units": 20, "ttl": "2s"}`)
	default:
		return s.calls(http.MethodDelete, "/api/v1/limits/user", "", http.StatusNotFound)
	}
}

func (s *soaked) takes(n int) error {
	switch n % 20 {
	case 0:
		return s.calls(http.MethodPut, "/api/v1/buckets/soak", `{"rate": "10/s", "burst": 4}`)
	case 19:
		return s.calls(http.MethodDelete, "/api/v1/buckets/soak", "", http.StatusNotFound)
	default:
		return s.calls(http.MethodPost, "/api/v1/acquire?wait=100ms", `{"bucket": "soak"}`, http.StatusTooManyRequests, http.StatusNotFound)
	}
}

func (s *soaked) looks(n int) error {
	pages := []string{"/api/v1/limits", "/api/v1/history", "/", "/readyz", "/api/v1/buckets?domain=d&entry=user=1"}
	return s.calls(http.MethodGet, pages[n%len(pages)], "", http.StatusNotFound)
}

// calls calls the HTTP port, and may be answered with one of some statuses beside success;
// too that the store did not answer: Redis is restarted, and a busy disk may take seconds to
// write what is set.
func (s *soaked) calls(method, path, body string, may ...int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, "http://"+s.weir.HTTP+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode < 300 {
		return err
	}
	for _, status := range append(may, http.StatusServiceUnavailable) {
		if response.StatusCode == status {
			return nil
		}
	}
	return fmt.Errorf("%s %s: %d %s", method, path, response.StatusCode, text)
}
