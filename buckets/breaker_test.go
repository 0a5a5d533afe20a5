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
				if givenUp <= b.now {
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
