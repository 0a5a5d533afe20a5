package buckets_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-rls/weir/buckets"
)

// payment is the breaker of the stories: 5 failures in a row open it for 30 s,
// then two trial requests decide.
var payment = buckets.Breaker{Failures: 5, OpenFor: 30 * second, Probes: 2, ProbeTTL: 10 * second}

func (b *bench) call(lease string) buckets.Outcome {
	return b.one(buckets.Charge{Key: "k", Bucket: payment, Cost: 1, Lease: lease})
}

func (b *bench) ends(lease string, failed int64) {
	b.one(buckets.Charge{Key: "k", Bucket: payment, Cost: failed, Lease: lease, Mode: buckets.Settle})
}

// told tells the end of a request that was admitted at an instant.
func (b *bench) told(lease string, failed, at int64) {
	b.one(buckets.Charge{Key: "k", Bucket: payment, Cost: failed, Lease: lease, Mode: buckets.Settle, At: at})
}

// until is when the breaker need not be kept any more.
func (b *bench) until() int64 { return buckets.Until(payment, b.states["k"]) }

// recovers lets the breaker close by its probes, as soon as it may.
func (b *bench) recovers() {
	b.now += payment.OpenFor
	for i := range payment.Probes {
		lease := fmt.Sprint("probe", i)
		b.call(lease)
		b.told(lease, 0, b.now)
	}
}

// trip opens the breaker.
func (b *bench) trip() {
	for i := range payment.Failures {
		b.ends(fmt.Sprint(i), 1)
	}
}

// TestG07_FiveFailuresInARowOpen, and a success in between begins the count anew.
func TestG07_FiveFailuresInARowOpen(t *testing.T) {
	b := newBench(midnight)
	for _, failed := range []int64{1, 1, 1, 1, 0, 1, 1, 1, 1} {
		if !b.call("a").Admitted {
			t.Fatal("refused before five failures in a row")
		}
		b.ends("a", failed)
	}
	if !b.call("a").Admitted {
		t.Fatal("a success in between did not begin the count anew")
	}
	b.ends("a", 1)
	if o := b.call("a"); o.Admitted || o.Delay != 30*time.Second || o.Reset != 30*time.Second {
		t.Fatalf("%+v after five failures in a row, want a refusal for 30s", o)
	}
}

// TestG08_OpenRefusesUntilItsTimeIsOver, whatever is told meanwhile of requests
// from before.
func TestG08_OpenRefusesUntilItsTimeIsOver(t *testing.T) {
	b := newBench(midnight)
	b.trip()
	for range 10 {
		b.now += 3*second - 1
		if b.call("a").Admitted {
			t.Fatal("an open breaker admits")
		}
		b.ends("a", 1)
		b.ends("b", 0)
	}
	b.now += 10
	if o := b.call("a"); !o.Admitted {
		t.Fatalf("still refused when its time is over: %+v", o)
	}
}

// TestG09_HalfOpenLetsAFewTry: as many as there are probes, until all succeed, or
// one fails.
func TestG09_HalfOpenLetsAFewTry(t *testing.T) {
	for _, fails := range []bool{false, true} {
		b := newBench(midnight)
		b.trip()
		b.now += payment.OpenFor
		if !b.call("a").Admitted || !b.call("b").Admitted || b.call("c").Admitted {
			t.Fatal("a half-open breaker does not admit exactly two")
		}
		b.ends("c", 1) // was no probe
		b.ends("a", 0)
		if b.call("c").Admitted {
			t.Fatal("a probe that succeeded makes room for a third")
		}
		if fails {
			b.ends("b", 1)
			if o := b.call("d"); o.Admitted || o.Delay != 30*time.Second {
				t.Fatalf("%+v after a probe failed, want it open anew for 30s", o)
			}
			continue
		}
		b.ends("b", 0)
		for i := range 100 {
			if !b.call(fmt.Sprint(i)).Admitted {
				t.Fatal("refused although all probes succeeded")
			}
		}
	}
}

// TestG09_AProbeThatIsNeverToldOfIsGivenUp: its caller crashed. What is told of it
// after that says nothing.
func TestG09_AProbeThatIsNeverToldOfIsGivenUp(t *testing.T) {
	b := newBench(midnight)
	b.trip()
	b.now += payment.OpenFor
	b.call("a")
	b.call("b")
	b.now += payment.ProbeTTL - 1
	if b.call("c").Admitted {
		t.Fatal("a probe was given up before its time")
	}
	b.now++
	if !b.call("c").Admitted {
		t.Fatal("a probe that nobody tells of is never given up")
	}
	b.ends("a", 1)
	if !b.call("d").Admitted {
		t.Fatal("what is told of a probe that was given up opened the breaker")
	}
}

// TestBreakerProbesAreBounded: whatever callers do and the clock does, no more
// probes are out at a time than there may be, an open breaker admits nothing, and
// only what ends while it is closed or is a probe moves it.
func TestBreakerProbesAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBench(midnight)
		b.trip()
		opened := b.now + payment.OpenFor
		out := map[string]int64{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			b.now += rapid.SampledFrom([]int64{0, 0, second, 10 * second, 30 * second, -5 * second}).Draw(t, "pause")
			opened = min(opened, b.now+payment.OpenFor)
			id := fmt.Sprint(rapid.IntRange(0, 5).Draw(t, "lease"))
			for id, givenUp := range out {
				if out[id] = min(givenUp, b.now+payment.ProbeTTL); givenUp <= b.now {
					delete(out, id)
				}
			}
			if _, probe := out[id]; rapid.Bool().Draw(t, "ends") {
				b.ends(id, 1)
				if probe && b.now >= opened {
					opened, out = b.now+payment.OpenFor, map[string]int64{}
				}
				continue
			}
			o := b.call(id)
			if o.Admitted && b.now < opened || o.Admitted && len(out) >= int(payment.Probes) {
				t.Fatalf("%+v, open for %d us more and with the probes %v out", o, opened-b.now, out)
			}
			if o.Admitted {
				out[id] = b.now + payment.ProbeTTL
			}
		}
	})
}

// TestBreakerRequestAdmittedBesideTheFailureThatOpensIsNoProbe: one call may tell
// of an end and ask anew; what it asked passed while the breaker was closed.
func TestBreakerRequestAdmittedBesideTheFailureThatOpensIsNoProbe(t *testing.T) {
	b := newBench(midnight)
	for i := range payment.Failures - 1 {
		b.ends(fmt.Sprint(i), 1)
	}
	both := b.ask(
		buckets.Charge{Key: "k", Bucket: payment, Cost: 1, Lease: "a"},
		buckets.Charge{Key: "k", Bucket: payment, Cost: 1, Lease: "b", Mode: buckets.Settle},
	)
	if !both[0].Admitted || both[0].Reset != 30*time.Second {
		t.Fatalf("%+v, want it admitted and the breaker open", both)
	}
	b.now += second
	b.ends("a", 1)
	b.now += 29 * second
	if !b.call("c").Admitted || !b.call("d").Admitted {
		t.Fatal("what was admitted before the breaker opened counts as a probe")
	}
}

// TestG07_WhatWasAdmittedBeforeItOpenedSaysNothing: of 20 in flight 5 fail and open
// it, two probes close it, and 5 more of the 20 fail. A success among them does not
// end a run of failures either.
func TestG07_WhatWasAdmittedBeforeItOpenedSaysNothing(t *testing.T) {
	b := newBench(midnight)
	admitted := b.now
	b.now += second
	b.trip()
	b.recovers()
	for _, late := range []int64{0, payment.OpenFor, 59 * 60 * second} {
		b.now += late
		for i := range 5 {
			b.told(fmt.Sprint(i), 1, admitted)
		}
		if !b.call("a").Admitted {
			t.Fatalf("opened %d us after it closed, by requests from before it opened", late)
		}
	}
	b.now++
	for range payment.Failures - 1 {
		b.told("a", 1, b.now)
	}
	b.told("b", 0, admitted)
	b.told("a", 1, b.now)
	if b.call("a").Admitted {
		t.Fatal("a success from before it opened ended a run of failures")
	}
}

// TestG09_WhatIsAdmittedOnceItClosedCounts, from the instant on in which it closed,
// and so does an end of which nobody knows when it was admitted.
func TestG09_WhatIsAdmittedOnceItClosedCounts(t *testing.T) {
	for name, at := range map[string]func(closed int64) int64{
		"admitted in the instant in which it closed": func(closed int64) int64 { return closed },
		"admitted at no known instant":               func(int64) int64 { return 0 },
	} {
		b := newBench(midnight)
		b.trip()
		b.recovers()
		closed := b.now
		b.now += 3 * second
		for range payment.Failures {
			b.told("a", 1, at(closed))
		}
		if b.call("b").Admitted {
			t.Errorf("five failures of requests %s did not open it", name)
		}
	}
}

// TestG09_AProbeThatWasGivenUpSaysNothingOnceItClosed: other probes decided.
func TestG09_AProbeThatWasGivenUpSaysNothingOnceItClosed(t *testing.T) {
	b := newBench(midnight)
	b.trip()
	b.now += payment.OpenFor
	b.call("slow")
	slow := b.now
	b.now += payment.ProbeTTL
	b.recovers()
	for range payment.Failures {
		b.told("slow", 1, slow)
	}
	if !b.call("a").Admitted {
		t.Fatal("a probe that was given up opened the breaker after others closed it")
	}
}

// TestG07_ForgottenItSaysTheSame: once a breaker that closed may be forgotten, what
// was admitted before is too old to count, held or not.
func TestG07_ForgottenItSaysTheSame(t *testing.T) {
	b := newBench(midnight)
	admitted := b.now
	b.trip()
	b.recovers()
	b.now = b.until()
	for _, forgotten := range []bool{false, true} {
		if forgotten {
			delete(b.states, "k")
		}
		for range payment.Failures {
			b.told("a", 1, admitted)
		}
		if !b.call("a").Admitted {
			t.Fatalf("an hour after it closed a request from before it opened counts; forgotten: %v", forgotten)
		}
	}
}

// TestBreakerThatTheClockLeftBehindStillOpens: after the clock went back it does not
// take all that is admitted for older than its closing.
func TestBreakerThatTheClockLeftBehindStillOpens(t *testing.T) {
	b := newBench(midnight)
	b.trip()
	b.recovers()
	b.now -= 3000 * second
	for range payment.Failures {
		if !b.call("a").Admitted {
			t.Fatal("refused before five failures in a row")
		}
		b.told("a", 1, b.now)
	}
	if b.call("a").Admitted {
		t.Fatal("five failures in a row did not open it")
	}
}

// TestReloadLeavesNoBreakerStuck: whatever is lowered while it is half-open, it
// closes or asks for another probe when it is next looked at.
func TestReloadLeavesNoBreakerStuck(t *testing.T) {
	three := payment
	three.Probes, three.OpenFor, three.ProbeTTL = 3, 3600*second, 3600*second
	for _, c := range []struct {
		name           string
		succeeded, out int
		admitted       bool
	}{
		{"as many as are wanted succeeded", 2, 0, true},
		{"as many succeeded and one is out", 2, 1, true},
		{"one succeeded, two are out, of which nobody tells", 1, 2, false},
		{"one succeeded", 1, 0, true},
	} {
		b := newBench(midnight)
		was := func(lease string, mode buckets.Mode, cost int64) {
			b.one(buckets.Charge{Key: "k", Bucket: three, Cost: cost, Lease: lease, Mode: mode})
		}
		for i := range payment.Failures {
			was(fmt.Sprint(i), buckets.Settle, 1)
		}
		b.now += three.OpenFor
		for i := range c.succeeded + c.out {
			was(fmt.Sprint(i), buckets.Take, 1)
		}
		for i := range c.succeeded {
			was(fmt.Sprint(i), buckets.Settle, 0)
		}
		if got := b.call("new").Admitted; got != c.admitted {
			t.Errorf("%s: admitted %v after the reload, want %v", c.name, got, c.admitted)
		}
		b.now += payment.ProbeTTL
		if !b.call("another").Admitted {
			t.Errorf("%s: refused once the probes are given up", c.name)
		}
	}
}

// TestReloadShortensWhatABreakerWaitsFor: a shorter open_for counts from when it is heard of, and
// fewer failures than there were open it at the next one.
func TestReloadShortensWhatABreakerWaitsFor(t *testing.T) {
	b := newBench(midnight)
	long := payment
	long.OpenFor, long.Failures = 24*3600*second, 10
	for range payment.Failures + 2 {
		b.one(buckets.Charge{Key: "k", Bucket: long, Cost: 1, Mode: buckets.Settle})
	}
	if !b.call("a").Admitted {
		t.Fatal("a reload alone opened it")
	}
	b.ends("a", 1)
	if b.call("a").Admitted {
		t.Fatal("not open after more failures than it tolerates now")
	}
	long.Failures = 1
	b.one(buckets.Charge{Key: "k2", Bucket: long, Cost: 1, Mode: buckets.Settle})
	if o := b.one(buckets.Charge{Key: "k2", Bucket: payment, Cost: 1}); o.Admitted || o.Delay != 30*time.Second {
		t.Fatalf("%+v after open_for fell from a day to 30s", o)
	}
}

// TestBreakerIsForgottenAnHourAfterItWasTouchedOrOpen: who rotates the values of a
// descriptor leaves a breaker for each of them behind.
func TestBreakerIsForgottenAnHourAfterItWasTouchedOrOpen(t *testing.T) {
	const hour = 3600 * second
	b := newBench(midnight)
	b.ends("a", 1)
	if got := b.until() - b.now; got != hour {
		t.Errorf("after one failure it is kept for %d us, want an hour", got)
	}
	b.ends("a", 0)
	if !b.states["k"].Empty() {
		t.Error("kept after a success")
	}
	b.trip()
	if got := b.until() - b.now; got != payment.OpenFor+hour {
		t.Errorf("open it is kept for %d us, want open_for and an hour", got)
	}
	b.recovers()
	if got := b.until() - b.now; b.states["k"].Empty() || got != hour {
		t.Errorf("closed again it is kept for %d us, want an hour", got)
	}
}
