package e2e

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// slotsRules is a rule file with 3 slots for each job.
func slotsRules(more string) string {
	return "domain: e2e\ndescriptors: [{key: job, limits: [{name: job, algorithm: concurrency, slots: 3, " + more + "}]}]\n"
}

// job is a request that the upstream holds, before its answer or within.
func job(hold string) headers { return headers{"X-Job": "j", "X-Hold": hold} }

// free asserts that exactly 3 slots are free, by taking them.
func (top *topology) free(t *testing.T) {
	t.Helper()
	held := top.beginAll(t, 3, job("answer"))
	top.holds(t, 3)
	if fourth := settledOne(top.begin(t, 1, job("answer"))); fourth.status != 429 {
		t.Errorf("a fourth at once got %d", fourth.status)
	}
	before := top.metric(t, redeemed)
	top.letGo(t, 3)
	if got := settled(held...); got[200] != 3 {
		t.Errorf("%v, want 3 slots free", got)
	}
	top.reaches(t, redeemed, before+3)
}

func TestC12_NineAtOnceOnThreeSlotsPassInThreeWaves(t *testing.T) {
	onBothStores(t, spec{rules: slotsRules("slot_ttl: 1m, max_wait: 4s")}, func(t *testing.T, top *topology) {
		calls := top.beginAll(t, 9, job("answer"))
		for wave := range 3 {
			top.holds(t, 3)
			top.reaches(t, waitingNow, 6-3*wave)
			if served := top.served.Load(); served != int64(3*wave+3) {
				t.Errorf("wave %d: the upstream was asked %d times", wave+1, served)
			}
			before := top.metric(t, redeemed)
			began := time.Now()
			top.letGo(t, 3)
			top.reaches(t, redeemed, before+3)
			t.Logf("wave %d let go and redeemed in %v", wave+1, time.Since(began).Round(time.Millisecond))
		}
		if got := settled(calls...); got[200] != 9 {
			t.Errorf("%v, want 9 passed", got)
		}
	})
}

func TestC12_WithoutWaitingThreeOfNinePass(t *testing.T) {
	onBothStores(t, spec{rules: slotsRules("slot_ttl: 1m")}, func(t *testing.T, top *topology) {
		calls := top.beginAll(t, 9, job("answer"))
		top.holds(t, 3)
		eventually(t, "six are refused", func() bool {
			done := 0
			for _, c := range calls {
				if c.isDone() {
					done++
				}
			}
			return done == 6
		})
		top.letGo(t, 3)
		if got := settled(calls...); got[200] != 3 || got[429] != 6 {
			t.Errorf("%v, want 3 of 9 passed", got)
		}
		top.reaches(t, redeemed, 3)
		top.free(t)
	})
}

func TestC12_ClientsWhoLeaveGiveTheirSlotsBack(t *testing.T) {
	onBothStores(t, spec{rules: slotsRules("slot_ttl: 1m")}, func(t *testing.T, top *topology) {
		for i, hold := range []string{"answer", "body"} {
			calls := top.beginAll(t, 3, job(hold))
			top.holds(t, 3)
			for _, c := range calls {
				c.leave()
			}
			top.reaches(t, redeemed, 6*i+3)
			top.free(t)
		}
	})
}

// A client who leaves while waiting for a slot leaves no slot taken, whether its
// turn comes before it has gone or not.
func TestC12_AClientWhoLeavesWhileWaitingTakesNoSlot(t *testing.T) {
	onBothStores(t, spec{rules: slotsRules("slot_ttl: 1m, max_wait: 4s")}, func(t *testing.T, top *topology) {
		held := top.beginAll(t, 3, job("answer"))
		top.holds(t, 3)
		waiting := top.inTurn(t, 2, job("answer"))
		left := time.Now()
		waiting[0].leave()
		top.reaches(t, waitingNow, 1)
		if took := time.Since(left); took > 2*time.Second {
			t.Errorf("a client who left waited for another %v", took)
		}
		for _, c := range held { // they leave as those who wait for their slots do
			c.leave()
		}
		top.holds(t, 1)
		next := top.beginAll(t, 2, job("answer"))
		top.holds(t, 3)
		top.letGo(t, 3)
		if got := settled(append(next, waiting[1])...); got[200] != 3 {
			t.Errorf("%v, want 3 passed", got)
		}
	})
}

// Envoy cannot give back what it took when it dies. The slots are free when their
// time to live is over, and no earlier.
func TestC12_SlotsOfAKilledEnvoyAreFreeAfterTheirTTL(t *testing.T) {
	const ttl = 2 * time.Second
	onBothStores(t, spec{rules: slotsRules("slot_ttl: 2s")}, func(t *testing.T, top *topology) {
		began := time.Now()
		for range 3 {
			top.begin(t, 0, job("answer"))
		}
		top.holds(t, 3)
		if err := top.envoys[0].Kill(); err != nil {
			t.Fatal(err)
		}
		top.envoys, top.fronts = top.envoys[1:], top.fronts[1:]
		top.holds(t, 0)
		got := tally{}
		var passed *call
		eventually(t, "a slot is free again", func() bool {
			passed = settledOne(top.begin(t, 0, headers{"X-Job": "j"}))
			got[passed.status]++
			return passed.status == 200
		})
		if took := passed.ended.Sub(began); took < ttl || took > 2*ttl {
			t.Errorf("a slot was free after %v, want %v", took, ttl)
		}
		if got[429] == 0 || got.total() != got[429]+1 {
			t.Errorf("%v until then", got)
		}
		top.reaches(t, redeemed, 1)
		top.free(t)
	})
}

func TestC12_SlotsTakenAtOneReplicaAreGivenBackAtTheOther(t *testing.T) {
	top := run(t, spec{envoys: 2, weirs: 2, redis: true, envoy: "ends.yaml", headers: "off", drainDelay: "1s", rules: slotsRules("slot_ttl: 1m")})
	calls := top.beginAll(t, 3, job("answer"))
	top.holds(t, 3)
	gone := top.weirs[0]
	for _, weir := range top.weirs { // one that took a slot
		if metricOf(t, weir, `weir_decisions_total{domain="e2e",limit="job",outcome="allowed"}`) > 0 {
			gone = weir
		}
	}
	if err := gone.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the replica ends", func() bool { return strings.Contains(gone.Output(), `"msg":"stopped"`) })
	<-gone.Done()
	top.letGo(t, 3)
	if got := settled(calls...); got[200] != 3 {
		t.Errorf("%v", got)
	}
	top.reaches(t, redeemed, 3)
	top.free(t)
	top.neverFailed(t)
}

// Weights hold over what is in flight as they do over tokens.
func TestC14_WeightsOfLiveRequestsAddUpToTheCapacity(t *testing.T) {
	rules := `domain: e2e
passive: [api]
descriptors:
  - {key: job, limits: [{name: job, algorithm: concurrency, slots: 6, weight: {by: api, values: {a: 1, c: 3}, default: 1}}]}
`
	onBothStores(t, spec{rules: rules}, func(t *testing.T, top *topology) {
		heavy, light := job("answer"), job("answer")
		heavy["X-Api"], light["X-Api"] = "c", "a"
		first := top.beginAll(t, 1, heavy)
		top.holds(t, 1)
		three := top.beginAll(t, 3, light)
		top.holds(t, 4)
		if refused := settled(top.begin(t, 0, light), top.begin(t, 1, heavy)); refused[429] != 2 {
			t.Errorf("%v beyond 6 of 6", refused)
		}
		top.letGo(t, 4)
		if got := settled(append(first, three...)...); got[200] != 4 {
			t.Errorf("%v, want 3 + 1 + 1 + 1 to pass", got)
		}
		top.reaches(t, redeemed, 4)
		again := top.beginAll(t, 2, heavy)
		top.holds(t, 2)
		top.letGo(t, 2)
		if got := settled(again...); got[200] != 2 {
			t.Errorf("%v, want 3 + 3 to pass", got)
		}
	})
}

// Clients who leave at any moment. One who leaves when weir has answered and
// Envoy has not yet read it gets no receipt: his slot is free after its TTL.
func TestC12_NothingLeaksBeyondTheTTLInAStormOfClientsWhoLeave(t *testing.T) {
	onBothStores(t, spec{rules: slotsRules("slot_ttl: 2s")}, func(t *testing.T, top *topology) {
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				caller := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
				for range 60 {
					ctx, leave := context.WithTimeout(context.Background(), time.Duration(rand.IntN(6000))*time.Microsecond)
					getWithin(ctx, caller, top.fronts[i%2], job(""))
					leave()
				}
			})
		}
		all.Wait()
		ended := time.Now()
		eventually(t, "three of three pass", func() bool { return settled(top.beginAll(t, 3, job(""))...)[200] == 3 })
		if took := time.Since(ended); took > 6*time.Second {
			t.Errorf("the slots were free after %v, want 2 s at most", took)
		}
	})
}
