package service

import (
	"fmt"
	"testing"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weir-rls/weir/buckets/memory"
)

// The rules by which weir takes the place of four systems, each asked as its users
// would ask it.

// passes counts how many of n requests are admitted.
func (w *world) passes(n int, descriptors ...string) int {
	w.t.Helper()
	admitted := 0
	for range n {
		if w.ask(request(descriptors...)).OverallCode == rls.RateLimitResponse_OK {
			admitted++
		}
	}
	return admitted
}

func (w *world) mustPass(want, of int, descriptors ...string) {
	w.t.Helper()
	if got := w.passes(of, descriptors...); got != want {
		w.t.Errorf("%d of %d requests of %v passed, want %d", got, of, descriptors, want)
	}
}

// Per-second limits, daily quotas, by user and by address, in every unit.
func TestG01_LimitsByUserAndAddress(t *testing.T) {
	w := newWorld(t, `
domain: d
descriptors:
  - {key: remote_address, value_cidr: 10.0.0.0/8, limits: [{rate: 3/s}]}
  - {key: masked_remote_address, limits: [{rate: 4/min, algorithm: fixed_window}]}
  - key: user
    limits:
      - {name: second, rate: 5/s}
      - {name: day, rate: 8/day}
      - {name: month, rate: 9/month}
      - {name: year, rate: 12/year}
`)
	w.mustPass(3, 5, "remote_address=10.1.2.3")
	w.mustPass(3, 5, "remote_address=10.1.2.4")
	w.mustPass(5, 5, "remote_address=192.168.0.1")
	w.mustPass(4, 6, "masked_remote_address=10.1.2.0/24")
	for _, step := range []struct {
		later  time.Duration
		passes int
	}{{0, 5}, {time.Second, 3}, {24 * time.Hour, 1}, {24 * time.Hour, 0}, {31 * 24 * time.Hour, 3}, {time.Second, 0}} {
		w.now = w.now.Add(step.later)
		w.mustPass(step.passes, 20, "user=u")
	}
	w.mustPass(5, 10, "user=other")
}

// Orders above an amount go first: normal ones leave what the others may need.
func TestG22_HighBeforeNormal(t *testing.T) {
	w := newWorld(t, `
domain: d
pools: [{name: orders, rate: 10/s, burst: 100}]
descriptors:
  - {key: priority, value: high, draw: {pool: orders, guarantee: 0/s, headroom: 0}}
  - {key: priority, value: normal, draw: {pool: orders, guarantee: 0/s, headroom: 30}}
`)
	w.mustPass(70, 200, "priority=normal")
	w.mustPass(30, 200, "priority=high")
	w.now = w.now.Add(time.Second)
	w.mustPass(0, 20, "priority=normal")
	w.mustPass(10, 20, "priority=high")
}

const modelLimits = `
domain: d
passive: [group]
descriptors:
  - key: user
    descriptors:
      - key: model
        limits:
          - {name: total, algorithm: sliding_window, rate: 5/min}
          - {name: success, algorithm: sliding_window, rate: 3/min, count: success}
  - {key: token, limits: [{name: per-key, rate: 60/min}, {name: off, rate: 0/min, enabled: false}]}
`

// Total and success count on their own, for each user and model; what one refuses
// does not use up the other.
func TestM03_M05_M09_M10_TotalAndSuccessForEachUserAndModel(t *testing.T) {
	w := newWorld(t, modelLimits)
	for range 3 {
		w.end(w.take("user=u,model=gpt-4"), 500)
	}
	w.end(w.take("user=u,model=gpt-4"), 200)
	w.end(w.take("user=u,model=gpt-4"), 200)
	answer := w.ask(request("user=u,model=gpt-4"))
	if got := answer.DynamicMetadata.Fields["limit"].GetStringValue(); got != "total" {
		t.Errorf("the limit %q refuses the sixth request, want total: failures count there", got) // M-19
	}
	w.mustPass(3, 5, "user=u,model=claude")
	w.mustPass(3, 5, "user=other,model=gpt-4")
	open := w.take("user=third,model=gpt-4")
	w.mustPass(2, 20, "user=third,model=gpt-4") // 18 refused by success
	w.end(open, 500)
	w.mustPass(1, 1, "user=third,model=gpt-4") // and the total has room for it
	w.now = w.now.Add(62 * time.Second)
	w.mustPass(3, 5, "user=u,model=gpt-4")
}

// A switch turns a limit off without a trace of it in the answers.
func TestM01_M26_ADisabledLimitIsNotMet(t *testing.T) {
	w := newWorld(t, modelLimits)
	w.mustPass(60, 70, "token=t")
	w.expect(map[string]int{"d off denied": 0, "d off allowed": 0})
}

// Requests at once, by minute and by day, and tokens by minute and by day, which
// are known at the end; a group without rules is unlimited.
func TestM28_FiveLimitsOfAGroup(t *testing.T) {
	w := newWorld(t, `
domain: d
descriptors:
  - key: group
    value: default
    limits:
      - {name: concurrency, algorithm: concurrency, slots: 5}
      - {name: rpm, rate: 60/min}
      - {name: rpd, rate: 1000/day}
  - key: tokens
    value: default
    limits:
      - {name: tpm, rate: 100000/min}
      - {name: tpd, rate: 1000000/day}
`)
	ask := func() *rls.RateLimitResponse {
		r := request("group=default", "tokens=default")
		r.Descriptors[1].HitsAddend = wrapperspb.UInt64(0) // only look
		return w.ask(r)
	}
	var receipts []string
	for range 5 {
		receipts = append(receipts, receiptOf(ask()))
	}
	if name := ask().DynamicMetadata.Fields["limit"].GetStringValue(); name != "concurrency" {
		t.Fatalf("the sixth at once is refused by %q", name)
	}
	for _, receipt := range receipts {
		end := request("weir.receipt="+receipt, "weir.end=1,tokens=default")
		end.Descriptors[0].HitsAddend, end.Descriptors[1].HitsAddend = wrapperspb.UInt64(200), wrapperspb.UInt64(30_000)
		w.ask(end)
	}
	answer := ask()
	if name := answer.DynamicMetadata.Fields["limit"].GetStringValue(); name != "tpm" {
		t.Errorf("after 150,000 tokens the limit %q refuses, want tpm: %v", name, answer)
	}
	w.mustPass(500, 500, "group=unknown", "tokens=unknown")
	w.expect(map[string]int{"d concurrency tokens": 5, "d rpm tokens": 5, "d tpm tokens": 150_000})
}

// A bucket of T tokens and one more each period, never above T, forgotten when it
// is idle.
func TestW01_W05_W15_AnIdleBucketIsFullAndForgotten(t *testing.T) {
	w := newWorld(t, "domain: d\ndescriptors: [{key: partner, limits: [{rate: 1/4000ms, burst: 4}]}]\n")
	store := memory.New(memory.Options{Now: func() time.Time { return w.now }})
	w.use(store)
	w.mustPass(4, 6, "partner=x")
	w.now = w.now.Add(3999 * time.Millisecond)
	w.mustPass(0, 2, "partner=x")
	w.now = w.now.Add(time.Millisecond)
	w.mustPass(1, 2, "partner=x")
	w.now = w.now.Add(1000 * time.Hour)
	if store.Held() != 0 {
		t.Error("an idle bucket is kept")
	}
	w.mustPass(4, 6, "partner=x")
}

// The operator is told which limit refused, and nothing that the client sent.
func TestM22_ARefusalNamesItsLimitAlone(t *testing.T) {
	w := newWorld(t, modelLimits)
	for i := range 6 {
		answer := w.ask(request(fmt.Sprintf("user=evil\n%d,model=x", i/6)))
		if i == 5 && (answer.DynamicMetadata.Fields["limit"] == nil || len(answer.DynamicMetadata.Fields) != 2) {
			t.Errorf("metadata %v", answer.DynamicMetadata)
		}
	}
}

// Regions have pools of their own, and all of them one limit together; a region
// that is not sent draws from none of the others.
func TestG21_RegionsHaveTheirOwnPoolsUnderOneGlobalLimit(t *testing.T) {
	w := newWorld(t, `
domain: d
passive: [region]
pools: [{name: regional, rate: 1/s, burst: 40, split_by: [region]}]
descriptors:
  - {key: tier, value: gateway, draw: {pool: regional}}
  - {key: all, value: regions, limits: [{name: global, rate: 1/s, burst: 100}]}
`)
	w.mustPass(40, 60, "tier=gateway,region=eu", "all=regions")
	w.mustPass(40, 60, "tier=gateway,region=us", "all=regions")
	w.mustPass(20, 60, "tier=gateway,region=asia", "all=regions") // what the global limit leaves
	w.expect(map[string]int{"d global tokens": 100, "d tier=gateway tokens": 100})
	w.mustPass(20, 60, "tier=gateway,region=asia")
}

// Routes by exact path, by prefix and by what is left.
func TestG15_RoutesByPathPrefixAndRest(t *testing.T) {
	w := newWorld(t, `
domain: d
descriptors:
  - {key: path, value: /api/users, limits: [{name: users, rate: 2/min}]}
  - {key: path, value: /api/*, limits: [{name: api, rate: 3/min}]}
  - {key: path, value: /static/*, rate_limit: {unlimited: true}}
  - {key: path, limits: [{name: rest, rate: 4/min}]}
`)
	for path, passes := range map[string]int{"/api/users": 2, "/api/products": 3, "/api/orders": 3, "/static/logo.png": 9, "/": 4} {
		w.mustPass(passes, 9, "path="+path)
	}
}
