package service

import (
	"testing"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const endRules = `
domain: d
descriptors:
  - key: good
    limits: [{name: good, algorithm: sliding_window, rate: 3/min, count: success}]
  - key: daily
    limits: [{name: daily, rate: 3/day, count: success}]
  - key: slots
    limits: [{name: slots, algorithm: concurrency, slots: 3, slot_ttl: 60s}]
  - key: pay
    breaker: {failures: 5, open_for: 30s, probes: 1}
  - key: tokens
    limits: [{name: tokens, rate: 10/s, burst: 100}]
  - key: closed
    rate_limit: {unit: second, requests_per_unit: 0}
`

// receiptOf is the receipt of an answer, "" if it has none.
func receiptOf(answer *rls.RateLimitResponse) string {
	return answer.GetDynamicMetadata().GetFields()["receipt"].GetStringValue()
}

// take asks with one descriptor and returns its receipt; it must pass.
func (w *world) take(descriptor string) string {
	w.t.Helper()
	answer := w.ask(request(descriptor))
	if answer.OverallCode != rls.RateLimitResponse_OK {
		w.t.Fatalf("%s is refused: %v", descriptor, answer)
	}
	return receiptOf(answer)
}

// end sends a receipt back with the status of the response, as Envoy does.
func (w *world) end(receipt string, status uint64) {
	w.t.Helper()
	r := request("weir.receipt=" + receipt)
	r.Descriptors[0].HitsAddend = wrapperspb.UInt64(status)
	if answer := w.ask(r); answer.OverallCode != rls.RateLimitResponse_OK || answer.DynamicMetadata != nil || w.observed["d unmatched"] > 0 {
		w.t.Errorf("the end of a stream is answered with %v, and %d descriptors unmatched", answer, w.observed["d unmatched"])
	}
}

func (w *world) expect(counts map[string]int) {
	w.t.Helper()
	for what, want := range counts {
		if w.observed[what] != want {
			w.t.Errorf("%q was observed %d times, want %d", what, w.observed[what], want)
		}
	}
}

func TestM04_OnlySuccessesCount(t *testing.T) {
	for _, limit := range []string{"good=x", "daily=x"} {
		w := newWorld(t, endRules)
		for _, status := range []uint64{503, 400, 0, 200, 399, 204} { // 0: the client left
			w.end(w.take(limit), status)
		}
		if w.admits(limit) {
			t.Errorf("%s: a fourth request passed after three that succeeded", limit)
		}
	}
}

// Requests that are under way count, so that many at once cannot all pass.
func TestM18_ParallelRequestsCannotPassTogether(t *testing.T) {
	w := newWorld(t, endRules)
	receipts := []string{w.take("good=x"), w.take("good=x"), w.take("good=x")}
	if w.admits("good=x") {
		t.Fatal("a fourth request passed while three are under way")
	}
	w.end(receipts[1], 500)
	if w.take("good=x"); w.admits("good=x") {
		t.Error("one failure made room for two")
	}
}

func TestReceiptIsRedeemedOnce(t *testing.T) {
	w := newWorld(t, endRules)
	receipt := w.take("good=x")
	w.take("good=x")
	w.take("good=x")
	for range 3 {
		w.end(receipt, 500)
	}
	if w.take("good=x"); w.admits("good=x") {
		t.Error("one failure, told three times, made room for more than one request")
	}
	w.expect(map[string]int{"receipt redeemed": 1, "receipt repeated": 2})
}

// 100 taken in one window and given back in the next must not let 200 pass there.
func TestLateFailureGivesNothingToTheNextWindow(t *testing.T) {
	w := newWorld(t, endRules)
	receipts := []string{w.take("daily=x"), w.take("daily=x"), w.take("daily=x")}
	w.now = w.now.Add(23 * time.Hour) // the next day, not a whole day later
	for range 3 {
		w.take("daily=x")
	}
	for _, receipt := range receipts {
		w.end(receipt, 500)
	}
	if w.admits("daily=x") {
		t.Error("a failure of yesterday made room today")
	}
}

func TestC12_SlotsComeBackWithTheStream(t *testing.T) {
	w := newWorld(t, endRules)
	receipt := w.take("slots=x")
	w.take("slots=x")
	w.take("slots=x")
	if answer := w.ask(request("slots=x")); answer.OverallCode == rls.RateLimitResponse_OK || receiptOf(answer) != "" {
		t.Fatalf("a fourth request got %v", answer)
	}
	w.end(receipt, 200)
	w.end(receipt, 200) // frees nobody else's
	if w.take("slots=x"); w.admits("slots=x") {
		t.Error("one stream that ended freed two slots")
	}
	w.now = w.now.Add(60 * time.Second)
	for range 3 {
		w.take("slots=x") // those whose end was never told
	}
}

func TestG07_FiveFailuresInARowOpenTheBreaker(t *testing.T) {
	w := newWorld(t, endRules)
	for _, status := range []uint64{500, 503, 500, 502, 200, 500, 0, 429, 500, 500, 500} {
		w.end(w.take("pay=x"), status) // 200 and 429 end a run, a client that left says nothing
	}
	if !w.admits("pay=x") {
		t.Fatal("open after three failures in a row")
	}
	for range 2 {
		w.end(w.take("pay=x"), 500)
	}
	answer := w.ask(request("pay=x"))
	if answer.OverallCode == rls.RateLimitResponse_OK || headersOf(answer)["Retry-After"] != "30" {
		t.Errorf("after five failures in a row: %v", answer)
	}
}

func TestG09_HalfOpenLetsOneProbeThrough(t *testing.T) {
	for status, opens := range map[uint64]bool{500: true, 200: false} {
		w := newWorld(t, endRules)
		late := w.take("pay=x")
		for range 5 {
			w.end(w.take("pay=x"), 500)
		}
		w.now = w.now.Add(30 * time.Second)
		probe := w.take("pay=x")
		if w.admits("pay=x") {
			t.Fatal("a second probe passed")
		}
		w.end(late, 200) // admitted before it opened: says nothing
		if w.admits("pay=x") {
			t.Fatal("closed by what is no probe")
		}
		w.end(probe, status)
		if w.admits("pay=x") == opens {
			t.Errorf("after a probe that ended in %d the breaker admits: %v", status, !opens)
		}
	}
}

// A probe whose client leaves has neither succeeded nor failed.
func TestProbeThatWasLeftIsMadeAnew(t *testing.T) {
	w := newWorld(t, endRules)
	for range 5 {
		w.end(w.take("pay=x"), 500)
	}
	w.now = w.now.Add(30 * time.Second)
	w.end(w.take("pay=x"), 0)
	if !w.admits("pay=x") {
		t.Error("no second probe after the first one's client left")
	}
}

func TestReceiptOfARefusedRequestDoesNotExist(t *testing.T) {
	w := newWorld(t, endRules)
	if answer := w.ask(request("slots=x", "closed=x")); answer.OverallCode == rls.RateLimitResponse_OK || receiptOf(answer) != "" {
		t.Errorf("got %v", answer)
	}
	for range 3 {
		w.take("slots=x")
	}
}

func TestForgedAndExpiredReceiptsDoNothing(t *testing.T) {
	w := newWorld(t, endRules)
	receipt := w.take("slots=x")
	w.take("slots=x")
	w.take("slots=x")
	w.end("", 200)
	w.end("AAAA", 200)
	w.end(NewKeys([]byte("another fleet")).seal(&receipt0), 200)
	if w.admits("slots=x") {
		t.Error("a forged receipt freed a slot")
	}
	w.now = w.now.Add(time.Hour)
	w.end(receipt, 200)
	w.expect(map[string]int{"receipt forged": 3, "receipt expired": 1})
}

var receipt0 = receipt{expires: time.Unix(1<<40, 0)}

// Envoy that is not set up to send the status says only that the stream is over.
func TestReceiptWithoutAStatusOnlyFreesSlots(t *testing.T) {
	w := newWorld(t, endRules)
	for range 3 {
		receipt := receiptOf(w.ask(request("slots=x", "good=x")))
		w.ask(request("weir.receipt=" + receipt))
	}
	if w.admits("good=x") || !w.admits("slots=x") {
		t.Error("want no tokens given back for a success count, and the slots free")
	}
}

// What a stream turned out to cost is charged whatever it is, at its end, beside a
// receipt in the same call.
func TestM28_CostsKnownAtTheEndAreOwed(t *testing.T) {
	w := newWorld(t, endRules)
	settle := request("weir.end=1,tokens=x")
	settle.Descriptors[0].HitsAddend = wrapperspb.UInt64(150)
	w.ask(settle)
	if w.admits("tokens=x") {
		t.Error("admitted with a debt of 50")
	}
	w.ask(settle) // the debt is at most the burst: 100 of the 150 are written off
	w.expect(map[string]int{"d tokens settled": 2, "d tokens written off": 100})
	w.now = w.now.Add(10 * time.Second)
	if w.admits("tokens=x") {
		t.Error("admitted before the debt was paid")
	}
	w.now = w.now.Add(100 * time.Millisecond)
	if !w.admits("tokens=x") {
		t.Error("refused although the debt is paid")
	}
}

// A receipt is good for as long as its end can change something, and at most ten
// minutes: each that is redeemed is remembered that long.
func TestReceiptsExpire(t *testing.T) {
	for _, c := range []struct {
		limit string
		life  time.Duration
	}{
		{"good=x", 61 * time.Second}, // until its sub-window has left the minute
		{"daily=x", 10 * time.Minute},
		{"pay=x", 10 * time.Minute},
		{"slots=x", time.Minute},
	} {
		for _, late := range []bool{false, true} {
			w := newWorld(t, endRules)
			receipt := w.take(c.limit)
			w.now = w.now.Add(c.life)
			if late {
				w.now = w.now.Add(3 * time.Second)
			}
			w.end(receipt, 500)
			if got := w.observed["receipt expired"] == 1; got != late {
				t.Errorf("%s after %v, 3 s later %v: expired %v", c.limit, c.life, late, got)
			}
		}
	}
}

// C-18: who was held shows, and what each limit charged.
func TestC18_WaitsAndTokensAreCounted(t *testing.T) {
	w := newWorld(t, `
domain: d
descriptors: [{key: call, limits: [{name: calls, rate: 50/s, burst: 3, weight: 3, max_wait: 10s}]}]
`)
	w.take("call=x")
	w.take("call=x") // 60 ms later
	w.expect(map[string]int{"d calls allowed": 1, "d calls waited": 1, "d calls tokens": 6, "waited": 1})
}
