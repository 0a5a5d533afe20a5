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
	p.ServeHTTP(answer, httptest.NewRequest(method, path, nil))
	return answer
}

func TestTheIndexListsEveryPageInOrder(t *testing.T) {
	p := admin.New()
	p.Add("/z", "the last", http.NotFoundHandler())
	p.AddHealth(func() string { return "" })
	got := ask(p, "GET", "/").Body.String()
	var paths []string
	for line := range strings.Lines(got) {
		paths = append(paths, strings.Fields(line)[0])
	}
	if want := "/healthcheck /livez /readyz /z"; strings.Join(paths, " ") != want {
		t.Errorf("the index lists %v, want %s:\n%s", paths, want, got)
	}
}

func TestPagesAreReadOnlyAndOthersAreNotFound(t *testing.T) {
	p := admin.New()
	p.AddHealth(func() string { return "" })
	if code := ask(p, "POST", "/readyz").Code; code != http.StatusMethodNotAllowed {
		t.Errorf("POST /readyz: %d", code)
	}
	if code := ask(p, "GET", "/nothing").Code; code != http.StatusNotFound {
		t.Errorf("GET /nothing: %d", code)
	}
}

func TestHealthTellsWhyNot(t *testing.T) {
	p := admin.New()
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
