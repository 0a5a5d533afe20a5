package e2e

import (
	"strings"
	"testing"
	"time"
)

const breakerRules = `domain: breakers
responses:
  payment-down: {body: 支付服務暫時不可用，請稍後再試}
descriptors:
  - {key: service, breaker: {failures: 5, open_for: 2s, probes: 1, response: payment-down}}
`

const openFor = 2 * time.Second

func payment(status int, hold string) headers {
	h := answering("", status)
	delete(h, "X-User")
	h["X-Service"], h["X-Hold"] = "payment", hold
	return h
}

// opens fails five payments in a row, through both Envoys, and answers a time
// before the breaker opened.
func (top *topology) opens(t *testing.T) time.Time {
	t.Helper()
	begin, before := time.Now(), top.metric(t, redeemed)
	for i := range 5 {
		begin = time.Now()
		if got := settledOne(top.begin(t, i, payment(503, ""))); got.status != 503 || strings.Contains(got.body, "支付") {
			t.Fatalf("payment %d: %d %q, want the upstream's own 503", i+1, got.status, got.body)
		}
		top.reaches(t, redeemed, before+i+1)
	}
	return begin
}

// refuses asserts that n requests at once are refused by the breaker.
func (top *topology) refuses(t *testing.T, n int) {
	t.Helper()
	served := top.served.Load()
	for _, c := range top.beginAll(t, n, payment(200, "")) {
		<-c.done
		if c.status != 503 || strings.TrimSpace(c.body) != "支付服務暫時不可用，請稍後再試" {
			t.Errorf("an open breaker answered %d %q", c.status, c.body)
		}
	}
	if now := top.served.Load(); now != served {
		t.Errorf("%d requests reached the upstream through an open breaker", now-served)
	}
}

// probe waits until the breaker lets a request through, which must be the only
// one of ten at once and not before it was open long enough, and lets it end
// with a status.
func (top *topology) probe(t *testing.T, opened time.Time, status int) {
	t.Helper()
	before := top.metric(t, redeemed)
	var calls []*call
	eventually(t, "the breaker is half-open", func() bool {
		calls = top.beginAll(t, 10, payment(status, "answer"))
		eventually(t, "all but a probe are refused", func() bool {
			done := 0
			for _, c := range calls {
				if c.isDone() {
					done++
				}
			}
			return done == 10 || done == 9 && top.held.Load() == 1
		})
		return top.held.Load() > 0
	})
	if open := time.Since(opened); open < openFor {
		t.Errorf("a probe passed after %v, before the breaker had been open for %v", open, openFor)
	}
	top.refuses(t, 4) // as long as the probe runs
	top.letGo(t, 1)
	probes := 0
	for _, c := range calls {
		<-c.done
		if !strings.Contains(c.body, "支付") {
			probes++
		}
	}
	if probes != 1 {
		t.Errorf("%d requests of ten were probes", probes)
	}
	top.reaches(t, redeemed, before+1)
}

func TestG07_G08_G09_TheBreakerOpensTriesAndCloses(t *testing.T) {
	onBothStores(t, spec{rules: breakerRules}, func(t *testing.T, top *topology) {
		// A success, and an answer that is no failure of the service, end a run.
		for i, status := range []int{503, 503, 503, 503, 200, 503, 503, 503, 503, 404} {
			if got := settledOne(top.begin(t, i, payment(status, ""))); got.status != status {
				t.Fatalf("request %d: %d, want %d", i+1, got.status, status)
			}
			top.reaches(t, redeemed, i+1)
		}
		opened := top.opens(t)
		top.refuses(t, 6)
		failed := time.Now()
		top.probe(t, opened, 503)
		top.refuses(t, 6)
		top.probe(t, failed, 200)
		for i := range 6 {
			if got := settledOne(top.begin(t, i, payment(200, ""))); got.status != 200 {
				t.Errorf("a closed breaker answered %d", got.status)
			}
		}
	})
}

// The payments of others do not suffer.
func TestG07_EachServiceHasItsOwnBreaker(t *testing.T) {
	onBothStores(t, spec{rules: breakerRules}, func(t *testing.T, top *topology) {
		top.opens(t)
		top.refuses(t, 2)
		other := payment(200, "")
		other["X-Service"] = "search"
		if got := settledOne(top.begin(t, 0, other)); got.status != 200 {
			t.Errorf("another service got %d", got.status)
		}
	})
}
