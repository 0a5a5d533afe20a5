package admin_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/weir-rls/weir/admin"
)

// Whatever is sent to the HTTP port, it is answered: with what was asked for, or with a
// problem that says what is wrong, and then nothing has changed. Nobody gets past the guard.
func FuzzHTTP(f *testing.F) {
	const operator = "the token of an operator"
	for _, c := range [][4]string{
		{"GET", "/", "", ""},
		{"GET", "/api/v1/limits/per-user?domain=llm", "", ""},
		{"PUT", "/api/v1/limits/vip?dry_run=true", "application/json", `{"rate": "1/s"}`},
		{"PUT", "/api/v1/limits/vip", "application/json; charset=utf-8", `{"burst": 7}`},
		{"DELETE", "/api/v1/limits/vip?for=%7B%22user%22%3A1%7D&version=x", "", ""},
		{"POST", "/api/v1/check", "application/json", `{"domain": "llm", "descriptors": [{"entries": [{"key": "user", "value": "u"}]}]}`},
		{"POST", "/api/v1/acquire?wait=1ms", "application/json", `{"bucket": "b"}`},
		{"PUT", "/api/v1/buckets/a%2Fb", "application/json", `{"rate": "1/s"}`},
		{"PUT", "/api/v1/pools/units/instances/x", "application/json", `{"units": 1}`},
		{"GET", "/api/v1/buckets?domain=llm&entry=user%3Du&entry=x", "", ""},
		{"GET", "/api/v1/history?n=-1&n=2", "", ""},
		{"PATCH", "/api/../api/v1//limits", "text/plain", "{"},
	} {
		f.Add(c[0], c[1], c[2], c[3], "Bearer "+operator)
	}
	f.Add("GET", "/", "", "", "Basic x")
	f.Add("PUT", "/api/v1/limits/vip", "application/json", `{"burst": 7}`, "bearer "+operator+" ")
	w := newWorldBehind(f, admin.Guard{Tokens: tokens(admin.NewToken(admin.Operator, "ann", operator))}, inMemory(f), nil)
	f.Fuzz(func(t *testing.T, method, target, contentType, body, authorization string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || u.Host != "" || strings.Contains(u.Query().Get("wait"), "m") || strings.Contains(u.Query().Get("wait"), "h") {
			return // no server passes it on; and nobody here waits for minutes
		}
		r := (&http.Request{
			Method: method, URL: u, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, RemoteAddr: "10.0.0.7:1", Host: "weir.example", RequestURI: target,
			Header: http.Header{}, Body: http.NoBody,
		}).WithContext(t.Context())
		if body != "" {
			r = r.Clone(t.Context())
			r.Body, r.ContentLength = httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)).Body, int64(len(body))
		}
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("Authorization", authorization)
		before, _ := w.ledger.Version(t.Context())
		answer := httptest.NewRecorder()
		w.ServeHTTP(answer, r)

		after, _ := w.ledger.Version(t.Context())
		kind := answer.Header().Get("Content-Type")
		switch {
		case answer.Code >= 500, answer.Code < 200, answer.Header().Get("X-Content-Type-Options") != "nosniff":
			t.Fatalf("%s %q %q: %d %s", method, target, body, answer.Code, answer.Body)
		case answer.Code >= 400 && (kind != "application/problem+json" && answer.Code != http.StatusTooManyRequests || after != before):
			t.Fatalf("%s %q %q: %d %s of type %s, version %d after %d", method, target, body, answer.Code, answer.Body, kind, after, before)
		case strings.Contains(kind, "json") && !json.Valid(answer.Body.Bytes()):
			t.Fatalf("%s %q %q: %d %q", method, target, body, answer.Code, answer.Body)
		}
		if scheme, token, _ := strings.Cut(authorization, " "); (!strings.EqualFold(scheme, "bearer") || strings.TrimSpace(token) != operator) && answer.Code < 300 &&
			u.Path != "/healthz" && u.Path != "/readyz" && u.Path != "/livez" {
			t.Fatalf("%s %q is answered %d to %q", method, target, answer.Code, authorization)
		}
	})
}
