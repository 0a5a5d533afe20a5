package admin_test

import (
	"encoding/json"
	"fmt"
	"testing"
)

// On either store: what is explained is what is answered next, also where a request
// draws twice from one pool, and to explain it a hundred times takes nothing.
func TestExplain_TakesNothingFromAnyStore(t *testing.T) {
	for name, at := range map[string]place{"memory": inMemory(t), "redis": onRedis(t, 1)[0]} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, at, nil)
			const request = `{"domain":"llm","hitsAddend":4,"descriptors":[{"entries":[{"key":"api","value":"c"}]},{"entries":[{"key":"api","value":"a"}]},` +
				`{"entries":[{"key":"user","value":"u"}]},{"entries":[{"key":"jobs","value":"j"}]}]}`
			answers := map[string]int{}
			for range 8 {
				before := w.must(200, "GET", "/api/v1/buckets?domain=llm&entry=user=u", "").at("levels", "remaining")
				var verdict string
				for range 20 {
					e := w.must(200, "POST", "/api/v1/explain", request)
					verdict = fmt.Sprint(e.at("answer", "verdict"))
				}
				if after := w.must(200, "GET", "/api/v1/buckets?domain=llm&entry=user=u", "").at("levels", "remaining"); before == nil || after.(float64) < before.(float64) {
					t.Fatalf("%v were left, and %v after an explanation", before, after)
				}
				code := w.ask("POST", "/api/v1/check", request).Code
				if want := map[int]string{200: "allow", 429: "deny"}[code]; verdict != want {
					t.Fatalf("explained as %s, answered %d", verdict, code)
				}
				answers[verdict]++
			}
			if answers["allow"] == 0 || answers["deny"] == 0 {
				t.Errorf("of each verdict there should be one: %v", answers)
			}
		})
	}
}

// What cannot be explained is a problem that names its field.
func TestExplain_RefusesWhatIsNoRequest(t *testing.T) {
	w := alone(t)
	for body, field := range map[string]string{`{"domain": "llm"}`: "descriptors", `{"domain": 5}`: "domain", `{"kind": "limit_hit", "domain": "llm"}`: "descriptors[0].entries"} {
		if a := w.ask("POST", "/api/v1/explain", body); a.Code != 400 || a.fields["field"] != field || !json.Valid(a.Body.Bytes()) {
			t.Errorf("%s: %d %s", body, a.Code, a.Body)
		}
	}
	w.must(405, "GET", "/api/v1/explain", "")
	w.must(400, "POST", "/api/v1/explain?x=1", `{}`)
}
