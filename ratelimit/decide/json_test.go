package decide

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"

	"github.com/weir-rls/weir/descriptors"
)

// answers is a service that answers what it is told to.
type answers struct {
	rls.UnimplementedRateLimitServiceServer
	answer *rls.RateLimitResponse
	err    error
}

func (a answers) ShouldRateLimit(context.Context, *rls.RateLimitRequest) (*rls.RateLimitResponse, error) {
	return a.answer, a.err
}

// Clients compare whole bodies: those of the reference service.
func TestJSON_StatusesAndBodies(t *testing.T) {
	const text, json = "text/plain; charset=utf-8", "application/json"
	for name, c := range map[string]struct {
		sent        string
		service     answers
		status      int
		contentType string
		body        string
	}{
		"no body":          {"", answers{}, 400, text, "Bad Request\n"},
		"no JSON":          {"}", answers{}, 400, text, "Bad Request\n"},
		"an unknown field": {`{"domain": "foo", "other": 1}`, answers{}, 400, text, "Bad Request\n"},
		"no code":          {`{"domain": "foo"}`, answers{answer: &rls.RateLimitResponse{}}, 500, json, "{}"},
		"an error":         {`{"domain": "foo"}`, answers{err: errors.New("some error")}, 400, text, "Bad Request\n"},
		"a panic":          {`{"domain": "foo"}`, answers{err: errInternal}, 500, text, "Internal Server Error\n"},
		"no answer":        {`{"domain": "foo"}`, answers{}, 500, text, "Internal Server Error\n"},
		"admitted":         {`{"domain": "foo"}`, answers{answer: &rls.RateLimitResponse{OverallCode: rls.RateLimitResponse_OK}}, 200, json, `{"overallCode":"OK"}`},
		"refused":          {`{"domain": "foo"}`, answers{answer: &rls.RateLimitResponse{OverallCode: rls.RateLimitResponse_OVER_LIMIT}}, 429, json, `{"overallCode":"OVER_LIMIT"}`},
		"no UTF-8":         {`{"domain": "foo"}`, answers{answer: &rls.RateLimitResponse{Statuses: []*rls.RateLimitResponse_DescriptorStatus{{CurrentLimit: &rls.RateLimitResponse_RateLimit{Name: "\xff"}}}}}, 500, text, "Internal Server Error\n"},
	} {
		w := httptest.NewRecorder()
		jsonHandler(c.service, slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest("ANY", "/any", strings.NewReader(c.sent)))
		if w.Code != c.status || w.Header().Get("Content-Type") != c.contentType || w.Body.String() != c.body {
			t.Errorf("%s: %d, %q, %q; want %d, %q, %q", name, w.Code, w.Header().Get("Content-Type"), w.Body, c.status, c.contentType, c.body)
		}
	}
}

// askJSON is the status and the body of an answer.
func (w *world) askJSON(body string) (int, string) {
	r := httptest.NewRecorder()
	w.JSON().ServeHTTP(r, httptest.NewRequest(http.MethodPost, "/json", strings.NewReader(body)))
	return r.Code, r.Body.String()
}

func TestJSON_DecidesWithTheService(t *testing.T) {
	w := newWorld(t, "domain: d\ndescriptors:\n- {key: k, rate_limit: {unit: minute, requests_per_unit: 1}}\n", nil)
	const sent = `{"domain": "d", "descriptors": [{"entries": [{"key": "k", "value": "v"}]}]}`
	for i, want := range []struct {
		status int
		body   string
	}{
		{200, `{"overallCode":"OK","statuses":[{"code":"OK","currentLimit":{"requestsPerUnit":1,"unit":"MINUTE"},"durationUntilReset":"60s"}]}`},
		{429, `{"overallCode":"OVER_LIMIT","statuses":[{"code":"OVER_LIMIT","currentLimit":{"requestsPerUnit":1,"unit":"MINUTE"},"durationUntilReset":"60s"}]}`},
	} {
		if status, body := w.askJSON(sent); status != want.status || body != want.body {
			t.Errorf("request %d: %d %s, want %d %s", i, status, body, want.status, want.body)
		}
	}
	w.options.Rules = func() *descriptors.Rules { panic("a fault") }
	if status, body := w.askJSON(sent); status != 500 || body != "Internal Server Error\n" {
		t.Errorf("a panic: %d %q", status, body)
	}
}

// A body of any length is read so far as a request may be long.
func TestJSON_ReadsAtMost4MiB(t *testing.T) {
	w := newWorld(t, "domain: d\ndescriptors: []\n", nil)
	endless := &endless{}
	r := httptest.NewRecorder()
	w.JSON().ServeHTTP(r, httptest.NewRequest(http.MethodPost, "/json", endless))
	if r.Code != 400 || endless.read > maxBody+1<<20 {
		t.Errorf("%d after %d bytes", r.Code, endless.read)
	}
}

type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.read += len(p)
	return len(p), nil
}
