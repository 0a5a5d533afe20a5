package service

import (
	"fmt"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/descriptors"
)

const paymentRules = `
domain: d
descriptors:
  - key: pay
    breaker: {failures: 5, open_for: 30s, probes: %d}
`

// Of 20 in flight 5 fail and open the breaker, a probe closes it, and the receipts
// of the other 15 fail too: they were admitted before it opened. Receipts of
// requests that were admitted since open it.
func TestG07_ReceiptsFromBeforeItOpenedSayNothing(t *testing.T) {
	w := newWorld(t, fmt.Sprintf(paymentRules, 1))
	take := func() (receipts []string) {
		for range 20 {
			receipts = append(receipts, w.take("pay=x"))
		}
		return receipts
	}
	fail := func(receipts []string) {
		for _, r := range receipts {
			w.end(r, 503)
		}
	}
	inFlight := take()
	w.now = w.now.Add(time.Second)
	if fail(inFlight[:5]); w.admits("pay=x") {
		t.Fatal("five failures did not open it")
	}
	w.now = w.now.Add(30 * time.Second)
	w.end(w.take("pay=x"), 200)
	since := take()
	fail(inFlight[5:])
	if !w.admits("pay=x") {
		t.Error("requests from before it opened opened it again")
	}
	if fail(since[:5]); w.admits("pay=x") {
		t.Error("five failures of requests admitted since it closed did not open it")
	}
}

// A reload that asks for one probe where two succeeded closes the breaker.
func TestReloadOfProbesClosesABreaker(t *testing.T) {
	w := newWorld(t, fmt.Sprintf(paymentRules, 3))
	for range 5 {
		w.end(w.take("pay=x"), 503)
	}
	w.now = w.now.Add(30 * time.Second)
	w.end(w.take("pay=x"), 200)
	w.end(w.take("pay=x"), 200)
	fewer := loadRules(t, fmt.Sprintf(paymentRules, 1))
	w.options.Rules = func() *descriptors.Rules { return fewer }
	for i := range 10 {
		if !w.admits("pay=x") {
			t.Fatalf("request %d is refused after the reload", i+1)
		}
	}
}

// Who rotates values, each with a failure, leaves nothing behind after an hour.
func TestBreakersOfRotatedValuesAreForgotten(t *testing.T) {
	w := newWorld(t, fmt.Sprintf(paymentRules, 1))
	store := w.store.(*memory.Store)
	for i := range 100 {
		w.end(w.take(fmt.Sprintf("pay=%d", i)), 503)
	}
	if n := store.Held(); n < 100 {
		t.Fatalf("%d buckets are held, want the failures of all 100 values", n)
	}
	w.now = w.now.Add(time.Hour)
	if n := store.Held(); n != 0 {
		t.Errorf("%d buckets are held an hour later", n)
	}
}
