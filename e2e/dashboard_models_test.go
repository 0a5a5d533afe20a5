package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/weir-rls/weir/internal/browsertest"
)

// sendAPI asks weir's HTTP port as an operator, and answers the status and the body.
func sendAPI(t *testing.T, method, link, token, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, link, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client(t, 1).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// checkModel asks for one request of a user of the default group, and answers the status.
func checkModel(t *testing.T, base, token, user string) int {
	t.Helper()
	status, _ := sendAPI(t, http.MethodPost, base+"/api/v1/check", token, fmt.Sprintf(
		`{"domain": "shop", "descriptors": [{"entries": [{"key": "preset", "value": "model_limits"}, {"key": "token_group", "value": "default"}, {"key": "user", "value": %q}, {"key": "model", "value": "m"}]}]}`, user))
	return status
}

// setOf is what is set of the preset.
func setOf(t *testing.T, base, token string) string {
	t.Helper()
	_, text := sendAPI(t, http.MethodGet, base+"/api/v1/limits/model_limits", token, "")
	var told struct{ Changes []json.RawMessage }
	if err := json.Unmarshal([]byte(text), &told); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if len(told.Changes) == 0 {
		return ""
	}
	return string(told.Changes[0])
}

// Every field of the settings page is checked by the server, which tells what is wrong
// beside it and what became of the others.
func TestM21_TheSettingsPageChecksEachFieldAndTellsWhatWasSaved(t *testing.T) {
	top := run(t, spec{weirs: 1, rules: dashboardRules})
	base := "http://" + top.weirs[0].HTTP
	p := browsertest.Start(t).Open(t, base+"/dashboard/models", browsertest.Look{})
	p.Expect("status of 4")
	save := func() string {
		t.Helper()
		submit(p, ".models button[type=submit]")
		return p.Text("#saved-0")
	}
	if got := save(); got != "Nothing changed." {
		t.Errorf("an unchanged form: %s", got)
	}
	for _, c := range []struct{ field, value, fault string }{
		{"#period-0", "0", "from 1 second (0.017) to a year"},
		{"#period-0", "x", "number of minutes"},
		{"#period-0", "525601", "to a year"},
		{"#total-0", "-1", "total must be between 0 and 2147483647"},
		{"#total-0", "2147483648", "total must be between 0 and 2147483647"},
		{"#total-0", "1.5", "whole number"},
		{"#success-0", "0", "success must be between 1 and 2147483647"},
		{"#success-0", "2147483648", "success must be between 1 and 2147483647"},
		{"#success-0", "", "whole number"},
		{"#groups-0", `{"vip": [0, 0]}`, `the success of group "vip" must be between 1 and 2147483647`},
		{"#groups-0", `{"vip": [0]}`, "1 number, not 2"},
		{"#groups-0", `{"vip": [0, 1`, "groups is no JSON"},
	} {
		p.Go(base + "/dashboard/models")
		p.Fill(c.field, c.value)
		got := save()
		if !strings.HasPrefix(got, "Not saved") || !strings.HasSuffix(got, "Nothing was changed.") {
			t.Errorf("%s = %q: %s", c.field, c.value, got)
		}
		if fault := p.Text(c.field + `[aria-invalid="true"] ~ .error`); !strings.Contains(fault, c.fault) {
			t.Errorf("%s = %q: %s, want %q", c.field, c.value, fault, c.fault)
		}
		if kept := browsertest.Eval[string](p, `document.querySelector(`+"`"+c.field+"`"+`).value`); kept != c.value {
			t.Errorf("what was typed is lost: %q, want %q", kept, c.value)
		}
	}
	if set := setOf(t, base, ""); set != "" {
		t.Errorf("what was refused has set %s", set)
	}

	p.Fill("#period-0", "5")
	p.Fill("#total-0", "-1")
	p.Fill("#groups-0", `{"default": [200, 100], "vip": [0, 1000]}`)
	if got := save(); got != "Partly failed: the total was refused, see there. Saved: the period." {
		t.Errorf("of two changes: %s", got)
	}
	p.Screenshot("models-partly-light")
	if set := setOf(t, base, ""); !strings.Contains(set, `"period":"5m0s"`) || strings.Contains(set, "total") {
		t.Errorf("of two changes there is set %s", set)
	}
	p.Fill("#total-0", "7")
	if got := save(); got != "Saved: the total. The next request is judged by it." {
		t.Errorf("then: %s", got)
	}
	p.Screenshot("models-saved-light")

	// Who has not seen what somebody else set does not replace it.
	if status, text := sendAPI(t, http.MethodPut, base+"/api/v1/limits/model_limits", "", `{"success": 3, "author": "carl"}`); status != http.StatusOK {
		t.Fatal(text)
	}
	p.Fill("#success-0", "9")
	if got := save(); !strings.HasPrefix(got, "Not saved: somebody else has changed it") {
		t.Errorf("against another version: %s", got)
	}
	if set := setOf(t, base, ""); !strings.Contains(set, `"success":3`) {
		t.Errorf("there is set %s", set)
	}

	// What is as the file states is not set any more.
	p.Go(base + "/dashboard/models")
	p.Fill("#success-0", "1000")
	if got := save(); !strings.HasPrefix(got, "Saved") || setOf(t, base, "") != "" {
		t.Errorf("back to the file: %s, %s", got, setOf(t, base, ""))
	}
}

// What is no JSON is told when the field is left, before anything is sent.
func TestM21_TheGroupTableIsCheckedWhenTheFieldIsLeft(t *testing.T) {
	top := run(t, spec{weirs: 1, rules: dashboardRules})
	p := browsertest.Start(t).Open(t, "http://"+top.weirs[0].HTTP+"/dashboard/models", browsertest.Look{Dark: true})
	p.Fill("#groups-0", `{"vip": [0, 1000`)
	p.Click("#total-0")
	p.Await("the fault", `document.querySelector("#groups-error-0").textContent.includes("groups is no JSON")`)
	p.Fill("#groups-0", `[1, 2]`)
	p.Click("#total-0")
	p.Await("the fault", `document.querySelector("#groups-error-0").textContent.includes("must be an object")`)
	p.Screenshot("models-blur-dark")
	p.Fill("#groups-0", `{"vip": [0, 1000]}`)
	p.Click("#total-0")
	p.Await("no fault", `document.querySelector("#groups-error-0").textContent === "" && !document.querySelector("[aria-invalid]")`)
}

// What an operator saves counts for the next request; a viewer sees why he cannot save,
// and cannot by a request of his own making either.
func TestM21_WhatIsSavedCountsForTheNextRequest(t *testing.T) {
	top := run(t, spec{weirs: 1, rules: dashboardRules, more: []string{"--admin-tokens-file", tokensFile(t)}})
	base := "http://" + top.weirs[0].HTTP
	browser := browsertest.Start(t)
	if status := checkModel(t, base, operatorsToken, "u"); status != http.StatusOK {
		t.Fatalf("the first request has the status %d", status)
	}
	p := logIn(t, browser, top, operatorsToken, "/dashboard/models")
	p.Fill("#groups-0", `{"default": [200, 1], "vip": [0, 1000]}`)
	p.Fill("#reason-0", `<script>document.title="hurt"</script>`)
	submit(p, ".models button[type=submit]")
	if got := p.Text("#saved-0"); !strings.HasPrefix(got, "Saved: the groups") {
		t.Errorf("it says %s", got)
	}
	if status := checkModel(t, base, operatorsToken, "u"); status != http.StatusTooManyRequests {
		t.Errorf("after 1 is saved the second request has the status %d", status)
	}
	if set := setOf(t, base, operatorsToken); !strings.Contains(set, `"author":"ann"`) {
		t.Errorf("it is set by nobody: %s", set)
	}
	p.Click("#enabled-0")
	submit(p, ".models button[type=submit]")
	if status := checkModel(t, base, operatorsToken, "u"); status != http.StatusOK {
		t.Errorf("switched off the request has the status %d", status)
	}

	viewer := logIn(t, browser, top, viewersToken, "/dashboard/models")
	viewer.Expect("status of 403")
	if text := viewer.Text(".models .note"); !strings.Contains(text, "viewer") {
		t.Errorf("a viewer reads %s", text)
	}
	if open := browsertest.Eval[int](viewer, `document.querySelectorAll(".models :is(input, textarea, button):not(:disabled):not([type=hidden])").length`); open != 0 {
		t.Errorf("a viewer has %d controls", open)
	}
	viewer.Screenshot("models-viewer-light")
	before := setOf(t, base, operatorsToken)
	for _, force := range []string{
		`fetch("/dashboard/models", {method: "POST", body: new URLSearchParams({preset: "shop/model_limits", version: "0", enabled: "on", period: "1", total: "0", success: "5", groups: "{}"})}).then((r) => r.status)`,
		`fetch("/api/v1/limits/model_limits", {method: "PUT", headers: {"Content-Type": "application/json"}, body: '{"success": 5}'}).then((r) => r.status)`,
	} {
		if status := browsertest.Eval[int](viewer, force); status != http.StatusForbidden {
			t.Errorf("%.40s is answered %d", force, status)
		}
	}
	if after := setOf(t, base, operatorsToken); after != before {
		t.Errorf("a viewer has set %s", after)
	}
}

// Without a group table the page says what to write, and what it says is one.
func TestM21_WithoutAGroupTableThePageSaysWhatToWrite(t *testing.T) {
	top := run(t, spec{weirs: 1, rules: "domain: shop\ndescriptors: [{key: user, limits: [{rate: 1/s}]}]\n"})
	p := browsertest.Start(t).Open(t, "http://"+top.weirs[0].HTTP+"/dashboard/models", browsertest.Look{})
	text := p.Text("pre.told")
	p.Screenshot("models-none-light")
	top.write(t, text)
	p.Await("the form of the table", `fetch("/dashboard/models").then((r) => r.text()).then((text) => { window.there = text.includes("groups-0") }) && window.there`)
	p.Go("http://" + top.weirs[0].HTTP + "/dashboard/models")
	if card := p.Text(".models"); !strings.Contains(card, "model_limits") || !strings.Contains(card, "of gateway") {
		t.Errorf("the form is\n%s", card)
	}
}
