package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-rls/weir/admin"
	"github.com/weir-rls/weir/internal/browsertest"
)

const viewersToken, operatorsToken = "weir_of-a-viewer", "weir_of-an-operator"

// dashboardRules have something for each page to show.
const dashboardRules = `
domain: shop
pools:
  - {name: units, rate: 40/s, burst: 100}
presets:
  - model_limits: {period: 1m, success: 1000, groups: {default: [200, 100], vip: [0, 1000]}}
descriptors:
  - {key: user, limits: [{name: per-user, rate: 60/min, burst: 100}]}
  - {key: remote_address, limits: [{name: per-address, rate: 10/s}]}
  - {key: path, value: /api/a, limits: [{rate: 5/s, shadow_mode: true}]}
  - {key: jobs, limits: [{name: at-once, algorithm: concurrency, slots: 5}]}
  - {key: api, value: search, draw: {pool: units, class: search, weight: 3}}
  - {key: api, value: read, draw: {pool: units, class: read, weight: 1}}
`

// tokensFile lets a viewer and an operator in.
func tokensFile(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "tokens")
	text := admin.NewToken(admin.Viewer, "bob", viewersToken).Line() + "\n" + admin.NewToken(admin.Operator, "ann", operatorsToken).Line() + "\n"
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// dashboardPages are all pages that somebody can open, by the names of their pictures.
var dashboardPages = []struct{ name, path string }{
	{"overview", "/dashboard"},
	{"limits", "/dashboard/limits"},
	{"limit", "/dashboard/limits/shop/per-user"},
	{"pool", "/dashboard/limits/shop/units"},
	{"pools", "/dashboard/pools"},
	{"rules", "/dashboard/rules"},
	{"models", "/dashboard/models"},
	{"events", "/dashboard/events"},
	{"changes", "/dashboard/changes"},
}

// Each page loads without an error in the console, in both themes, asks no other origin,
// can be read by who sees little contrast, and names each control.
func TestDashboard_EachPageLoadsAndCanBeRead(t *testing.T) {
	top := run(t, spec{weirs: 1, rules: dashboardRules})
	browser := browsertest.Start(t)
	for theme, dark := range map[string]bool{"light": false, "dark": true} {
		t.Run(theme, func(t *testing.T) {
			p := browser.Open(t, "http://"+top.weirs[0].HTTP+"/dashboard", browsertest.Look{Dark: dark})
			for _, page := range dashboardPages {
				p.Go("http://" + top.weirs[0].HTTP + page.path)
				p.Await("the page has its title", `document.querySelector("main h1")`)
				for _, fault := range p.Contrast() {
					t.Errorf("%s: contrast %s", page.path, fault)
				}
				for _, control := range p.Unnamed() {
					t.Errorf("%s: no name: %s", page.path, control)
				}
				p.Screenshot(page.name + "-" + theme)
			}
		})
	}
}

func TestDashboard_LogInAndOut(t *testing.T) {
	top := run(t, spec{weirs: 1, rules: dashboardRules, more: []string{"--admin-tokens-file", tokensFile(t)}})
	p := browsertest.Start(t).Open(t, "http://"+top.weirs[0].HTTP+"/dashboard/limits", browsertest.Look{})
	p.Expect("status of 422")
	p.Screenshot("login-light")
	p.Fill("#token", "weir_of-nobody")
	p.Click("button[type=submit]")
	p.Await("the page says why", `document.querySelector("#token-error")?.innerText.includes("not known")`)
	p.Fill("#token", viewersToken)
	p.Click("button[type=submit]")
	p.Await("the page that was asked for", `location.pathname === "/dashboard/limits" && document.querySelector(".who")?.innerText.includes("bob")`)
	if cookie := browsertest.Eval[string](p, "document.cookie"); cookie != "" {
		t.Errorf("a script can read the session's cookie: %s", cookie)
	}
	p.Click(".who button")
	p.Await("the login page", `location.pathname === "/login"`)
	p.Go("http://" + top.weirs[0].HTTP + "/dashboard/limits")
	p.Await("the login page again", `location.pathname === "/login"`)
}

// Who follows a link from another site is still logged in, though the cookie is not for
// other sites.
func TestDashboard_ALinkFromAnotherSiteLeadsToThePage(t *testing.T) {
	top := run(t, spec{weirs: 1, rules: dashboardRules, more: []string{"--admin-tokens-file", tokensFile(t)}})
	p := logIn(t, browsertest.Start(t), top, viewersToken, "/dashboard/pools")
	wiki := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<link rel="icon" href="data:,"><a href="http://%s/dashboard/limits?q=user">limits</a>`, top.weirs[0].HTTP)
	}))
	defer wiki.Close()
	p.Expect("asks another origin")
	p.Go(strings.Replace(wiki.URL, "127.0.0.1", "localhost", 1)) // which is another site
	p.Click("a")
	p.Await("the page that the link is for", `location.pathname + location.search === "/dashboard/limits?q=user"`)
}

// The switch of the theme holds on all pages, and wins over the system.
func TestDashboard_TheThemeIsKept(t *testing.T) {
	top := run(t, spec{weirs: 1, rules: dashboardRules})
	p := browsertest.Start(t).Open(t, "http://"+top.weirs[0].HTTP+"/dashboard/pools", browsertest.Look{})
	const ground = `getComputedStyle(document.body).backgroundColor`
	light := browsertest.Eval[string](p, ground)
	p.Click("[data-set-theme=dark]")
	p.Go("http://" + top.weirs[0].HTTP + "/dashboard/limits")
	if dark := browsertest.Eval[string](p, ground); dark == light {
		t.Errorf("the page is still %s", light)
	}
	p.Click("[data-set-theme='']")
	p.Go("http://" + top.weirs[0].HTTP + "/dashboard/pools")
	if now := browsertest.Eval[string](p, ground); now != light {
		t.Errorf("the page is %s, and was %s", now, light)
	}
}
