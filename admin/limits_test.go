package admin_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-rls/weir/internal/parts/partstest"
)

// capacity is what the bucket of a user holds, as the API tells it.
func (w *world) capacity(user string) float64 {
	w.t.Helper()
	size, _ := w.must(200, "GET", "/api/v1/buckets?domain=llm&entry=user="+user, "").at("levels", "capacity").(float64)
	return size
}

func TestC07_ARateIsSetListedUndoneAndTold(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		set := w.must(200, "PUT", "/api/v1/limits/per-user?domain=llm", `{"rate": "20/s", "burst": 40, "author": "ann", "reason": "the peak", "ttl": "1h"}`)
		if set.at("change", "rate") != "20/s" || set.at("change", "burst") != 40.0 || set.at("change", "author") != "ann" || set.at("change", "expires") == nil {
			t.Errorf("set: %s", set.Body)
		}
		if set.Header().Get("ETag") != fmt.Sprintf("%q", fmt.Sprintf("%.0f", set.at("change", "version"))) {
			t.Errorf("ETag %s of %s", set.Header().Get("ETag"), set.Body)
		}
		if got := w.capacity("u"); got != 40 {
			t.Errorf("the bucket holds %v", got)
		}
		listed := w.must(200, "GET", "/api/v1/limits?domain=llm", "")
		one := w.must(200, "GET", "/api/v1/limits/per-user?domain=llm", "")
		for _, a := range []answer{listed, one} {
			if a.at("changes", "limit") != "per-user" || a.at("limits", "capacity") != 40.0 || a.at("limits", "requests") != 20.0 || a.at("limits", "period") != "second" {
				t.Errorf("listed: %s", a.Body)
			}
		}
		undone := w.must(200, "DELETE", "/api/v1/limits/per-user?domain=llm&author=bob&reason=over", "")
		if undone.at("change", "rate") != "20/s" || w.capacity("u") != 100 {
			t.Errorf("undone: %s, the bucket holds %v", undone.Body, w.capacity("u"))
		}
		told := w.must(200, "GET", "/api/v1/history?n=1", "")
		if told.at("history", "action") != "undone" || told.at("history", "author") != "bob" || told.at("history", "changes", "author") != "ann" {
			t.Errorf("told: %s", told.Body)
		}
		if all := w.must(200, "GET", "/api/v1/history", "").at("history").([]any); len(all) != 2 {
			t.Errorf("%d notes", len(all))
		}
		w.must(404, "DELETE", "/api/v1/limits/per-user?domain=llm", "")
	})
}

// A change carries the tokens used: it hands out no fresh burst.
func TestC07_ALevelIsCarriedOver(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		const request = `{"domain": "llm", "descriptors": [{"entries": [{"key": "user", "value": "u"}]}], "hitsAddend": 100}`
		w.must(200, "POST", "/api/v1/check", request)
		w.must(200, "PUT", "/api/v1/limits/per-user?domain=llm", `{"rate": "1/hour", "burst": 150}`)
		if left := w.must(200, "GET", "/api/v1/buckets?domain=llm&entry=user=u", "").at("levels", "remaining"); left.(float64) > 53 {
			t.Errorf("%v tokens are left of 150 after 100 were used", left)
		}
	})
}

// A change for one value leaves the others alone, also where both are set: what is
// blocked stays so, and what is unlimited too.
func TestG25_OneAddressIsBlockedAndOneUnlimited(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		ask := func(ip string) int {
			return w.ask("POST", "/api/v1/check", `{"domain": "shop", "descriptors": [{"entries": [{"key": "ip", "value": "`+ip+`"}]}]}`).Code
		}
		w.must(200, "PUT", "/api/v1/limits/per-ip", `{"for": {"ip": "10.0.0.1"}, "blocked": true, "reason": "attacks"}`)
		w.must(200, "PUT", "/api/v1/limits/per-ip", `{"for": {"ip": "10.0.0.2"}, "unlimited": true}`)
		for range 5 {
			if got := ask("10.0.0.1"); got != 429 {
				t.Errorf("the blocked one: %d", got)
			}
			if got := ask("10.0.0.2"); got != 200 {
				t.Errorf("the unlimited one: %d", got)
			}
		}
		if first, second := ask("10.0.0.3"), ask("10.0.0.3"); first != 200 || second != 429 {
			t.Errorf("another one: %d, %d", first, second)
		}
		if all := w.must(200, "GET", "/api/v1/limits/per-ip", "").at("changes").([]any); len(all) != 2 {
			t.Errorf("listed: %v", all)
		}
		w.must(404, "DELETE", "/api/v1/limits/per-ip?for=ip=10.0.0.9", "")
		w.must(200, "DELETE", "/api/v1/limits/per-ip?for=ip=10.0.0.1", "")
		if got := ask("10.0.0.1"); got != 200 {
			t.Errorf("when it is undone: %d", got)
		}
	})
}

func TestM01_TheSwitchOfADomainIsReadOnEveryRequest(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		ask := func() int {
			return w.ask("POST", "/api/v1/check", `{"domain": "shop", "descriptors": [{"entries": [{"key": "user", "value": "u"}]}]}`).Code
		}
		if first, second := ask(), ask(); first != 200 || second != 429 {
			t.Fatalf("before: %d, %d", first, second)
		}
		w.must(200, "PUT", "/api/v1/domains/shop", `{"enabled": false, "author": "ann"}`)
		if got := ask(); got != 200 {
			t.Errorf("off: %d", got)
		}
		w.must(200, "PUT", "/api/v1/domains/shop", `{"enabled": true}`)
		if got := ask(); got != 429 {
			t.Errorf("on: %d", got)
		}
		w.must(200, "DELETE", "/api/v1/domains/shop", "")
		w.must(404, "PUT", "/api/v1/domains/nobody", `{"enabled": true}`)
	})
}

// The group table of a preset is set as a whole; one that cannot be is refused
// with its place, and the table of before stays (N14 of the references: bad JSON
// emptied it, and a pair of one or three was taken).
func TestM06_M07_AGroupTableIsSetWholeOrNotAtAll(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		names := func() string { return w.must(200, "GET", "/api/v1/limits?domain=models", "").Body.String() }
		w.must(200, "PUT", "/api/v1/limits/model_limits", `{"groups": {"gold": [5, 4], "vip": [0, 1000]}}`)
		if got := names(); !strings.Contains(got, "model_limits/gold/success") || strings.Contains(got, "model_limits/default") {
			t.Errorf("the table is not the new one: %s", got)
		}
		version := w.version()
		for field, body := range map[string]string{
			"groups.vip":          `{"groups": {"vip": [1]}}`,
			"groups.gold":         `{"groups": {"gold": [1, 2, 3]}}`,
			"groups.vip[1]":       `{"groups": {"vip": [1, 0]}}`,
			"groups.vip[0]":       `{"groups": {"vip": [-1, 1]}}`,
			"groups.default[1]":   `{"groups": {"default": [1, 2147483648]}}`,
			"groups.default[0]":   `{"groups": {"default": [1.5, 1]}}`,
			"groups.silver":       `{"groups": {"silver": "[1, 1]"}}`,
			"groups.bronze":       `{"groups": {"bronze": null}}`,
			"groups.vip ":         `{"groups": {"vip": [1, 1], "vip": [2, 2]}}`,
			"groups":              `{"groups": [["vip", 1, 2]]}`,
			"groups.a[1]":         `{"groups": {"a": [1, "1"], "b": [1]}}`,
			"success":             `{"success": 0}`,
			"total":               `{"total": 2147483648}`,
			"period":              `{"period": "0s"}`,
			"groups.default[0]  ": `{"groups": {"default": [1e400, 1]}}`,
		} {
			got := w.ask("PUT", "/api/v1/limits/model_limits", body)
			if got.Code < 400 || got.Code > 499 || got.fields["field"] != strings.TrimSpace(field) {
				t.Errorf("%s: %d %s, want a fault of %s", body, got.Code, got.Body, field)
			}
		}
		if got := names(); w.version() != version || !strings.Contains(got, "model_limits/gold/success") {
			t.Errorf("the table of before is gone: %s", got)
		}
	})
}

func TestM20_ADryRunTellsWhatWouldBe(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		version := w.version()
		if got := w.must(200, "PUT", "/api/v1/limits/vip?dry_run=true", `{"rate": "700/min"}`); got.at("dry_run") != true || got.Header().Get("ETag") != "" {
			t.Errorf("%s %v", got.Body, got.Header())
		}
		if got := w.ask("PUT", "/api/v1/limits/vip?dry_run=true", `{"rate": "700/eon"}`); got.Code != 422 || got.at("field") != "rate" {
			t.Errorf("%d %s", got.Code, got.Body)
		}
		if w.version() != version || w.capacity("vip") != 600 {
			t.Error("a dry run changed something")
		}
	})
}

// Who has seen an older version is told the one that there is, however he tells
// what he has seen.
func TestM20_AChangeOfWhatAnotherHasChangedIsAConflict(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		first := w.must(200, "PUT", "/api/v1/limits/vip", `{"rate": "601/min", "version": 0}`)
		seen := first.at("change", "version").(float64)
		second := w.must(200, "PUT", "/api/v1/limits/vip", fmt.Sprintf(`{"rate": "602/min", "version": %.0f}`, seen))
		now := second.at("change", "version").(float64)
		version := w.version()
		for name, headers := range map[string][2]string{
			"an older version": {"If-Match", first.Header().Get("ETag")},
			"none":             {"If-None-Match", "*"},
		} {
			r := request("PUT", "/api/v1/limits/vip", `{"rate": "603/min"}`)
			r.Header.Set(headers[0], headers[1])
			if got := w.do(r); got.Code != 409 || got.at("version") != now || got.at("field") != "version" {
				t.Errorf("%s: %d %s", name, got.Code, got.Body)
			}
		}
		for _, target := range []string{
			fmt.Sprintf("/api/v1/limits/vip?version=%.0f", seen), "/api/v1/limits/vip?version=0",
		} {
			if got := w.ask("DELETE", target, ""); got.Code != 409 || got.at("version") != now {
				t.Errorf("DELETE %s: %d %s", target, got.Code, got.Body)
			}
		}
		if w.version() != version {
			t.Error("a conflict changed something")
		}
		r := request("DELETE", "/api/v1/limits/vip", "")
		r.Header.Set("If-Match", second.Header().Get("ETag"))
		if got := w.do(r); got.Code != 200 {
			t.Errorf("%d %s", got.Code, got.Body)
		}
	})
}

// A limit is named as metrics and headers name it, slashes and all, and where two
// domains have it the caller must say which he means.
func TestC07_ALimitIsNamedByItsPath(t *testing.T) {
	w := alone(t)
	w.must(200, "PUT", "/api/v1/limits/path=/api/a", `{"rate": "6/s"}`)
	w.must(200, "GET", "/api/v1/limits/path=%2Fapi%2Fa", "")
	version := w.version()
	for _, target := range []string{"/api/v1/limits/path=//api/a", "/api/v1/limits/path=/api/./a", "/api/v1/limits/x/../path=/api/a"} {
		if got := w.ask("PUT", target, `{"rate": "7/s"}`); got.Code != 400 {
			t.Errorf("%s: %d %s", target, got.Code, got.Body)
		}
	}
	if got := w.ask("PUT", "/api/v1/limits/per-user", `{"rate": "7/s"}`); got.Code != 400 || got.at("field") != "domain" || !strings.Contains(got.Body.String(), "llm, shop") {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	if got := w.ask("PUT", "/api/v1/limits/per-usr", `{"rate": "7/s"}`); got.Code != 404 || got.at("field") != "limit" {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	if w.version() != version {
		t.Error("something was changed")
	}
	w.must(200, "PUT", "/api/v1/limits/per-ip", `{"rate": "7/s"}`)
	w.must(200, "PUT", "/api/v1/limits/units", `{"rate": "20/s"}`)
	w.must(200, "GET", "/api/v1/limits/model_limits", "")
}

// Of changes that come in at once on two replicas, none is lost; who saw the same
// version as another is told; a change is live everywhere within a second, and
// undone everywhere within a second after its time.
func TestC07_TwoReplicasOnOneRedisAgree(t *testing.T) {
	var replicas []*world
	for _, at := range onRedis(t, 2) {
		replicas = append(replicas, newWorld(t, at, nil))
	}
	var all sync.WaitGroup
	codes := make(chan int, 40)
	for i := range 20 {
		w := replicas[i%2]
		all.Go(func() {
			codes <- w.ask("PUT", "/api/v1/limits/vip", fmt.Sprintf(`{"rate": "%d/min"}`, 1000+i)).Code
		})
		all.Go(func() {
			codes <- -w.ask("PUT", "/api/v1/limits/per-ip", fmt.Sprintf(`{"rate": "%d/s", "version": 0}`, 10+i)).Code
		})
	}
	all.Wait()
	close(codes)
	count := map[int]int{}
	for code := range codes {
		count[code]++
	}
	if count[200] != 20 || count[-200] != 1 || count[-http.StatusConflict] != 19 {
		t.Errorf("answers: %v", count)
	}
	history := replicas[0].must(200, "GET", "/api/v1/history", "").at("history").([]any)
	if len(history) != 21 {
		t.Errorf("%d changes are told, want 21", len(history))
	}
	var last any
	for _, note := range history { // newest first
		change := note.(map[string]any)["changes"].([]any)[0].(map[string]any)
		if last == nil && change["limit"] == "vip" {
			last = change["rate"]
		}
	}
	partstest.Eventually(t, time.Second, "both tell the same", func() bool {
		return replicas[1].must(200, "GET", "/api/v1/limits/vip", "").at("changes", "rate") == last &&
			replicas[0].must(200, "GET", "/api/v1/limits/vip", "").at("changes", "rate") == last
	})

	replicas[0].must(200, "PUT", "/api/v1/limits/per-user?domain=llm", `{"burst": 7, "ttl": "1s"}`)
	for _, w := range replicas {
		partstest.Eventually(t, time.Second, "it is live", func() bool { return w.capacity("u") == 7 })
	}
	for _, w := range replicas {
		partstest.Eventually(t, 2*time.Second, "it is undone", func() bool { return w.capacity("u") == 100 })
	}
	partstest.Eventually(t, time.Second, "it is told", func() bool {
		return replicas[1].must(200, "GET", "/api/v1/history?n=1", "").at("history", "action") == "expired"
	})
}

// What the files do not know any more is listed with the reason why it is not in
// force, and can be undone by its name.
func TestC07_WhatTheFilesForgotCanBeUndone(t *testing.T) {
	w := alone(t)
	w.must(200, "PUT", "/api/v1/limits/per-ip", `{"rate": "7/s"}`)
	w.must(200, "PUT", "/api/v1/limits/per-user?domain=shop", `{"rate": "7/s"}`)
	w.write("shop.yaml", "domain: shop\n")
	w.rules.Reload()
	w.book.Refit()
	got := w.must(200, "GET", "/api/v1/limits/per-ip", "")
	if got.at("changes", "left_out", "detail") == nil || got.at("changes", "left_out", "field") != "limit" {
		t.Errorf("listed: %s", got.Body)
	}
	w.must(200, "DELETE", "/api/v1/limits/per-ip", "")
	w.must(404, "GET", "/api/v1/limits/per-ip", "")
	w.must(400, "DELETE", "/api/v1/limits/per-user", "") // that of llm, or what is left of that of shop
	w.must(200, "DELETE", "/api/v1/limits/per-user?domain=shop", "")
}

// What a rule asks for beside its rate is seen through the API, too.
func TestLimits_MetadataDetailAndSharingAreShown(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		for name, want := range map[string]string{
			"per-file":  `"metadata":{"plan":{"tiers":["free",2]}},"detail":"detailed_metric","shared":"file=img/*"`,
			"per-agent": `"detail":"value_to_metric"`,
		} {
			if body := w.must(200, "GET", "/api/v1/limits/"+name, "").Body.String(); !strings.Contains(body, `"enabled":true,`+want+"}") {
				t.Errorf("%s: %s, want %s", name, body, want)
			}
		}
		if body := w.must(200, "GET", "/api/v1/limits/per-ip", "").Body.String(); strings.Contains(body, "detail") || strings.Contains(body, "shared") || strings.Contains(body, "metadata") {
			t.Errorf("of a limit without: %s", body)
		}
	})
}
