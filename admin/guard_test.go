package admin_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/weir-rls/weir/admin"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

func tokens(all ...admin.Token) func() admin.Tokens {
	return func() admin.Tokens { return all }
}

func guarded(t *testing.T, g admin.Guard) *world {
	t.Helper()
	return newWorldBehind(t, g, inMemory(t), nil)
}

// Who is not on this machine, or asks for somebody who may not be, is refused;
// health answers all the same.
func TestGuard_WithoutATokenOnlyThisMachineIsAnswered(t *testing.T) {
	w := guarded(t, admin.Guard{})
	for name, c := range map[string]struct {
		from, host string
		header     [2]string
		status     int
	}{
		"IPv4":                            {"127.0.0.1:1", "127.0.0.1:8080", [2]string{}, 200},
		"another address of this machine": {"127.9.9.9:1", "127.0.0.1:8080", [2]string{}, 200},
		"IPv6":                            {"[::1]:1", "[::1]:8080", [2]string{}, 200},
		"IPv4 in IPv6":                    {"[::ffff:127.0.0.1]:1", "localhost:8080", [2]string{}, 200},
		"IPv4 in IPv6 as a host":          {"127.0.0.1:1", "[::ffff:127.0.0.1]:8080", [2]string{}, 200},
		"a name":                          {"127.0.0.1:1", "LocalHost", [2]string{}, 200},
		"IPv6 without a port":             {"[::1]:1", "[::1]", [2]string{}, 200},
		"another machine":                 {"10.0.0.7:1", "127.0.0.1:8080", [2]string{}, 403},
		"no address":                      {"@", "127.0.0.1:8080", [2]string{}, 403},
		"DNS rebinding":                   {"127.0.0.1:1", "evil.example:8080", [2]string{}, 403},
		"a host that only begins so":      {"127.0.0.1:1", "127.0.0.1.evil.example", [2]string{}, 403},
		"a host that only ends so":        {"127.0.0.1:1", "evil.localhost.example", [2]string{}, 403},
		"no host":                         {"127.0.0.1:1", "", [2]string{}, 403},
		"behind a proxy":                  {"127.0.0.1:1", "127.0.0.1:8080", [2]string{"X-Forwarded-For", "10.0.0.7"}, 403},
		"behind a proxy that says nobody": {"127.0.0.1:1", "127.0.0.1:8080", [2]string{"x-forwarded-for", ""}, 403},
		"behind a newer proxy":            {"127.0.0.1:1", "127.0.0.1:8080", [2]string{"Forwarded", "for=10.0.0.7"}, 403},
		"behind a cache":                  {"127.0.0.1:1", "127.0.0.1:8080", [2]string{"Via", "1.1 cache"}, 403},
		"behind an Envoy":                 {"127.0.0.6:1", "127.0.0.1:8080", [2]string{"X-Forwarded-Proto", "http"}, 403},
		"behind a sidecar":                {"127.0.0.6:1", "127.0.0.1:8080", [2]string{"x-envoy-attempt-count", "1"}, 403},
		"a token that nobody asked for":   {"10.0.0.7:1", "127.0.0.1:8080", [2]string{"Authorization", "Bearer "}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/api/v1/limits", "/api/nothing", "/livez", "/readyz", "/"} {
				r := request("GET", path, "")
				r.RemoteAddr, r.Host = c.from, c.host
				if c.header[0] != "" {
					r.Header.Set(c.header[0], c.header[1])
				}
				want := c.status
				switch {
				case path == "/api/nothing" && want == 200:
					want = 404
				case path == "/livez" || path == "/readyz":
					want = 200
				}
				got := w.do(r)
				if got.Code != want {
					t.Errorf("GET %s: %d %s, want %d", path, got.Code, got.Body, want)
				}
				if want >= 400 && got.Header().Get("Content-Type") != "application/problem+json" {
					t.Errorf("GET %s: %v", path, got.Header())
				}
			}
		})
	}
}

// With a token everybody needs it, this machine too.
func TestGuard_WithATokenEverybodyNeedsIt(t *testing.T) {
	const token = "a token of thirty-two characters"
	w := guarded(t, admin.Guard{Tokens: tokens(admin.NewToken(admin.Operator, "", token))})
	for sent, want := range map[string]int{
		"Bearer " + token: 200, "bearer " + token: 200, "Bearer  " + token: 200,
		"": 401, "Bearer": 401, "Bearer ": 401, token: 401, "Basic " + token: 401, "Bearer " + token + "x": 401, "Bearer " + token[1:]: 401,
	} {
		for _, from := range []string{"127.0.0.1:1", "10.0.0.7:1"} {
			r := request("GET", "/api/v1/limits", "")
			r.RemoteAddr, r.Host = from, "weir.example"
			r.Header.Set("X-Forwarded-For", "10.1.1.1")
			if sent != "" {
				r.Header.Set("Authorization", sent)
			}
			got := w.do(r)
			if got.Code != want {
				t.Errorf("%s with %q: %d, want %d", from, sent, got.Code, want)
			}
			if want == 401 && got.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("%q: no challenge", sent)
			}
		}
	}
	if got := w.ask("GET", "/livez", ""); got.Code != 200 {
		t.Errorf("/livez: %d", got.Code)
	}
}

// A page of another site that a browser on this machine shows can send requests,
// but cannot hide where it is from.
func TestGuard_PagesOfOtherSitesAreRefused(t *testing.T) {
	w := guarded(t, admin.Guard{})
	for name, c := range map[string]struct {
		headers map[string]string
		status  int
	}{
		"curl":           {nil, 200},
		"its own page":   {map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:8080"}, 200},
		"another site":   {map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403},
		"another port":   {map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:9090"}, 403},
		"an old browser": {map[string]string{"Origin": "https://evil.example"}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			look := request("GET", "/api/v1/limits", "")
			for key, value := range c.headers {
				look.Header.Set(key, value)
			}
			if got := w.do(look); got.Code != c.status {
				t.Errorf("GET: %d %s, want %d", got.Code, got.Body, c.status)
			}
			look.Header.Set("Sec-Fetch-Mode", "navigate")
			if got := w.do(look); got.Code != 200 {
				t.Errorf("a link that the caller follows: %d %s", got.Code, got.Body)
			}
			before := w.version()
			r := request("PUT", "/api/v1/domains/llm", `{"enabled": true}`)
			r.Header.Set("Sec-Fetch-Mode", "navigate")
			for key, value := range c.headers {
				r.Header.Set(key, value)
			}
			if got := w.do(r); got.Code != c.status {
				t.Errorf("%d %s, want %d", got.Code, got.Body, c.status)
			}
			if changed := w.version() != before; changed != (c.status == 200) {
				t.Errorf("changed: %v", changed)
			}
		})
	}
	// What a form can send without asking the browser first is no JSON.
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""} {
		r := request("PUT", "/api/v1/domains/llm", `{"enabled": false}`)
		r.Header.Set("Content-Type", kind)
		if got := w.do(r); got.Code != http.StatusUnsupportedMediaType {
			t.Errorf("%q: %d %s", kind, got.Code, got.Body)
		}
	}
}

// A certificate opens the API only if the server has verified it: from any
// address, with a token set up or not.
func TestGuard_AVerifiedCertificateOpensTheAPI(t *testing.T) {
	authority := partstest.NewAuthority(t)
	good, self := authority.Client(), partstest.NewAuthority(t).Client()
	for name, guard := range map[string]admin.Guard{
		"certificates": {Certificates: true}, "certificates and a token": {Certificates: true, Tokens: tokens()},
	} {
		t.Run(name, func(t *testing.T) {
			w := guarded(t, guard)
			server := httptest.NewUnstartedServer(w)
			server.TLS = &tls.Config{ClientCAs: authority.Pool(), ClientAuth: tls.VerifyClientCertIfGiven}
			server.StartTLS()
			defer server.Close()
			status := func(certificate *tls.Certificate) int {
				transport := server.Client().Transport.(*http.Transport).Clone()
				defer transport.CloseIdleConnections()
				if certificate != nil {
					transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
						return certificate, nil
					}
				}
				answer, err := (&http.Client{Transport: transport}).Get(server.URL + "/api/v1/limits")
				if err != nil {
					return 0
				}
				answer.Body.Close()
				return answer.StatusCode
			}
			if got := status(&good); got != 200 {
				t.Errorf("a certificate of the authority: %d", got)
			}
			if got := status(&self); got != 0 {
				t.Errorf("a certificate of nobody: %d, want no connection", got)
			}
			if got := status(nil); got != 401 && got != 403 {
				t.Errorf("no certificate, on this machine: %d", got)
			}
		})
	}
}
