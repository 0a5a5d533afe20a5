package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/weir-rls/weir/internal/browsertest"
)

// markup is what would run if it were not shown as text.
const markup = `<img src=x onerror=document.title='hurt'><script>document.title='hurt'</script>`

// eventRules refuse the second request of anybody.
const eventRules = `
domain: shop
presets:
  - model_limits: {period: 1m, success: 1000, groups: {default: [200, 100]}}
descriptors:
  - {key: user, limits: [{name: per-user, rate: 1/hour, burst: 1}]}
  - {key: path, limits: [{name: per-path, rate: 5/s}]}
`

// refuse has a user's second request refused.
func refuse(t *testing.T, base, token, user string) {
	t.Helper()
	text, err := json.Marshal(user)
	if err != nil {
		t.Fatal(err)
	}
	status := 0
	for range 2 {
		status, _ = sendAPI(t, http.MethodPost, base+"/api/v1/check", token, fmt.Sprintf(`{"domain": "shop", "descriptors": [{"entries": [{"key": "user", "value": %s}]}]}`, text))
	}
	if status != http.StatusTooManyRequests {
		t.Fatalf("the second request has the status %d", status)
	}
}

// hasRow waits for a row of events that has a text.
func hasRow(p *browsertest.Page, text string) {
	p.Await("an event with "+text, fmt.Sprintf(`[...document.querySelectorAll("#events tr")].some((row) => row.innerText.includes(%q))`, text))
}

// Events are shown as they happen, as text, until the page pauses; each refusal leads to
// its explanation.
func TestDashboard_EventsAreShownAsTheyHappen(t *testing.T) {
	top := run(t, spec{weirs: 1, rules: eventRules})
	base := "http://" + top.weirs[0].HTTP
	refuse(t, base, "", "early")
	p := browsertest.Start(t).Open(t, base+"/dashboard/events", browsertest.Look{})
	hasRow(p, "user=early")
	refuse(t, base, "", markup)
	hasRow(p, "user="+markup)
	p.Screenshot("events-live-light")

	p.TabTo("#pause")
	p.Keys(kb.Enter)
	refuse(t, base, "", "late")
	p.Await("the event is held", `/Resume, \d+ new/.test(document.querySelector("#pause").textContent)`)
	if text := p.Text("#events"); strings.Contains(text, "late") {
		t.Errorf("a page that pauses shows\n%s", text)
	}
	p.Keys(kb.Enter)
	hasRow(p, "user=late")

	p.Fill("#filter", "user=late")
	p.Await("only what is searched for", `document.querySelectorAll("#events tr").length === 1`)
	p.Fill("#filter", "")
	p.Select("#kind", "rules_reloaded")
	p.Await("only reloads", `document.querySelectorAll("#events tr").length === 1 && document.querySelector("#events").innerText.includes("loaded")`)
	p.Select("#kind", "")
	hasRow(p, markup)

	p.Fill("#filter", "onerror")
	p.Await("one refusal", `document.querySelectorAll("#events tr").length === 1`)
	submit(p, "#events button")
	if verdict := p.Text(".verdict-word"); verdict != "DENY" || !strings.Contains(p.Text("#explained"), markup) {
		t.Errorf("it is explained as %s\n%s", verdict, p.Text("#explained"))
	}
	if title := browsertest.Eval[string](p, "document.title"); strings.Contains(title, "hurt") {
		t.Error("a value of a request has run as a script")
	}
}

// What was set is listed with who and why, and can be taken back by who may, who is
// asked first.
func TestDashboard_ChangesAreTakenBack(t *testing.T) {
	top := run(t, spec{weirs: 1, rules: eventRules, more: []string{"--admin-tokens-file", tokensFile(t)}})
	base := "http://" + top.weirs[0].HTTP
	set := func(limit, body string) {
		t.Helper()
		if status, text := sendAPI(t, http.MethodPut, base+"/api/v1/limits/"+limit, operatorsToken, body); status != http.StatusOK {
			t.Fatal(text)
		}
	}
	live := func(limit string) string {
		t.Helper()
		_, text := sendAPI(t, http.MethodGet, base+"/api/v1/limits/"+limit, operatorsToken, "")
		return text
	}
	hostile, err := json.Marshal(map[string]string{"rate": "7/s", "author": markup, "reason": markup})
	if err != nil {
		t.Fatal(err)
	}
	set("per-path", string(hostile))
	set("per-path", `{"rate": "9/s", "reason": "the sale"}`)
	browser := browsertest.Start(t)
	p := logIn(t, browser, top, operatorsToken, "/dashboard/changes")
	p.Screenshot("changes-list-light")
	if text := p.Text(".steps"); !strings.Contains(text, markup) || !strings.Contains(text, "the sale") || !strings.Contains(text, "before: rate 7/s") {
		t.Errorf("the page lists\n%s", text)
	}
	if ways := browsertest.Eval[int](p, `document.querySelectorAll(".steps a[href^='?undo']").length`); ways != 1 {
		t.Errorf("%d steps can be taken back, want the latest alone", ways)
	}

	submit(p, ".steps a[href^='?undo']")
	if text := p.Text("#ask"); !strings.Contains(text, "what was set before is set again: rate 7/s") {
		t.Errorf("it asks\n%s", text)
	}
	p.Screenshot("changes-ask-light")
	submit(p, "#ask a.button")
	if got := live("per-path"); !strings.Contains(got, `"9/s"`) {
		t.Errorf("who keeps it has %s", got)
	}
	submit(p, ".steps a[href^='?undo']")
	p.Fill("#reason", "over")
	p.Keys(kb.Enter)
	p.Await("it is done", `document.querySelector("#done")`)
	if got := live("per-path"); !strings.Contains(got, `"7/s"`) || !strings.Contains(got, `"reason":"over"`) {
		t.Errorf("taken back it is %s", got)
	}

	// What was overtaken is not taken back.
	submit(p, ".steps a[href^='?undo']")
	set("per-path", `{"rate": "8/s"}`)
	p.Expect("status of 409")
	submit(p, "#ask button")
	if text := p.Text("#fault"); !strings.Contains(text, "something else was set since") || !strings.Contains(live("per-path"), `"8/s"`) {
		t.Errorf("overtaken: %s, %s", text, live("per-path"))
	}

	// What nothing was set before is as the files state, and can be set again.
	set("per-user", `{"rate": "3/s"}`)
	p.Go(base + "/dashboard/changes")
	submit(p, ".steps a[href^='?undo']")
	submit(p, "#ask button")
	if got := live("per-user"); !strings.Contains(got, `"changes":[]`) {
		t.Errorf("taken back it is %s", got)
	}
	submit(p, ".steps a[href^='?undo']")
	submit(p, "#ask button")
	if got := live("per-user"); !strings.Contains(got, `"3/s"`) || !strings.Contains(got, `"author":"ann"`) {
		t.Errorf("set again it is %s", got)
	}
	if title := browsertest.Eval[string](p, "document.title"); strings.Contains(title, "hurt") {
		t.Error("what an operator wrote has run as a script")
	}

	viewer := logIn(t, browser, top, viewersToken, "/dashboard/changes")
	viewer.Expect("status of 403")
	viewer.Screenshot("changes-viewer-light")
	if links := browsertest.Eval[int](viewer, `document.querySelectorAll("a[href^='?undo'], .steps button:not(:disabled)").length`); links != 0 {
		t.Errorf("a viewer has %d ways to take something back", links)
	}
	before := live("per-user")
	if status := browsertest.Eval[int](viewer, `fetch("/dashboard/changes", {method: "POST", body: new URLSearchParams({step: "set-1"})}).then((r) => r.status)`); status != http.StatusForbidden {
		t.Errorf("a viewer who takes something back is answered %d", status)
	}
	if after := live("per-user"); after != before {
		t.Errorf("a viewer has made %s of %s", after, before)
	}
}
