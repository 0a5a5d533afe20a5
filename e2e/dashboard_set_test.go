package e2e

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/weir-rls/weir/internal/browsertest"
)

// setRules limit each user to more than a test sends.
const setRules = `
domain: e2e
passive: [api]
defaults: {response: openai}
descriptors:
  - {key: user, limits: [{name: per-user, rate: 1000/hour, burst: 1000}]}
`

// logIn opens a page as who has a token.
func logIn(t *testing.T, b *browsertest.Browser, top *topology, token, path string) *browsertest.Page {
	t.Helper()
	p := b.Open(t, "http://"+top.weirs[0].HTTP+path, browsertest.Look{})
	p.Fill("#token", token)
	p.Keys(kb.Enter)
	p.Await("the page that was asked for", `document.readyState === "complete" && location.pathname === "`+path+`"`)
	return p
}

// A limit is set in the dashboard with the keyboard alone, from the first page on, and the
// next request through Envoy meets it.
func TestDashboard_AnOverrideMadeByKeyboardLimitsTheNextRequestThroughEnvoy(t *testing.T) {
	top := run(t, spec{envoys: 1, weirs: 1, rules: setRules, more: []string{"--admin-tokens-file", tokensFile(t)}})
	alice := headers{"X-User": "alice"}
	if got := top.send(t, 5, alice); got[200] != 5 {
		t.Fatalf("before: %v", got)
	}
	p := logIn(t, browsertest.Start(t), top, operatorsToken, "/dashboard")
	p.Keys(kb.Tab)
	if first := browsertest.Eval[string](p, "document.activeElement.textContent"); first != "Skip to content" {
		t.Errorf("the tabulator leads first to %q", first)
	}
	p.TabTo(`nav a[href="/dashboard/limits"]`)
	p.Keys(kb.Enter)
	p.Await("the limits", `location.pathname === "/dashboard/limits" && document.querySelector("td a")`)
	p.TabTo(`td a[href="/dashboard/limits/e2e/per-user"]`)
	p.Keys(kb.Enter)
	p.Await("the limit, with its busiest key", `location.pathname === "/dashboard/limits/e2e/per-user" && document.querySelector("#keys tbody")?.innerText.includes("user=alice")`)

	p.TabTo("#f-rate")
	p.Keys("3/hour")
	p.TabTo("#f-burst")
	p.Keys("3")
	p.TabTo("#f-reason")
	p.Keys("the sale")
	p.TabTo("button[value=preview]")
	p.Keys(kb.Enter)
	p.Await("the preview", `document.querySelector("#preview").innerText.includes("rate 3/hour, burst 3 for all keys")`)
	if got := top.send(t, 1, alice); got[200] != 1 {
		t.Errorf("a preview limits: %v", got)
	}
	p.TabTo("button[value=apply]")
	p.Keys(kb.Enter)
	p.Await("it is set", `document.querySelector("tr[data-version]")?.innerText.includes("rate 3/hour, burst 3")`)
	if history := p.Text("[aria-labelledby=h-history] tbody tr"); !strings.Contains(history, "ann") || !strings.Contains(history, "the sale") {
		t.Errorf("the history says %q", history)
	}
	if got := top.send(t, 1, alice); got[429] != 1 {
		t.Errorf("the next request: %v", got)
	}
	p.Screenshot("limit-set-light")
	p.Fill("#f-rate", "2/hour")
	p.Keys(kb.Enter)
	p.Await("it is previewed in place of what is set", `document.querySelector("#preview").innerText.includes("It replaces rate 3/hour, burst 3")`)

	p.TabTo("[data-undo]")
	p.Keys(kb.Enter, kb.Enter)
	p.Await("nothing is set", `!document.querySelector("tr[data-version]") && document.querySelector("[aria-labelledby=h-history] tbody")?.innerText.includes("undone")`)
	if got := top.send(t, 1, alice); got[200] != 1 {
		t.Errorf("after it is undone: %v", got)
	}
}

// What the server says of a field is shown at the field, which has the focus then.
func TestDashboard_ErrorsAreShownAtTheirFields(t *testing.T) {
	top := run(t, spec{weirs: 1, rules: setRules})
	p := browsertest.Start(t).Open(t, "http://"+top.weirs[0].HTTP+"/dashboard/limits/e2e/per-user", browsertest.Look{})
	p.Expect("status of 4")
	for _, c := range []struct{ field, text, error string }{
		{"rate", "10", "has no period: write N/PERIOD"},
		{"burst", "many", "burst"},
		{"ttl", "soon", "ttl"},
		{"for", "alice", "is not KEY=VALUE"},
		{"for", "colour=red", "is missing"},
		{"reason", strings.Repeat("x", 1001), "1000"},
	} {
		p.Fill("#f-rate", "10/s")
		p.Fill("#f-"+c.field, c.text)
		p.Click("button[value=apply]")
		p.Await(c.field+" says why", `document.querySelector("#f-`+c.field+`-error")?.innerText.includes("`+c.error+`")`)
		if !browsertest.Eval[bool](p, `document.activeElement.id === "f-`+c.field+`" && document.activeElement.getAttribute("aria-invalid") === "true"`) {
			t.Errorf("%s: the field has not the focus, or does not say that it is wrong", c.field)
		}
		if c.field == "rate" {
			p.Screenshot("limit-error-light")
		}
		p.Fill("#f-"+c.field, "")
	}
	// Somebody else was faster.
	p.Fill("#f-rate", "10/s")
	if status := browsertest.Eval[int](p, `fetch("/api/v1/limits/per-user", {method: "PUT", headers: {"Content-Type": "application/json"}, body: '{"rate": "7/s"}'}).then((a) => a.status)`); status != 200 {
		t.Fatalf("the other's change: %d", status)
	}
	p.Click("button[value=apply]")
	p.Await("the page says so", `document.querySelector("#override-error").innerText.includes("Somebody else")`)
}

// A viewer sees the form, why he cannot use it, and can change nothing by any way.
func TestDashboard_AViewerCannotChangeAnything(t *testing.T) {
	top := run(t, spec{weirs: 1, rules: setRules, more: []string{"--admin-tokens-file", tokensFile(t)}})
	b := browsertest.Start(t)
	operator := logIn(t, b, top, operatorsToken, "/dashboard/limits/e2e/per-user")
	operator.Fill("#f-rate", "500/hour")
	operator.Click("button[value=apply]")
	operator.Await("it is set", `document.querySelector("tr[data-version]")`)

	p := logIn(t, b, top, viewersToken, "/dashboard/limits/e2e/per-user")
	p.Expect("status of 403")
	if enabled := browsertest.Eval[int](p, `document.querySelectorAll("main :is(input, select, button):enabled").length`); enabled != 0 {
		t.Errorf("%d controls are enabled", enabled)
	}
	if why := p.Text("#locked"); !strings.Contains(why, "viewer") {
		t.Errorf("the form says %q", why)
	}
	p.Screenshot("limit-viewer-light")
	for _, fault := range p.Contrast() {
		t.Errorf("contrast %s", fault)
	}
	before := limitsOf(t, top)
	// Whatever he makes of the page, the server decides.
	browsertest.Eval[bool](p, `document.querySelector("fieldset").disabled = false, document.querySelector("[data-undo]").disabled = false, true`)
	p.Fill("#f-rate", "1/hour")
	p.Click("button[value=apply]")
	p.Await("the server refuses", `document.querySelector("#override-error").innerText.includes("viewer")`)
	p.Click("[data-undo]")
	p.Click("[data-undo]")
	p.Await("the server refuses", `document.querySelector("[data-undo]").innerText === "Not undone"`)
	for _, request := range [][2]string{
		{"PUT", "/api/v1/limits/per-user"}, {"DELETE", "/api/v1/limits/per-user"}, {"PUT", "/api/v1/domains/e2e"}, {"PUT", "/api/v1/buckets/b"}, {"POST", "/api/v1/check"},
	} {
		body := "undefined"
		if request[0] != "DELETE" {
			body = `'{"rate": "1/s"}'`
		}
		script := `fetch("` + request[1] + `", {method: "` + request[0] + `", headers: {"Content-Type": "application/json"}, body: ` + body + `}).then((a) => a.status)`
		if status := browsertest.Eval[int](p, script); status != 403 {
			t.Errorf("%v: %d, want 403", request, status)
		}
	}
	if after := limitsOf(t, top); after != before {
		t.Errorf("he changed\n%s\nto\n%s", before, after)
	}
}

// limitsOf is what is set, as the API tells it.
func limitsOf(t *testing.T, top *topology) string {
	t.Helper()
	r, err := http.NewRequest("GET", "http://"+top.weirs[0].HTTP+"/api/v1/limits", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+viewersToken)
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != 200 {
		t.Fatal(err, answer.Status)
	}
	return string(text)
}

// What clients send is shown as text, whatever it looks like.
func TestDashboard_WhatClientsSendIsShownAsText(t *testing.T) {
	top := run(t, spec{envoys: 1, weirs: 1, rules: setRules})
	const hostile = `<img src=x onerror=document.title=1>"'&lt;{{.}}`
	if got := top.send(t, 3, headers{"X-User": hostile}); got[200] != 3 {
		t.Fatal(got)
	}
	p := browsertest.Start(t).Open(t, "http://"+top.weirs[0].HTTP+"/dashboard/limits/e2e/per-user", browsertest.Look{})
	p.Await("the key is listed", `document.querySelector("#keys tbody tr")`)
	if key := p.Text("#keys tbody tr code"); key != "user="+hostile {
		t.Errorf("the key is shown as %q", key)
	}
	p.Await("the second is over in which it came", `document.querySelector("[data-count=admitted]").innerText === "3"`)
	p.Go("http://" + top.weirs[0].HTTP + "/dashboard/limits")
	if key := p.Text("td.key code"); key != "user="+hostile {
		t.Errorf("the key is shown as %q", key)
	}
	if images := browsertest.Eval[int](p, `document.images.length`); images != 0 {
		t.Errorf("there are %d images", images)
	}
}
