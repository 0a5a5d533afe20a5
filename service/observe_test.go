package service

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const observedRules = `
domain: d
passive: [request_id]
unmatched: deny
responses: {zh: {form: openai, language: zh, message: "您已达到请求数限制：{period}内最多请求{limit}次"}}
descriptors:
  - key: user
    limits: [{name: good, rate: 10/min, response: zh}, {name: total, rate: 1/min}]
  - {key: quiet, limits: [{name: quiet, rate: 1/min, shadow_mode: true}]}
  - {key: service, breaker: {failures: 2, open_for: 30s}}
`

// refusals keeps what an observer is told of refusals.
func refusals(w *world) *[]string {
	var log []string
	w.options.Observe.Refusal = func(r Refusal) {
		log = append(log, fmt.Sprintf("%s %s %v %q %s", r.Domain, r.Limit, r.Entries(), r.Message(), r.RequestID()))
	}
	return &log
}

// A refusal says who was refused, by which of the limits, with the text that the
// caller reads.
func TestM22_ARefusalIsToldWithUserAndText(t *testing.T) {
	w := newWorld(t, observedRules)
	log := refusals(w)
	w.ask(request("user=u1,request_id=r-1"))
	w.ask(request("quiet=q"))
	w.ask(request("quiet=q"))
	w.tells(log)
	w.ask(request("quiet=q", "user=u1,request_id=r 2\n"))
	w.tells(log, `d total [{user u1} {request_id r 2`+"\n"+`}] "rate limit \"total\" of 1 per minute exceeded, retry after 60 s" r_2_`)
	for range 8 {
		w.now = w.now.Add(time.Minute)
		w.ask(request("user=u1"))
	}
	w.ask(request("nobody=n", "user=u2"))
	w.tells(log, `d unmatched [{nobody n}] "no rate limit rule admits this request" `)
}

// Of values that the domain hides a refusal tells the short form, of whatever entry,
// and the request's id as it is.
func TestM22_ARefusalHidesWhatTheDomainHides(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("a secret of a test that is long enough"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, observedRules+"keys: {hash: hmac-sha256, secret_file: "+secret+"}\n")
	log := refusals(w)
	w.ask(request("user=alice,request_id=r-1"))
	w.ask(request("user=alice,request_id=r-1"))
	w.tells(log, `d total [{user hmac:8f312251} {request_id r-1}] "rate limit \"total\" of 1 per minute exceeded, retry after 60 s" r-1`)
	w.ask(request("nobody=alice"))
	w.tells(log, `d unmatched [{nobody hmac:8f312251}] "no rate limit rule admits this request" `)
}

// Which of two limits refused is told by the metric, the body and the event.
func TestM19_WhoRefusedIsToldEverywhere(t *testing.T) {
	w := newWorld(t, strings.ReplaceAll(observedRules, "rate: 1/min}", "rate: 100/min}"))
	log := refusals(w)
	answer := refusal(t, w, "user=u")
	if body := string(answer.RawBody); !strings.Contains(body, "您已达到请求数限制：1分钟内最多请求10次") || answer.DynamicMetadata.Fields["limit"].GetStringValue() != "good" {
		t.Errorf("%v", answer)
	}
	w.expect(map[string]int{"d good denied": 1, "d total not_charged": 1, "d total denied": 0})
	w.tells(log, `d good [{user u}] "您已达到请求数限制：1分钟内最多请求10次" `)
}

// A request that is too large says nothing: its domain may be anything.
func TestAnExcessiveRequestIsNoRefusalToTell(t *testing.T) {
	w := newWorld(t, observedRules)
	log := refusals(w)
	r := request(slices.Repeat([]string{"user=u"}, 33)...)
	r.Domain = "whatever a client sends"
	w.ask(r)
	w.ask(request(slices.Repeat([]string{"user=u"}, 9)...)) // 18 charges
	w.tells(log)
}

// A breaker's state is told whenever its bucket is asked, and when the end of a
// request is what moves it. What a replica judges by itself while the store is
// away is nothing to tell.
func TestABreakersStateIsToldAsItsBucketIsAsked(t *testing.T) {
	w := newWorld(t, observedRules)
	var log []string
	w.options.Observe.Breaker = func(domain, limit, key, state string, at int64) {
		if at != w.now.UnixMicro() {
			t.Errorf("at %d, not %d", at, w.now.UnixMicro())
		}
		if key != w.levels("service=s")[limit].Key {
			t.Errorf("key %q", key)
		}
		log = append(log, domain+" "+limit+" "+state)
	}
	const name = "d service:breaker "
	first, second := w.take("service=s"), w.take("service=s")
	w.tells(&log, name+"closed", name+"closed")
	w.end(first, 500)
	w.end(second, 500)
	w.tells(&log, name+"closed", name+"open")
	w.ask(request("service=s"))
	w.now = w.now.Add(30 * time.Second)
	probe := w.take("service=s")
	w.tells(&log, name+"open", name+"half_open")
	w.end(probe, 200)
	w.ask(request("user=u", "service=s"))
	w.tells(&log, name+"closed", name+"closed")
	w.outage().broken = true
	w.ask(request("service=s"))
	w.tells(&log)
}
