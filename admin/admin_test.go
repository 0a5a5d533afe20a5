package admin_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weir-rls/weir/admin"
)

func ask(p *admin.Pages, method, path string) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	p.ServeHTTP(answer, request(method, path, ""))
	return answer
}

func TestTheIndexListsEveryRouteInOrder(t *testing.T) {
	p := admin.New(admin.Guard{})
	p.Add(admin.Operator, "PUT", "/z/{name...}", "the last", http.NotFoundHandler())
	p.Add(admin.Viewer, "GET", "/z/{name...}", "the last but one", http.NotFoundHandler())
	p.AddHealth(func() string { return "" })
	got := ask(p, "GET", "/").Body.String()
	var routes []string
	for line := range strings.Lines(got) {
		routes = append(routes, strings.Join(strings.Fields(line)[:3], " "))
	}
	want := "/ GET viewer, /healthcheck GET everyone, /livez GET everyone, /readyz GET everyone, /z/{name} GET viewer, /z/{name} PUT operator"
	if strings.Join(routes, ", ") != want {
		t.Errorf("the index lists %v, want %s:\n%s", routes, want, got)
	}
}

// Who adds a page must think of who may use it, and cannot open what changes something.
func TestARouteThatDoesNotSayWhoMayUseItIsNotServed(t *testing.T) {
	for name, add := range map[string]func(*admin.Pages){
		"nobody":           func(p *admin.Pages) { p.Add(0, "GET", "/x", "", http.NotFoundHandler()) },
		"an unknown role":  func(p *admin.Pages) { p.Add(admin.Operator+1, "GET", "/x", "", http.NotFoundHandler()) },
		"viewers change":   func(p *admin.Pages) { p.Add(admin.Viewer, "PUT", "/x", "", http.NotFoundHandler()) },
		"everyone changes": func(p *admin.Pages) { p.Add(admin.Everyone, "POST", "/x", "", http.NotFoundHandler()) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("it is served")
				}
			}()
			add(admin.New(admin.Guard{}))
		})
	}
}

func TestPagesAreReadOnlyAndOthersAreNotFound(t *testing.T) {
	p := admin.New(admin.Guard{})
	p.AddHealth(func() string { return "" })
	if answer := ask(p, "POST", "/readyz"); answer.Code != http.StatusMethodNotAllowed || answer.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST /readyz: %d %v", answer.Code, answer.Header())
	}
	if code := ask(p, "HEAD", "/readyz").Code; code != http.StatusOK {
		t.Errorf("HEAD /readyz: %d", code)
	}
	if code := ask(p, "GET", "/nothing").Code; code != http.StatusNotFound {
		t.Errorf("GET /nothing: %d", code)
	}
}

func TestHealthTellsWhyNot(t *testing.T) {
	p := admin.New(admin.Guard{})
	reason := "draining"
	p.AddHealth(func() string { return reason })
	for path, want := range map[string]int{"/livez": 200, "/readyz": 503, "/healthcheck": 500} {
		answer := ask(p, "GET", path)
		if answer.Code != want || (want != 200) != strings.Contains(answer.Body.String(), reason) {
			t.Errorf("GET %s: %d %q, want %d and the reason", path, answer.Code, answer.Body, want)
		}
	}
	reason = ""
	for _, path := range []string{"/livez", "/readyz", "/healthcheck"} {
		if answer := ask(p, "GET", path); answer.Code != 200 || answer.Body.String() != "OK" {
			t.Errorf("GET %s: %d %q, want 200 OK", path, answer.Code, answer.Body)
		}
	}
}
