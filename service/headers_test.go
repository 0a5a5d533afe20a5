package service

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"pgregory.net/rapid"
)

const draftRules = `
domain: d
pools: [{name: units, rate: 10/s, burst: 100}]
descriptors:
  - key: user
    limits:
      - {name: burst, rate: 100/min}
      - {name: daily, algorithm: fixed_window, rate: 1000/day}
  - {key: slow, limits: [{name: slow, rate: 1/4s, burst: 8}]}
  - {key: sliding, limits: [{name: sliding, algorithm: sliding_window, rate: 3/min}]}
  - {key: monthly, limits: [{name: monthly, algorithm: fixed_window, rate: 5/month}]}
  - {key: slots, limits: [{name: at-once, algorithm: concurrency, slots: 2}]}
  - {key: api, draw: {pool: units, class: api, weight: 3, reserve: 30}}
  - {key: other, draw: {pool: units, class: other, reserve: 70, borrow: false}}
  - {key: trial, limits: [{name: trial, rate: 1/min, shadow_mode: true}]}
  - {key: service, breaker: {failures: 5, open_for: 30s}}
  - {key: free, rate_limit: {unlimited: true}}
  - {key: closed, limits: [{name: closed, rate: 0/s}]}
  - {key: heavy, limits: [{name: heavy, rate: 2/s, weight: 2}]}
  - {key: named, limits: [{name: 'say "限制" \', rate: 1/s}]}
`

func draftWorld(t testing.TB) *world {
	w := newWorld(t, draftRules)
	w.options.Headers = HeadersDraft10
	return w
}

// What callers see of each kind of limit, admitted and refused.
func TestG13_Draft10TellsPoliciesAndWhatIsLeft(t *testing.T) {
	for _, c := range []struct {
		descriptors []string
		times       int
		policy      string
		limit       string
		retry       string
	}{
		{[]string{"user=u"}, 1, `"burst";q=100;w=60, "daily";q=1000;w=86400`, `"burst";r=99;t=1, "daily";r=999;t=57600`, ""},
		{[]string{"user=u"}, 101, `"burst";q=100;w=60, "daily";q=1000;w=86400`, `"burst";r=0;t=1, "daily";r=900`, "1"}, // the day ends after Retry-After
		{[]string{"slow=s"}, 1, `"slow";q=8;w=32`, `"slow";r=7;t=4`, ""},
		{[]string{"slow=s"}, 9, `"slow";q=8;w=32`, `"slow";r=0;t=4`, "4"},
		{[]string{"sliding=s"}, 2, `"sliding";q=3;w=60`, `"sliding";r=1;t=61`, ""},
		{[]string{"sliding=s"}, 4, `"sliding";q=3;w=60`, `"sliding";r=0;t=61`, "61"},
		{[]string{"monthly=m"}, 1, `"monthly";q=5;w=2592000`, `"monthly";r=4;t=1440000`, ""},
		{[]string{"slots=s"}, 1, `"at-once";q=2;qu="concurrent-requests"`, `"at-once";r=1`, ""},
		{[]string{"slots=s"}, 3, `"at-once";q=2;qu="concurrent-requests"`, `"at-once";r=0`, ""},
		{[]string{"api=a"}, 1, `"api";q=100;w=10`, `"api";r=97;t=1`, ""},
		{[]string{"trial=t"}, 3, "", "", ""},
		{[]string{"service=s", "free=f"}, 1, "", "", ""},
		{[]string{"closed=c"}, 1, `"closed";q=0`, `"closed";r=0`, ""},
		{[]string{"slow=a", "slow=b", "trial=t"}, 1, `"slow";q=8;w=32`, `"slow";r=7;t=4`, ""},
		{[]string{"named=n"}, 1, `"say \"%E9%99%90%E5%88%B6\" \\";q=1;w=1`, `"say \"%E9%99%90%E5%88%B6\" \\";r=0;t=1`, ""},
		{[]string{"nobody=n"}, 1, "", "", ""},
		{[]string{"heavy=h"}, 1, `"heavy";q=2;w=1`, `"heavy";r=0;t=1`, ""},
	} {
		w := draftWorld(t)
		var answer *rls.RateLimitResponse
		for range c.times {
			answer = w.ask(request(c.descriptors...))
		}
		got := headersOf(answer)
		if got["RateLimit-Policy"] != c.policy || got["RateLimit"] != c.limit || got["Retry-After"] != c.retry {
			t.Errorf("%q, %d times: %q %q %q, want %q %q %q", c.descriptors, c.times, got["RateLimit-Policy"], got["RateLimit"], got["Retry-After"], c.policy, c.limit, c.retry)
		}
	}
}

// What a store that is away leaves: a limit that admits all the same has its
// policy, and nobody knows what is left of it.
func TestG13_Draft10TellsNothingThatNobodyKnows(t *testing.T) {
	w := newWorld(t, "domain: d\ndescriptors: [{key: user, limits: [{name: user, rate: 5/s, on_store_error: allow}]}]\n")
	w.options.Headers = HeadersDraft10
	w.outage().broken = true
	if got := headersOf(w.ask(request("user=u"))); got["RateLimit-Policy"] != `"user";q=5;w=1` || got["RateLimit"] != "" {
		t.Errorf("%q", got)
	}
}

// More hits than a bucket holds can never pass: there is no time to tell.
func TestG13_Draft10OfWhatCanNeverPassHasNoTime(t *testing.T) {
	w := draftWorld(t)
	r := request("slow=s")
	r.HitsAddend = math.MaxUint32
	if got := headersOf(w.ask(r)); got["RateLimit"] != `"slow";r=0` || got["Retry-After"] != "" {
		t.Errorf("%q", got)
	}
	w = draftWorld(t)
	r = request("slow=s", "slow=s") // each could pass alone
	r.HitsAddend = 5
	if got := headersOf(w.ask(r)); got["RateLimit"] != `"slow";r=0` || got["Retry-After"] != "" {
		t.Errorf("two that need too much together: %q", got)
	}
}

// Of two buckets of one limit the fuller says nothing.
func TestG13_Draft10TellsOfOneNameWhatIsWorse(t *testing.T) {
	for _, texts := range [][]string{{"slow=a", "slow=b"}, {"slow=b", "slow=a"}} {
		w := draftWorld(t)
		for range 3 {
			w.ask(request("slow=a"))
		}
		if got := headersOf(w.ask(request(texts...)))["RateLimit"]; got != `"slow";r=4;t=4` {
			t.Errorf("%q: %q", texts, got)
		}
	}
}

// listItem is one member of a structured field.
type listItem struct {
	name   string
	params map[string]int64
}

var (
	member    = regexp.MustCompile(`^"((?:[ !#-\[\]-~]|\\["\\])*)"((?:;[a-z]+=(?:[0-9]{1,15}|"[a-z-]+"))*)(?:, |$)`)
	parameter = regexp.MustCompile(`;([a-z]+)=([0-9]+)`)
)

// parseField reads a list of strings with parameters, as RFC 9651 writes them.
func parseField(t interface{ Fatalf(string, ...any) }, field string) (items []listItem) {
	for rest := field; rest != ""; {
		found := member.FindStringSubmatch(rest)
		if found == nil {
			t.Fatalf("%q is no list of strings, from %q on", field, rest)
		}
		it := listItem{found[1], map[string]int64{}}
		for _, p := range parameter.FindAllStringSubmatch(found[2], -1) {
			it.params[p[1]], _ = strconv.ParseInt(p[2], 10, 64)
		}
		items, rest = append(items, it), rest[len(found[0]):]
	}
	return items
}

// Whatever limits are called and however they stand, both fields are structured
// fields; each limit is named once and the same in both; no more is left than there
// is; what a caller is told of is there at that time and not a second before; and
// Retry-After is never earlier.
func TestG13_Draft10IsTrueAndWellFormed(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.StringMatching(`[ -~äß限\x{1F600}]{1,12}`).Filter(func(s string) bool { return strings.TrimSpace(s) == s })
		names := rapid.SliceOfNDistinct(name, 2, 2, rapid.ID[string]).Draw(rt, "names")
		rate, burst := rapid.IntRange(1, 30).Draw(rt, "rate"), rapid.IntRange(1, 50).Draw(rt, "burst")
		w := newWorld(t, fmt.Sprintf("domain: d\ndescriptors:\n  - key: user\n    limits:\n      - {name: %q, rate: %d/min, burst: %d}\n      - {name: %q, algorithm: fixed_window, rate: 100/min}\n",
			names[0], rate, burst, names[1]))
		w.options.Headers, w.options.RetryJitter = HeadersDraft10, 5*time.Second
		last, refused := listItem{}, false
		for range rapid.IntRange(1, 60).Draw(rt, "requests") {
			w.now = w.now.Add(time.Duration(rapid.IntRange(0, 5_000_000).Draw(rt, "pause")) * time.Microsecond)
			answer := w.ask(request("user=u"))
			headers := headersOf(answer)
			policies, limits := parseField(rt, headers["RateLimit-Policy"]), parseField(rt, headers["RateLimit"])
			if len(policies) != 2 || len(limits) != 2 {
				rt.Fatalf("%v", headers)
			}
			retry, err := strconv.ParseInt(headers["Retry-After"], 10, 64)
			for i, l := range limits {
				switch p := policies[i]; {
				case p.name != l.name || l.params["r"] > p.params["q"] || p.params["w"] < 1:
					rt.Fatalf("%v", headers)
				case err == nil && retry < l.params["t"]:
					rt.Fatalf("Retry-After is earlier than t: %v", headers)
				}
			}
			last, refused = limits[0], answer.OverallCode == rls.RateLimitResponse_OVER_LIMIT
		}
		if after, told := last.params["t"]; told && !refused {
			w.now = w.now.Add(time.Duration(after-1) * time.Second)
			before := w.levels("user=u")[names[0]].Remaining
			w.now = w.now.Add(time.Second)
			if there := w.levels("user=u")[names[0]].Remaining; before > last.params["r"] || there <= last.params["r"] {
				rt.Fatalf("%v: %d a second before, then %d", last, before, there)
			}
		}
	})
}

// Refused callers are told different times, none of them too early nor later than
// the jitter allows; the body says the same, and where waiting does not help
// nothing says it does.
func TestRetryJitterSpreadsWhoComesBackAndNeverTooEarly(t *testing.T) {
	const rules = `
domain: d
responses: {said: {body: "{retry_after}"}}
descriptors:
  - {key: user, limits: [{name: user, rate: 1/min, response: said}]}
  - {key: slots, limits: [{name: slots, algorithm: concurrency, slots: 1, response: said}]}
`
	for _, c := range []struct {
		jitter time.Duration
		random func(int64) int64
		want   string
	}{
		{0, nil, "60"},
		{10 * time.Second, func(int64) int64 { return 0 }, "60"},
		{10 * time.Second, func(n int64) int64 { return n - 1 }, "70"},
		{10 * time.Second, func(n int64) int64 { return n / 2 }, "65"},
		{500 * time.Millisecond, func(n int64) int64 { return n - 1 }, "61"},
		{math.MaxInt64, func(n int64) int64 { return n - 1 }, "9223372037"},
	} {
		w := newWorld(t, rules)
		w.options.RetryJitter, w.options.Random = c.jitter, c.random
		answer := refusal(t, w, "user=u")
		if got := headersOf(answer)["Retry-After"]; got != c.want || string(answer.RawBody) != c.want {
			t.Errorf("jitter %v: Retry-After %q, body %q, want %q", c.jitter, got, answer.RawBody, c.want)
		}
		if reset := answer.Statuses[0].DurationUntilReset.AsDuration(); reset != time.Minute {
			t.Errorf("jitter %v: duration_until_reset %v: Envoy is told what is", c.jitter, reset)
		}
		answer = refusal(t, w, "slots=s")
		if got, told := headersOf(answer)["Retry-After"]; told || string(answer.RawBody) != "" {
			t.Errorf("jitter %v of no known time: Retry-After %q, body %q", c.jitter, got, answer.RawBody)
		}
	}
	w := newWorld(t, rules)
	w.options.RetryJitter, w.options.Random = 10*time.Second, New(Options{}).options.Random
	refusal(t, w, "user=u")
	times := map[string]bool{}
	for range 200 {
		times[headersOf(w.ask(request("user=u")))["Retry-After"]] = true
	}
	if len(times) != 10 && len(times) != 11 { // 60 only for exactly 0
		t.Errorf("told %d different times of 60 to 70 s: %v", len(times), times)
	}
}
