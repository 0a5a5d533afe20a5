package app_test

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"regexp"
	"strings"
	"testing"

	"github.com/weir-rls/weir/internal/config"
)

// form sends the login page's form, as a browser does.
func (v visitor) form(t *testing.T, path, body string) (int, http.Header) {
	t.Helper()
	r, err := http.NewRequest("POST", v.scheme+"://"+v.HTTPAddr()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	answer, err := v.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode, answer.Header
}

// browser keeps cookies, and shows where it is sent instead of going there.
func (r *replica) browser(t *testing.T) visitor {
	v := r.visitor(func(r *http.Request) { r.Header.Set("Accept", "text/html") })
	v.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	var err error
	if v.client.Jar, err = cookiejar.New(nil); err != nil {
		t.Fatal(err)
	}
	return v
}

// Who is not known is sent to the login, and from there to the page that he wanted, and
// never to another site.
func TestLogin_LeadsToThePageThatWasAskedFor(t *testing.T) {
	b := startWithTokens(t).browser(t)
	code, header, _ := b.do("GET", "/dashboard/limits?q=a%26b", "")
	if to := header.Get("Location"); code != 303 || to != "/login?next=%2Fdashboard%2Flimits%3Fq%3Da%2526b" {
		t.Errorf("%d to %s, want the login", code, to)
	}
	for next, want := range map[string]string{
		"%2Fdashboard%2Flimits%3Fq%3Da%2526b": "/dashboard/limits?q=a%26b", "": "/dashboard", "https%3A%2F%2Fevil.example": "/dashboard", "%2F%2Fevil.example": "/dashboard",
		"%2F%5Cevil.example": "/dashboard", "%2F%09%2Fevil.example": "/dashboard", "javascript%3Aalert(1)": "/dashboard", "dashboard": "/dashboard",
	} {
		if code, header := b.form(t, "/login", "token="+viewerToken+"&next="+next); code != 303 || header.Get("Location") != want {
			t.Errorf("%s: %d to %s, want %s", next, code, header.Get("Location"), want)
		}
	}
	if code, _, page := b.do("GET", "/dashboard", ""); code != 200 || !strings.Contains(page, "viewer") {
		t.Errorf("%d %s", code, page)
	}
}

// Who guesses tokens is held back by a bucket of weir's own, and so is nobody else. What
// was guessed reaches neither the answer nor the log.
func TestLogin_GuessesAreLimited(t *testing.T) {
	r := startWithTokens(t)
	b := r.browser(t)
	for i := range 10 {
		if code, _ := b.form(t, "/login", "token=weir_guess"); code != 422 {
			t.Errorf("guess %d: %d, want 422", i, code)
		}
	}
	code, header := b.form(t, "/login", "token="+operatorToken)
	if code != 429 || !regexp.MustCompile(`^[1-6]$`).MatchString(header.Get("Retry-After")) {
		t.Errorf("the right token after ten guesses: %d, Retry-After %q", code, header.Get("Retry-After"))
	}
	if code, _, _ := r.visitor(bearer(operatorToken)).do("GET", "/api/v1/limits", ""); code != 200 {
		t.Errorf("the API answers %d", code)
	}
	if strings.Contains(r.log.String(), "weir_guess") || strings.Contains(r.log.String(), operatorToken) {
		t.Error("the log tells what was sent")
	}
	if got := r.metric(`weir_http_refused_total{status="422"}`) + r.metric(`weir_http_refused_total{status="429"}`); got != 11 {
		t.Errorf("%v refusals are counted, want 11", got)
	}
}

// A page loads nothing but what is weir's, holds no script or style of its own, and is
// shown in no frame. What it loads may be kept for ever.
func TestDashboard_PagesLoadNothingButWhatIsWeirs(t *testing.T) {
	r := start(t, pooledRules, func(*config.Settings) {})
	b, stranger := r.browser(t), startWithTokens(t).browser(t)
	loads := regexp.MustCompile(`(?:src|href)="([^"]*)"`)
	inline := regexp.MustCompile(`<script[^>]*>[^<]|<style|\sstyle=|\son[a-z]+=|javascript:`)
	loaded := map[string]bool{}
	for _, path := range []string{"/dashboard", "/dashboard/limits", "/dashboard/limits/d/per-user", "/dashboard/limits/d/nothing", "/dashboard/pools", "/dashboard/rules", "/dashboard/models", "/dashboard/events", "/login", "/nothing"} {
		visitor := b
		if path == "/login" {
			visitor = stranger
		}
		_, header, page := visitor.do("GET", path, "")
		policy := header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'", "require-trusted-types-for 'script'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: the policy lacks %s: %s", path, part, policy)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") || header.Get("Cache-Control") != "no-store" || header.Get("Referrer-Policy") != "same-origin" {
			t.Errorf("%s: %v", path, header)
		}
		if found := inline.FindString(page); found != "" {
			t.Errorf("%s: there is %s in it", path, found)
		}
		for _, link := range loads.FindAllStringSubmatch(page, -1) {
			if !strings.HasPrefix(link[1], "/") && !strings.HasPrefix(link[1], "#") || strings.HasPrefix(link[1], "//") {
				t.Errorf("%s: it leads to %s", path, link[1])
			}
			loaded[link[1]] = strings.HasPrefix(link[1], "/dashboard/assets/")
		}
	}
	assets := 0
	for link, asset := range loaded {
		if !asset {
			continue
		}
		assets++
		if code, header, _ := b.do("GET", link, ""); code != 200 || !strings.Contains(header.Get("Cache-Control"), "immutable") || !regexp.MustCompile(`\.[0-9a-f]{16}\.`).MatchString(link) {
			t.Errorf("%s: %d %v", link, code, header)
		}
	}
	if assets < 5 {
		t.Errorf("only %d files are loaded", assets)
	}
	if code, _, _ := b.do("GET", "/dashboard/assets/weir.css", ""); code != 404 {
		t.Errorf("a file without a hash is answered %d", code)
	}
}

// What anybody may send costs little: forms are bounded, and what was asked for is not
// repeated at length.
func TestDashboard_WhatIsSentIsBounded(t *testing.T) {
	stranger := startWithTokens(t).browser(t)
	if code, _ := stranger.form(t, "/login", "token=x&next="+strings.Repeat("a", 20<<10)); code != 400 {
		t.Errorf("a long form of the login page is answered %d", code)
	}
	b := start(t, pooledRules, func(*config.Settings) {}).browser(t)
	for _, sent := range []string{strings.Repeat("a%3Db%0A", 200), strings.Repeat("a", 70<<10)} {
		if code, _ := b.form(t, "/dashboard/rules", "domain=d&hits=1&descriptors="+sent); code != 422 {
			t.Errorf("%d bytes to explain are answered %d", len(sent), code)
		}
	}
	if code, _, page := b.do("GET", "/dashboard/limits/d/"+strings.Repeat("x", 10<<10), ""); code != 404 || strings.Count(page, "x") > 1000 {
		t.Errorf("%d, and %d bytes", code, len(page))
	}
}

// A table of more limits than fit on a page is shown page by page, and what is asked for
// beyond its end is the last one.
func TestDashboard_ManyLimitsAreShownPageByPage(t *testing.T) {
	var rules strings.Builder
	rules.WriteString("domain: d\ndescriptors:\n")
	for i := range 250 {
		fmt.Fprintf(&rules, "  - {key: k%03d, limits: [{name: \"limit %03d\", rate: 1/s}]}\n", i, i)
	}
	b := start(t, rules.String(), func(*config.Settings) {}).browser(t)
	for query, want := range map[string]string{
		"": "limit 000 to limit 099: 1 to 100 of 250 next", "page=2": "limit 100 to limit 199: 101 to 200 of 250 prev next",
		"page=3": "limit 200 to limit 249: 201 to 250 of 250 prev", "page=99": "limit 200 to limit 249: 201 to 250 of 250 prev", "page=-1&show=": "limit 000 to limit 099: 1 to 100 of 250 next",
		"q=limit+1&page=1": "limit 001 to limit 180: 1 to 100 of 133 next", "q=d+23": "limit 023 to limit 239:",
	} {
		_, _, page := b.do("GET", "/dashboard/limits?"+query, "")
		names := regexp.MustCompile(`data-limit="([^"]*)"`).FindAllStringSubmatch(page, -1)
		if len(names) == 0 {
			t.Fatalf("%s: %s", query, page)
		}
		got := names[0][1] + " to " + names[len(names)-1][1] + ":"
		if place := regexp.MustCompile(`\d+ to \d+ of \d+`).FindString(page); place != "" {
			got += " " + place
		}
		for _, rel := range []string{"prev", "next"} {
			if strings.Contains(page, `rel="`+rel+`"`) {
				got += " " + rel
			}
		}
		if got != want {
			t.Errorf("%s shows %q, want %q", query, got, want)
		}
	}
	if _, _, page := b.do("GET", "/dashboard/limits?q=limit+1&page=1", ""); !strings.Contains(page, "page=2&amp;q=limit&#43;1&amp;show=") {
		t.Error("the next page is of another search")
	}
}
