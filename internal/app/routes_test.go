package app_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weir-rls/weir/admin"
	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

const pooledRules = `
domain: d
pools:
  - {name: units, rate: 10/s, burst: 100, instances: {units_each: 20, min: 20, max: 400}, feedback: {}}
descriptors:
  - {key: user, limits: [{name: per-user, rate: 5/day, algorithm: token_bucket}]}
  - {key: api, draw: {pool: units, class: a, weight: 1}}
`

// open are the routes that everybody who reaches the port may use.
var open = []string{"/dashboard/assets/{file}", "/healthcheck", "/livez", "/login", "/metrics", "/readyz"}

// changes are requests of each route that changes something, in an order in which an
// operator may make them.
var changes = []struct{ method, route, target, body string }{
	{"PUT", "/api/v1/limits/{limit}", "/api/v1/limits/per-user", `{"rate": "9/day"}`},
	{"DELETE", "/api/v1/limits/{limit}", "/api/v1/limits/per-user", ""},
	{"PUT", "/api/v1/domains/{domain}", "/api/v1/domains/d", `{"enabled": true}`},
	{"DELETE", "/api/v1/domains/{domain}", "/api/v1/domains/d", ""},
	{"PUT", "/api/v1/pools/{pool}/instances/{id}", "/api/v1/pools/units/instances/i", `{"units": 40}`},
	{"DELETE", "/api/v1/pools/{pool}/instances/{id}", "/api/v1/pools/units/instances/i", ""},
	{"PUT", "/api/v1/pools/{pool}/capacity", "/api/v1/pools/units/capacity", `{"total": 40}`},
	{"DELETE", "/api/v1/pools/{pool}/capacity", "/api/v1/pools/units/capacity", ""},
	{"PUT", "/api/v1/pools/{pool}/feedback", "/api/v1/pools/units/feedback", `{"freeze": true}`},
	{"PUT", "/api/v1/buckets/{id}", "/api/v1/buckets/b", `{"rate": "1/s"}`},
	{"DELETE", "/api/v1/buckets/{id}", "/api/v1/buckets/b", ""},
	{"POST", "/api/v1/check", "/api/v1/check", `{"domain": "d", "descriptors": [{"entries": [{"key": "user", "value": "u"}]}]}`},
	{"POST", "/api/v1/acquire", "/api/v1/acquire?wait=1s", `{"domain": "d", "descriptors": [{"entries": [{"key": "user", "value": "u"}]}]}`},
	{"DELETE", "/api/v1/buckets", "/api/v1/buckets?domain=d&entry=user=u", ""},
}

// questions are requests of each route that changes nothing though it is a POST.
var questions = []struct{ method, route, target, body string }{
	{"POST", "/api/v1/explain", "/api/v1/explain", `{"domain": "d", "descriptors": [{"entries": [{"key": "user", "value": "u"}]}]}`},
	{"POST", "/logout", "/logout", ""},
}

// forms are the pages that change something. What they do with forms of their own is
// shown in a browser, by the tests of e2e; there is nothing that an empty one changes.
var forms = []string{"/dashboard/models", "/dashboard/changes"}

// visitor asks the HTTP port.
type visitor struct {
	*replica
	scheme string
	client *http.Client
	as     func(*http.Request) // says who asks; nil: a caller on this machine
}

func (r *replica) visitor(as func(*http.Request)) visitor {
	return visitor{r, "http", &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, as}
}

func bearer(text string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+text) }
}

func (v visitor) do(method, target, body string) (int, http.Header, string) {
	v.t.Helper()
	request, err := http.NewRequest(method, v.scheme+"://"+v.HTTPAddr()+strings.TrimPrefix(target, "*"), strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	if target == "*" {
		request.URL = &url.URL{Scheme: v.scheme, Host: v.HTTPAddr(), Opaque: "*"}
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if v.as != nil {
		v.as(request)
	}
	answer, err := v.client.Do(request)
	if err != nil {
		v.t.Fatal(method, target, err)
	}
	defer answer.Body.Close()
	if answer.Header.Get("Content-Type") == "text/event-stream" { // which has no end
		return answer.StatusCode, answer.Header, ""
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		v.t.Fatal(method, target, err)
	}
	return answer.StatusCode, answer.Header, string(text)
}

// state is what the changes of changes would change.
func (v visitor) state() (all string) {
	v.t.Helper()
	for _, target := range []string{"/api/v1/limits", "/api/v1/buckets", "/api/v1/pools", "/api/v1/buckets?domain=d&entry=user=u"} {
		code, _, body := v.do("GET", target, "")
		if code != 200 {
			v.t.Fatalf("GET %s: %d %s", target, code, body)
		}
		all += body
	}
	return all
}

// filled is a path without holes.
func filled(path string) string {
	return strings.NewReplacer("{limit}", "per-user", "{domain}", "d", "{pool}", "units", "{id}", "i").Replace(path)
}

const viewerToken, operatorToken = "weir_of-a-viewer", "weir_of-an-operator"

// tokensFile is a file with both.
func tokensFile(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "tokens")
	text := admin.NewToken(admin.Viewer, "dashboard", viewerToken).Line() + "\n" + admin.NewToken(admin.Operator, "ann", operatorToken).Line() + "\n"
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func startWithTokens(t *testing.T) *replica {
	return start(t, pooledRules, func(s *config.Settings) { s.AdminTokensFile = tokensFile(t) })
}

// startOverTLS is a replica whose HTTP port asks clients for a certificate, and who
// asks it without one.
func startOverTLS(t *testing.T) (r *replica, stranger, operator visitor) {
	dir := t.TempDir()
	servers, clients := partstest.NewAuthority(t), partstest.NewAuthority(t)
	cert, key, ca := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem")
	partstest.WritePair(t, servers.Server("weir"), cert, key)
	clients.Write(ca)
	r = start(t, pooledRules, func(s *config.Settings) { s.HTTPCert, s.HTTPKey, s.HTTPClientCA = cert, key, ca })
	visit := func(certificates ...tls.Certificate) visitor {
		return visitor{r, "https", &http.Client{Transport: &http.Transport{
			DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: servers.Pool(), ServerName: "weir", Certificates: certificates},
		}}, nil}
	}
	return r, visit(), visit(clients.Client("ann"))
}

// Whoever is not known is refused by each route but those for health and metrics,
// however callers are known.
func TestEveryRouteRefusesWhoIsNotKnown(t *testing.T) {
	local, tokens := start(t, pooledRules, nil), startWithTokens(t)
	_, stranger, _ := startOverTLS(t)
	for name, c := range map[string]struct {
		visitor
		want int
	}{
		"no token":              {tokens.visitor(nil), 401},
		"a wrong token":         {tokens.visitor(bearer("weir_of-nobody")), 401},
		"no text":               {tokens.visitor(bearer("")), 401},
		"a hash for a token":    {tokens.visitor(bearer(strings.Fields(admin.NewToken(admin.Operator, "ann", operatorToken).Line())[2])), 401},
		"another scheme":        {tokens.visitor(func(r *http.Request) { r.SetBasicAuth("ann", operatorToken) }), 401},
		"another site's page":   {tokens.visitor(func(r *http.Request) { bearer(operatorToken)(r); r.Header.Set("Sec-Fetch-Site", "cross-site") }), 403},
		"behind a proxy":        {local.visitor(func(r *http.Request) { r.Header.Set("X-Forwarded-For", "10.0.0.7") }), 403},
		"another name of ours":  {local.visitor(func(r *http.Request) { r.Host = "evil.example" }), 403},
		"a page on this host":   {local.visitor(func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }), 403},
		"without a certificate": {stranger, 403},
	} {
		t.Run(name, func(t *testing.T) {
			for _, route := range c.Routes() {
				code, header, body := c.do(route.Method, filled(route.Path), "{}")
				switch refused := code == 401 || code == 403; {
				case route.Method+" "+route.Path == "POST /login": // [TestLogin] and those below it
				case slices.Contains(open, route.Path):
					if refused || route.Who != admin.Everyone {
						t.Errorf("%s %s: %d, want an answer", route.Method, route.Path, code)
					}
				case code != c.want || header.Get("Content-Type") != "application/problem+json":
					t.Errorf("%s %s: %d %s, want %d", route.Method, route.Path, code, body, c.want)
				}
			}
			for _, target := range []string{"/nothing", "/api/v1/", "/debug/pprof/"} {
				if code, _, _ := c.do("GET", target, ""); code != c.want {
					t.Errorf("GET %s: %d, want %d", target, code, c.want)
				}
			}
		})
	}
}

// A viewer's token reads all there is and changes nothing by any route. An operator's
// does both.
func TestEveryRouteThatChangesSomethingRefusesViewers(t *testing.T) {
	r := startWithTokens(t)
	viewer, operator := r.visitor(bearer(viewerToken)), r.visitor(bearer(operatorToken))
	unasked, unanswered := map[string]bool{}, map[string]bool{}
	for _, route := range r.Routes() {
		if !route.Asks {
			unasked[route.Method+" "+route.Path] = true
			continue
		}
		if route.Method != "GET" {
			unanswered[route.Method+" "+route.Path] = true
			continue
		}
		for _, method := range []string{"GET", "HEAD"} {
			if code, _, body := viewer.do(method, filled(route.Path), ""); code == 401 || code == 403 || code == 405 {
				t.Errorf("a viewer's %s %s: %d %s", method, route.Path, code, body)
			}
		}
	}
	before := viewer.state()
	for _, c := range changes {
		delete(unasked, c.method+" "+c.route)
		if code, _, body := viewer.do(c.method, c.target, c.body); code != 403 || !strings.Contains(body, `"status":403`) {
			t.Errorf("a viewer's %s %s: %d %s", c.method, c.target, code, body)
		}
	}
	for _, page := range forms {
		delete(unasked, "POST "+page)
		if code, _, body := viewer.do("POST", page, ""); code != 403 || !strings.Contains(body, `"status":403`) {
			t.Errorf("a viewer's POST %s: %d %s", page, code, body)
		}
		if code, _, body := operator.do("POST", page, ""); code != 404 && code != 409 {
			t.Errorf("an operator's empty POST %s: %d %s", page, code, body)
		}
	}
	delete(unanswered, "POST /dashboard/rules") // [TestDashboard_ExplainTellsTheLimitThatDecides]
	for _, q := range questions {
		delete(unanswered, q.method+" "+q.route)
		for range 3 {
			if code, _, body := viewer.do(q.method, q.target, q.body); code != 200 {
				t.Errorf("a viewer's %s %s: %d %s", q.method, q.target, code, body)
			}
		}
	}
	delete(unanswered, "POST /login") // [TestLogin] and those below it
	if len(unanswered) > 0 {
		t.Errorf("the list questions lacks a request of %v", slices.Sorted(maps.Keys(unanswered)))
	}
	if after := viewer.state(); after != before {
		t.Errorf("a viewer changed\n%s\nto\n%s", before, after)
	}
	if len(unasked) > 0 {
		t.Errorf("the list changes lacks a request of %v", slices.Sorted(maps.Keys(unasked)))
	}
	for _, c := range changes {
		if code, _, body := operator.do(c.method, c.target, c.body); code != 200 {
			t.Errorf("an operator's %s %s: %d %s", c.method, c.target, code, body)
		}
	}
	if operator.state() == before {
		t.Error("what an operator changes does not show, so that what a viewer does would not")
	}
	if got := r.metric(`weir_http_refused_total{status="403"}`); got != float64(len(changes)+len(forms)) {
		t.Errorf("%v refusals are counted, want %d", got, len(changes)+len(forms))
	}
	for _, secret := range []string{viewerToken, operatorToken, "sha256:"} {
		if strings.Contains(r.log.String(), secret) {
			t.Errorf("the log tells %s", secret)
		}
	}
}

// Each answer says what a browser may do with it, also one that refuses.
func TestEveryAnswerHasSecurityHeaders(t *testing.T) {
	_, stranger, operator := startOverTLS(t)
	for name, v := range map[string]visitor{"on this machine": start(t, pooledRules, nil).visitor(nil), "over TLS": operator, "refused": stranger} {
		wanted := map[string]string{
			"Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Referrer-Policy": "no-referrer",
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Cross-Origin-Resource-Policy": "same-origin", "Strict-Transport-Security": "",
		}
		if v.scheme == "https" {
			wanted["Strict-Transport-Security"] = "max-age=31536000"
		}
		asked := []admin.Route{{Method: "GET", Path: "/nothing"}, {Method: "GET", Path: "/a//b"}, {Method: "TRACE", Path: "/livez"}, {Method: "OPTIONS", Path: "*"}}
		for _, route := range append(asked, v.Routes()...) {
			code, got, _ := v.do(route.Method, filled(route.Path), "")
			page := strings.HasPrefix(got.Get("Content-Type"), "text/html")
			for header, want := range wanted {
				if page && (header == "Content-Security-Policy" || header == "Referrer-Policy") {
					continue // [TestDashboard_PagesLoadNothingButWhatIsWeirs]
				}
				if got := strings.Join(got.Values(header), ", "); got != want {
					t.Errorf("%s: %s %s (%d) has %s: %s, want %s", name, route.Method, route.Path, code, header, got, want)
				}
			}
		}
	}
}

// What the reference page says of who may use what is what the program has.
func TestThePageSaysWhoMayUseWhat(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/api.md")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	want.WriteString("| method | path | who |\n|---|---|---|\n")
	for _, r := range start(t, oneRule, nil).Routes() {
		fmt.Fprintf(&want, "| `%s` | `%s` | %s |\n", r.Method, r.Path, r.Who)
	}
	_, table, _ := strings.Cut(string(page), "## Who may use what\n")
	table = table[max(0, strings.Index(table, "| method")):]
	table, _, _ = strings.Cut(table, "\n\n")
	if strings.TrimSpace(table) != strings.TrimSpace(want.String()) {
		t.Errorf("docs/reference/api.md, Who may use what: the table must be\n%s", want.String())
	}
}
