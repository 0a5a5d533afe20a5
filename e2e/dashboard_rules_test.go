package e2e

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/weir-rls/weir/internal/browsertest"
)

// explainRules have what the page of rules can show, and a text of each kind that would
// be markup if it were not escaped.
const explainRules = `
domain: shop
passive: [size]
pools:
  - {name: units, rate: 40/s, burst: 100}
presets:
  - model_limits: {period: 1m, success: 1000, groups: {default: [200, 100], vip: [0, 1000]}}
descriptors:
  - key: user
    limits:
      - {name: per-user, rate: 60/min, burst: 2, weight: {by: size, values: {large: 2}, default: 1}}
      - {name: per-day, rate: 1000/day}
    descriptors: [{key: path, limits: [{name: per-path, rate: 10/s, shadow_mode: true}]}]
  - key: user
    value: vip
    limits: [{name: vip, rate: 600/min}]
  - {key: remote_address, value_cidr: 10.0.0.0/8, limits: [{name: lan, rate: 100/s}]}
  - {key: api, value: search, draw: {pool: units, class: search, weight: 3}}
  - {key: "<img src=x onerror=document.title=1>", value: "</code><script>document.title=2</script>", limits: [{name: "<b>bold</b>", rate: 1/s}]}
`

// submit clicks at what sends a form, and waits for the page that answers it.
func submit(p *browsertest.Page, selector string) {
	browsertest.Eval[bool](p, `window.before = true`)
	p.Click(selector)
	p.Await("the page that answers", `!window.before && document.readyState === "complete"`)
}

// The path, the buckets and what decided are shown of a request that is typed; nothing
// is taken, however often.
func TestDashboard_ExplainTellsTheLimitThatDecides(t *testing.T) {
	top := run(t, spec{weirs: 1, rules: explainRules})
	base := "http://" + top.weirs[0].HTTP
	p := browsertest.Start(t).Open(t, base+"/dashboard/rules", browsertest.Look{})
	p.Fill("#descriptors", "user=alice,size=large")
	for range 3 {
		submit(p, "#explain-form button")
	}
	if text := p.Text("#explained"); !strings.Contains(text, "limit per-user of descriptor 1 has the least left") || !strings.Contains(text, "2 of 2 left") ||
		!strings.Contains(text, "1 hit x 2 (size=large)") {
		t.Errorf("it tells\n%s", text)
	}
	p.Screenshot("explain-light")
	p.Fill("#hits", "2")
	submit(p, "#explain-form button")
	if verdict := p.Text(".verdict-word"); verdict != "DENY" {
		t.Errorf("the verdict is %s", verdict)
	}
	if text := p.Text(".met-decides"); !strings.Contains(text, "per-user") || !strings.Contains(text, "it costs more than it holds") {
		t.Errorf("what decides is\n%s", text)
	}
	if text := p.Text(".limit-decides"); !strings.Contains(text, "per-user") {
		t.Errorf("in the tree %s decides", text)
	}
	p.Screenshot("explain-deny-light")
	p.Fill("#descriptors", "user=vip,path=/cart")
	submit(p, "#explain-form button")
	if text := p.Text(".why"); !strings.Contains(text, "what is chosen stays chosen") || !strings.Contains(text, "user/path") || !strings.Contains(text, "matching: best") {
		t.Errorf("it tells\n%s", text)
	}
	p.Screenshot("explain-why-light")
}

// Whoever looks for what is wrong finds it: too many refusals and the limit behind them,
// a rule file that is not used and why, a store that does not answer.
func TestM25_ThePagesTellWhatIsWrong(t *testing.T) {
	top := run(t, spec{weirs: 1, redis: true, rules: eventRules})
	base := "http://" + top.weirs[0].HTTP
	refuse(t, base, "", "alice")
	p := browsertest.Start(t).Open(t, base+"/dashboard/events", browsertest.Look{})
	hasRow(p, "user=alice")
	submit(p, "#events button")
	if text := p.Text(".met-decides"); !strings.Contains(text, "per-user") || !strings.Contains(text, "0 of 1 left") {
		t.Errorf("of too many refusals it tells\n%s", text)
	}

	top.write(t, strings.Replace(eventRules, "rate: 5/s", "rate: 5 per second", 1))
	p.Await("the fault of the file", `fetch("/dashboard/rules").then((r) => r.text()).then((text) => { window.faulty = text.includes('id="faults"') }) && window.faulty`)
	p.Go(base + "/dashboard/rules")
	if text := p.Text("#faults"); !strings.Contains(text, "rules.yaml:7:") || !strings.Contains(text, "5 per second") || !strings.Contains(text, "write N/PERIOD") {
		t.Errorf("of a bad file it tells\n%s", text)
	}
	if text := p.Text(".tree"); !strings.Contains(text, "5 per second") {
		t.Errorf("the rules in force are\n%s", text)
	}
	p.Screenshot("rules-faulty-light")

	if err := top.redis.Kill(); err != nil {
		t.Fatal(err)
	}
	p.Fill("#descriptors", "user=alice")
	submit(p, "#explain-form button")
	if text := p.Text("#explained"); !strings.Contains(text, "UNKNOWN") || !strings.Contains(text, "the bucket store did not answer") || !strings.Contains(text, "on_store_error: local") || !strings.Contains(text, "per-user") {
		t.Errorf("without a store it tells\n%s", text)
	}
	p.Screenshot("explain-unknown-light")
}

// A search shows what it finds, domains can be chosen, and keys alone lead everywhere.
func TestDashboard_RulesCanBeSearchedByKeyboard(t *testing.T) {
	top := run(t, spec{weirs: 1, rules: explainRules})
	p := browsertest.Start(t).Open(t, "http://"+top.weirs[0].HTTP+"/dashboard/rules", browsertest.Look{Dark: true})
	if text := p.Text(".tree"); !strings.Contains(text, "<img src=x onerror=document.title=1>") || !strings.Contains(text, "<b>bold</b>") || strings.Contains(text, "model_limits/vip") {
		t.Errorf("the tree is\n%s", text)
	}
	p.TabTo("input[name=search]")
	p.Keys("vip", kb.Enter)
	p.Await("what is found", `document.querySelector(".tree-passive[role=status]")?.textContent.includes("found")`)
	if text := p.Text(".tree"); !strings.Contains(text, "model_limits/vip/success") || strings.Contains(text, "per-user") {
		t.Errorf("a search shows\n%s", text)
	}
	p.TabTo("summary")
	before := browsertest.Eval[bool](p, `document.activeElement.parentElement.open`)
	p.Keys(kb.Enter)
	if after := browsertest.Eval[bool](p, `document.activeElement.parentElement.open`); after == before {
		t.Error("a rule cannot be folded by keyboard")
	}
	p.TabTo("#descriptors")
	p.Keys("nothing=x", kb.Tab, kb.Tab, kb.Enter)
	p.Await("an explanation", `document.querySelector(".why")`)
	p.Screenshot("rules-search-dark")
	for _, fault := range p.Contrast() {
		t.Errorf("contrast %s", fault)
	}
}
