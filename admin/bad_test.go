package admin_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
)

// bodies are what each endpoint with a body takes, by the fields that it knows: a
// sound value, and others that it must refuse by name.
var bodies = map[string]map[string]field{
	"PUT /api/v1/limits/vip": {
		"rate":      {`"100/s"`, []string{`5`, `null`, `""`, `"10"`, `"1/eon"`, `"-1/s"`, `"99999999999999999999/s"`, `["1/s"]`, `"1/s\u0000"`}},
		"burst":     {`600`, []string{`"600"`, `1.5`, `1e3`, `-1`, `1e400`, `9223372036854775808`, `true`, `[1]`, `{}`}},
		"slots":     {``, []string{`5`, `"5"`, `99999999999999999999`}},
		"enabled":   {`true`, []string{`"true"`, `1`, `null`, `{}`}},
		"unlimited": {``, []string{`true`, `"yes"`}},
		"blocked":   {``, []string{`true`, `0`}},
		"for":       {``, []string{`"user"`, `["user"]`, `{"user": "vip"}`}},
		"period":    {``, []string{`"1m"`, `60`}},
		"total":     {``, []string{`1`, `"1"`, `2147483648`}},
		"success":   {``, []string{`1`, `0`, `1e99`}},
		"groups":    {``, []string{`{"vip": [1, 1]}`, `[]`}},
		"ttl":       {`"1h"`, []string{`3600`, `"1"`, `"-1h"`, `"0s"`, `"9000h"`, `"1ms"`, `"99999999999999999h"`, `null`}},
		"author":    {`"ann"`, []string{`7`, `"a\nb"`, `"` + strings.Repeat("a", 201) + `"`}},
		"reason":    {`"the peak"`, []string{`[]`, `"\u001b[31m"`, `"` + strings.Repeat("a", 1001) + `"`}},
		"version":   {`0`, []string{`"0"`, `-1`, `1`, `99999999999999999999`, `0.5`}},
	},
	"PUT /api/v1/domains/shop": {
		"enabled": {`true`, []string{`"true"`, `1`, `null`}},
		"ttl":     {`"1h"`, []string{`1`, `"soon"`}},
		"version": {`0`, []string{`7`, `1e99`}},
		"rate":    {``, []string{`"1/s"`}},
	},
	"PUT /api/v1/pools/units/instances/pod": {
		"units": {`20`, []string{`"20"`, `0`, `-20`, `4294967296`, `1e99`, `2.5`, `null`}},
		"ttl":   {`"1m"`, []string{`60`, `"1us"`, `"25h"`, `"long"`}},
	},
	"PUT /api/v1/pools/units/capacity": {
		"total":        {`100`, []string{`"100"`, `0`, `-1`, `1e99`, `99999999999`, `19`, `401`}},
		"per_instance": {``, []string{`0`, `"1"`, `5000000000`}},
		"instances":    {``, []string{`0`, `[]`, `1e9`}},
		"ttl":          {`"1h"`, []string{`1`, `"9000h"`}},
	},
	"PUT /api/v1/pools/units/feedback": {
		"freeze": {`true`, []string{`"true"`, `1`, `null`}},
	},
	"PUT /api/v1/buckets/partner": {
		"rate":             {`"1/s"`, []string{`1`, `""`, `"0/s"`, `"1/0s"`, `"x"`, `"1e9/s"`, `null`}},
		"burst":            {`4`, []string{`0`, `-1`, `"4"`, `1e99`, `9223372036854775807`}},
		"initial":          {`"empty"`, []string{`"none"`, `-1`, `5`, `"5"`, `1.5`, `true`}},
		"max_wait":         {`"30s"`, []string{`30`, `"0s"`, `"25h"`, `"-1s"`}},
		"max_waiters":      {`10`, []string{`0`, `"10"`, `1000001`, `1e99`}},
		"max_tokens":       {``, []string{`0`, `"4"`, `1e99`, `4`}},
		"refill_period_ms": {``, []string{`0`, `-1`, `"4000"`, `1e99`, `0.5`}},
		"version":          {``, []string{`-1`, `"1"`, `1e99`}},
	},
	"POST /api/v1/check": {
		"bucket": {`"there"`, []string{`7`, `""`, `null`, `["there"]`}},
		"tokens": {`1`, []string{`0`, `-1`, `"1"`, `1e99`, `99999999999999999999`, `1.5`}},
	},
	"POST /api/v1/acquire": {
		"bucket": {`"there"`, []string{`7`, `{}`}},
		"tokens": {`1`, []string{`0`, `true`}},
	},
}

// field is a field of a body: a value that is sound for it, empty if there is none
// at this endpoint, and values that are not.
type field struct {
	sound string
	bad   []string
}

// body writes an endpoint's sound fields with one of another value.
func body(fields map[string]field, name, value string) string {
	var parts []string
	for known, f := range fields {
		if known != name && f.sound != "" {
			parts = append(parts, `"`+known+`": `+f.sound)
		}
	}
	if name != "" {
		parts = append(parts, `"`+name+`": `+value)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// refused asserts a problem that names a field, after which nothing is another
// than before.
func (w *world) refused(r *http.Request, field string, statuses ...int) {
	w.t.Helper()
	before := w.version()
	got := w.do(r)
	sound := false
	for _, status := range statuses {
		sound = sound || got.Code == status
	}
	if !sound || got.Header().Get("Content-Type") != "application/problem+json" {
		w.t.Errorf("%s %s: %d %s, want %v and a problem", r.Method, r.URL, got.Code, got.Body, statuses)
		return
	}
	for _, member := range []string{"type", "title", "detail"} {
		if text, _ := got.at(member).(string); text == "" {
			w.t.Errorf("%s %s: no %s in %s", r.Method, r.URL, member, got.Body)
		}
	}
	told, _ := got.at("field").(string)
	told, _, _ = strings.Cut(told, ".") // what is within the field may be named too
	if told != strings.TrimSuffix(field, "...") && told != field || got.at("status") != float64(got.Code) {
		w.t.Errorf("%s %s names %q, want %q: %s", r.Method, r.URL, told, field, got.Body)
	}
	if w.version() != before {
		w.t.Errorf("%s %s was refused and changed something", r.Method, r.URL)
	}
}

func TestBadInputIsRefusedByFieldAndChangesNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.must(200, "PUT", "/api/v1/buckets/there", `{"rate": "1000/s", "burst": 100000}`)
		for endpoint, fields := range bodies {
			t.Run(endpoint, func(t *testing.T) {
				w.t = t
				method, target, _ := strings.Cut(endpoint, " ")
				ask := func(body string) *http.Request { return request(method, target, body) }
				for name, f := range fields {
					for _, value := range f.bad {
						t.Run(name+"="+value[:min(len(value), 30)], func(t *testing.T) {
							w.t = t
							w.refused(ask(body(fields, name, value)), name, 400, 404, 409, 422)
						})
					}
					if f.sound != "" {
						w.t = t
						w.refused(ask(`{"`+name+`": `+f.sound+`, "`+name+`": `+f.sound+`}`), name, 400)
					}
				}
				w.t = t
				w.shapes(method, target, fields)
			})
		}
		w.t = t
	})
}

// shapes asks an endpoint with bodies that are wrong as a whole.
func (w *world) shapes(method, target string, fields map[string]field) {
	w.t.Helper()
	sound := body(fields, "", "")
	requests := strings.HasPrefix(target, "/api/v1/check") || strings.HasPrefix(target, "/api/v1/acquire")
	ask := func(body string) *http.Request { return request(method, target, body) }
	unknown := "buckt"
	if !requests {
		w.refused(ask(body(fields, unknown, "1")), unknown, 400)
		w.refused(ask(body(fields, strings.Repeat("x", 500), "1")), strings.Repeat("x", 100)+"...", 400)
		for _, broken := range []string{"{", sound + "}", sound + sound, "[" + sound + "]", `"text"`, "7", "null", "nul", "{]", sound[:len(sound)-1], "{\"a\xff\": 1}", strings.Repeat("[", 100000)} {
			w.refused(ask(broken), "", 400)
		}
	} else {
		for _, broken := range []string{"{", sound + "}", "[" + sound + "]", `"text"`, "null", strings.Repeat("[", 100000)} {
			if got := w.do(ask(broken)); got.Code != 400 || got.Header().Get("Content-Type") != "application/problem+json" {
				w.t.Errorf("%s %s: %d %s", target, broken[:min(30, len(broken))], got.Code, got.Body)
			}
		}
	}
	w.refused(request(method, target+"?surprise=1", sound), "surprise", 400)
	w.refused(request(method, target+"?%zz", sound), "", 400)
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/json-seq", "*/*", ";"} {
		r := ask(sound)
		r.Header.Set("Content-Type", kind)
		w.refused(r, "Content-Type", 415)
	}
	w.refused(ask(`{"`+strings.Repeat(" ", 1<<20)+`": 1}`), "", 413)
	for _, other := range []string{"PATCH", "TRACE", "OPTIONS", "GEET"} {
		r := request(other, target, "")
		w.refused(r, "", 405)
	}
}

// Paths that lead nowhere, parameters that nobody knows and conditions that cannot
// be read are refused alike.
func TestBadPathsParametersAndConditionsAreRefused(t *testing.T) {
	w := alone(t)
	for target, want := range map[string]struct {
		status int
		field  string
	}{
		"GET /api/v1/nothing":                                          {404, ""},
		"GET /api/":                                                    {404, ""},
		"GET /api/v2/limits":                                           {404, ""},
		"POST /api/v1/limits":                                          {405, ""},
		"PUT /api/v1/history":                                          {405, ""},
		"GET /api/v1/history?n=0":                                      {400, "n"},
		"GET /api/v1/history?n=1001":                                   {400, "n"},
		"GET /api/v1/history?n=ten":                                    {400, "n"},
		"GET /api/v1/history?n=1&n=2":                                  {400, "n"},
		"GET /api/v1/limits?domian=llm":                                {400, "domian"},
		"GET /api/v1/limits/nobody":                                    {404, "limit"},
		"GET /api/v1/limits/":                                          {404, "limit"},
		"DELETE /api/v1/limits/vip?for=user":                           {400, "for"},
		"DELETE /api/v1/limits/vip?for=user=a&for=user=b":              {400, "for"},
		"DELETE /api/v1/limits/vip?version=x":                          {400, "version"},
		"DELETE /api/v1/limits/vip?dry_run=maybe":                      {400, "dry_run"},
		"DELETE /api/v1/limits/vip":                                    {404, ""},
		"DELETE /api/v1/domains/shop":                                  {404, ""},
		"DELETE /api/v1/buckets/x?version=0":                           {400, "version"},
		"DELETE /api/v1/pools/nobody/instances/pod":                    {404, "pool"},
		"DELETE /api/v1/pools/units/instances/pod?domain=x":            {404, "pool"},
		"DELETE /api/v1/pools/units/capacity":                          {404, "pool"},
		"DELETE /api/v1/limits/vip?author=" + strings.Repeat("a", 201): {422, "author"},
	} {
		method, path, _ := strings.Cut(target, " ")
		w.refused(request(method, path, ""), want.field, want.status)
	}
	for header, values := range map[string][]string{
		"If-Match":      {"7", `"x"`, "*", `W/"7"`, `"7", "8"`, `"0"`, `"-1"`, `"99999999999999999999"`, `"07"`, ""},
		"If-None-Match": {`"7"`, ""},
	} {
		for _, value := range values {
			for _, c := range [][3]string{{"PUT", "/api/v1/limits/vip", `{"rate": "1/s"}`}, {"DELETE", "/api/v1/limits/vip", ""}, {"PUT", "/api/v1/buckets/b", `{"rate": "1/s"}`}} {
				r := request(c[0], c[1], c[2])
				r.Header[header] = []string{value}
				w.refused(r, header, 400)
			}
		}
	}
	r := request("PUT", "/api/v1/limits/vip", `{"rate": "1/s", "version": 8}`)
	r.Header.Set("If-Match", `"7"`)
	w.refused(r, "If-Match", 400)
	for _, wait := range []string{"5", "-5s", "0s", "6m", "x", "99999999999999999h"} {
		w.refused(request("POST", "/api/v1/acquire?wait="+wait, `{"bucket": "b"}`), "wait", 400)
	}
	for target, missing := range map[string]struct{ body, field string }{
		"PUT /api/v1/limits/vip":            {`{}`, ""},
		"PUT /api/v1/limits/vip?domain=llm": {`{"reason": "none"}`, ""},
		"PUT /api/v1/domains/shop":          {`{}`, ""},
		"PUT /api/v1/pools/units/capacity":  {`{}`, "total"},
		"PUT /api/v1/pools/units/feedback":  {`{}`, "freeze"},
		"PUT /api/v1/buckets/b":             {`{}`, "rate"},
		"PUT /api/v1/buckets/c":             {`{"max_tokens": 4}`, "refill_period_ms"},
		"PUT /api/v1/buckets/d":             {`{"refill_period_ms": 4}`, "max_tokens"},
		"PUT /api/v1/buckets/e":             {`{"max_tokens": 4, "refill_period_ms": 4, "burst": 4}`, "max_tokens"},
		"POST /api/v1/check":                {`{"tokens": 1}`, "bucket"},
		"POST /api/v1/acquire":              {`{}`, "domain"},
	} {
		method, path, _ := strings.Cut(target, " ")
		w.refused(request(method, path, missing.body), missing.field, 400, 422)
	}
	// Without a name it would be the domain as a whole.
	w.refused(request("PUT", "/api/v1/limits/?domain=shop", `{"enabled": false}`), "limit", 404)
	w.refused(request("PUT", "/api/v1/buckets/b", `{"max_tokens": 4611686018427387903, "refill_period_ms": 7}`), "max_tokens", 422)
	w.refused(request("PUT", "/api/v1/buckets/a%20b", `{"rate": "1/s"}`), "id", 422)
	w.refused(request("PUT", "/api/v1/buckets/"+strings.Repeat("a", 201), `{"rate": "1/s"}`), "id", 422)
	w.refused(request("PUT", "/api/v1/pools/units/instances/"+strings.Repeat("a", 201), `{}`), "id", 422)
}

// A method that is not known is answered with those that are.
func TestAWrongMethodIsToldTheRightOnes(t *testing.T) {
	w := alone(t)
	if got := w.ask("PATCH", "/api/v1/limits/vip", ""); got.Header().Get("Allow") != "DELETE, GET, HEAD, PUT" {
		t.Errorf("%v %s", got.Header(), got.Body)
	}
	if got := w.ask("GET", "/api/v1/check", ""); got.Header().Get("Allow") != "POST" {
		t.Errorf("%v %s", got.Header(), got.Body)
	}
}

// Callers who are told the same at once share nothing; the race detector would
// tell.
func TestManyAreRefusedAtOnce(t *testing.T) {
	w := alone(t)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if got := w.ask("PUT", "/api/v1/limits/", `{"rate": "1/s"}`); got.Code != 404 {
				t.Errorf("%d %s", got.Code, got.Body)
			}
		})
	}
	all.Wait()
}
