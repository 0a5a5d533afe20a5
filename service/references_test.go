package service

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/descriptors"
)

// What the systems that weir takes the place of get wrong, by the numbers that
// docs/reference/systems.md lists. Each was seen in one of them and must not come back here.

const references = `
domain: d
descriptors:
  - {key: pool, limits: [{name: pool, rate: 10/s, burst: 100}]}
  - {key: sixty, limits: [{name: sixty, algorithm: sliding_window, rate: 60/min}]}
  - {key: good, limits: [{name: good, algorithm: sliding_window, rate: 3/min, count: success}]}
  - {key: third, limits: [{name: third, rate: 1/4000ms, burst: 4, initial: empty}]}
  - key: user
    descriptors:
      - {key: group, descriptors: [{key: model, limits: [{name: both, rate: 2/min}]}]}
  - key: both
    limits:
      - {name: wide, rate: 100/min}
      - {name: narrow, rate: 1/min}
`

// A refill by a timer has no cap, makes 10 of a missing bucket, runs once for each
// process, and stops with it.
func TestS1_NothingRefillsBeyondItsCapacityNorByATimer(t *testing.T) {
	w := newWorld(t, references)
	w.mustPass(100, 150, "pool=never seen")
	w.now = w.now.Add(24 * time.Hour) // nobody ran meanwhile
	w.mustPass(100, 150, "pool=never seen")
	w.now = w.now.Add(time.Second)
	w.mustPass(10, 20, "pool=never seen")
}

// A request brings no time, so no time of its own can count.
func TestS2_N3_R3_NoTimeButTheStoresCounts(t *testing.T) {
	w := newWorld(t, references)
	w.options.Now = func() time.Time { return w.now.Add(time.Hour) } // this replica is an hour ahead
	w.mustPass(60, 70, "sixty=a")
	w.options.Now = func() time.Time { return w.now.Add(-time.Hour) }
	w.mustPass(0, 10, "sixty=a")
}

// To compare and never to deduct admits everything.
func TestS3_WhatIsJudgedIsDeducted(t *testing.T) {
	w := newWorld(t, references)
	w.mustPass(60, 1000, "sixty=a")
	w.expect(map[string]int{"d sixty tokens": 60})
}

// Refused requests count nowhere: neither at the limit that refuses (N7, R1), nor
// hidden behind its end (N2), nor at the limits beside it (R1).
func TestN2_N7_R1_RefusedRequestsCountNowhere(t *testing.T) {
	w := newWorld(t, references)
	w.mustPass(1, 300, "both=a")
	w.expect(map[string]int{"d wide tokens": 1, "d narrow tokens": 1})
	for range 3 { // 30 s each: the one request counts for a minute, however many were refused
		w.now = w.now.Add(30 * time.Second)
		w.passes(10, "both=a")
	}
	w.expect(map[string]int{"d wide tokens": 2, "d narrow tokens": 2})
}

// Whole seconds let a limit of a minute admit more within 59.9 s than it says, and
// come back in steps.
func TestN3_N5_TimeIsNotCutIntoSeconds(t *testing.T) {
	w := newWorld(t, references)
	w.mustPass(100, 150, "pool=a")
	for range 5 {
		w.now = w.now.Add(100 * time.Millisecond)
		w.mustPass(1, 3, "pool=a")
	}
	w.now = w.now.Add(99 * time.Millisecond)
	w.mustPass(0, 3, "pool=a")
	w.now = w.now.Add(time.Millisecond)
	w.mustPass(1, 3, "pool=a")
}

// A bucket that refills admits twice its limit in a little over its period: who
// means never more than 60 has a window, on both stores the same (M-11).
func TestN4_R2_NeverMoreThanTheLimitInAnyPeriod(t *testing.T) {
	w := newWorld(t, references)
	w.now = w.now.Add(59 * time.Second)
	admitted := w.passes(100, "sixty=a")
	for range 59 {
		w.now = w.now.Add(time.Second)
		admitted += w.passes(10, "sixty=a")
	}
	if admitted != 60 {
		t.Errorf("%d passed within a minute around a boundary, want 60", admitted)
	}
}

// The check and the record of it are one step, so what is at the same time cannot
// pass together; run with the race detector this is L1 too.
func TestN1_L1_AtTheSameTimeNoMorePass(t *testing.T) {
	w := newWorld(t, references)
	var group sync.WaitGroup
	var mu sync.Mutex
	admitted := 0
	for range 200 {
		group.Go(func() {
			answer, err := w.ShouldRateLimit(context.Background(), request("sixty=a"))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			} else if answer.OverallCode == rls.RateLimitResponse_OK {
				admitted++
			}
		})
	}
	group.Wait()
	if admitted != 60 {
		t.Errorf("%d of 200 at once passed a limit of 60", admitted)
	}
}

// One bucket for each user, group and model: a user with two groups mixes nothing.
func TestN10_EachUserGroupAndModelHasItsOwnBucket(t *testing.T) {
	w := newWorld(t, references)
	for _, one := range []string{"user=u,group=a,model=x", "user=u,group=b,model=x", "user=u,group=a,model=y", "user=v,group=a,model=x"} {
		w.mustPass(2, 5, one)
	}
}

// Failures do not use up what only successes should, also in memory.
func TestN11_FailuresUseUpNoSuccess(t *testing.T) {
	w := newWorld(t, references)
	for range 20 {
		w.end(w.take("good=a"), 500)
	}
	for range 3 {
		w.end(w.take("good=a"), 200)
	}
	w.mustPass(0, 3, "good=a")
}

// What is kept in memory follows the rules as they are, not as they were when the
// process started.
func TestN12_MemoryIsFreedByTheRulesOfNow(t *testing.T) {
	w := newWorld(t, references)
	store := memory.New(memory.Options{Now: func() time.Time { return w.now }})
	w.use(store)
	rules := loadRules(t, "domain: d\ndescriptors: [{key: k, limits: [{algorithm: sliding_window, rate: 5/min}]}]")
	w.options.Rules = func() *descriptors.Rules { return rules }
	for i := range 50 {
		w.mustPass(1, 1, fmt.Sprint("k=", i))
	}
	hour := loadRules(t, "domain: d\ndescriptors: [{key: k, limits: [{algorithm: sliding_window, rate: 5/hour}]}]")
	w.options.Rules = func() *descriptors.Rules { return hour }
	for i := range 25 {
		w.mustPass(1, 1, fmt.Sprint("k=", i))
	}
	w.now = w.now.Add(2 * time.Minute)
	if held := store.Held(); held != 25 {
		t.Errorf("%d windows held after two minutes, want the 25 that are of an hour now", held)
	}
	w.now = w.now.Add(2 * time.Hour)
	if held := store.Held(); held != 0 {
		t.Errorf("%d windows held after their hour", held)
	}
}

// A refusal has its body whichever store judged it.
func TestN18_ARefusalInMemoryHasABody(t *testing.T) {
	w := newWorld(t, references)
	w.mustPass(1, 1, "both=a")
	if answer := w.ask(request("both=a")); len(answer.RawBody) == 0 {
		t.Error("refused with an empty body")
	}
}

// A new bucket of a third-party API starts empty: nobody can get tokens by
// choosing a new name, and idling gives no more than it holds.
func TestL8_S1_AStartFromEmptyIsNotForever(t *testing.T) {
	w := newWorld(t, references)
	w.mustPass(0, 2, "third=api")
	w.now = w.now.Add(4 * time.Second)
	w.mustPass(1, 2, "third=api")
	w.now = w.now.Add(30 * time.Minute)
	w.mustPass(4, 10, "third=api")
}

// Floats lose tokens at high rates and many seconds: 3,333,333 a second for an
// hour is exactly that many.
func TestExactWhereFloatsAreNot(t *testing.T) {
	bucket, err := buckets.NewTokenBucket(3_333_333, time.Second, 1_000)
	if err != nil {
		t.Fatal(err)
	}
	var state buckets.State
	now, admitted := int64(1_800_000_000_000_000), int64(0)
	start := now
	for range 3_600_00 {
		charges := []buckets.Charge{{Key: "k", Bucket: bucket, Cost: 33}}
		for buckets.Judge(charges, []*buckets.State{&state}, make([]*buckets.State, 1), now)[0].Admitted {
			admitted += 33
		}
		now += 10
	}
	want := 1_000 + 3_333_333*(now-10-start)/1_000_000
	if admitted > want || admitted < want-33 {
		t.Errorf("%d tokens passed, want %d or less than one request fewer", admitted, want)
	}
}

// The first limit that refuses ends the request: there is one verdict and one body,
// whatever stands behind it.
func TestN19_ARefusalIsTheEndOfTheRequest(t *testing.T) {
	w := newWorld(t, references)
	w.mustPass(1, 1, "both=a")
	answer := w.ask(request("both=a", "sixty=a"))
	if answer.OverallCode != rls.RateLimitResponse_OVER_LIMIT || len(answer.Statuses) != 2 || len(answer.RawBody) == 0 {
		t.Errorf("answered %v", answer)
	}
	w.expect(map[string]int{"d narrow denied": 1, "d sixty not_charged": 1, "d sixty tokens": 0})
}
