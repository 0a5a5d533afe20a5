package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// waitingRules is a rule file with one limit for each user.
func waitingRules(limit string) string {
	return "domain: e2e\ndescriptors: [{key: user, limits: [{name: user, " + limit + "}]}]\n"
}

var waiter = headers{"X-User": "u"}

// inTurn begins n calls, each after the one before it waits.
func (top *topology) inTurn(t *testing.T, n int, h headers) []*call {
	t.Helper()
	calls, before := make([]*call, n), top.metric(t, waitingNow)
	for i := range calls {
		calls[i] = top.begin(t, i, h)
		top.reaches(t, waitingNow, before+i+1)
	}
	return calls
}

// neverEarly asserts that the calls passed in their order, the i-th not before
// i+1 periods after the first token was taken, which was after since.
func neverEarly(t *testing.T, calls []*call, since time.Time, period time.Duration) {
	t.Helper()
	last := since
	for i, c := range calls {
		<-c.done
		took, least := c.ended.Sub(since), time.Duration(i+1)*period
		if c.status != 200 || took < least || c.ended.Before(last) {
			t.Errorf("caller %d: status %d after %v, want 200 after at least %v and after the caller before", i+1, c.status, took, least)
		}
		t.Logf("caller %d: %d after %v, token due at %v", i+1, c.status, took.Round(time.Millisecond), least)
		last = c.ended
	}
}

func TestW02_W03_W12_CallersWaitForTheirTokensFirstComeFirstServed(t *testing.T) {
	onBothStores(t, spec{rules: waitingRules("rate: 2/s, burst: 1, max_wait: 4s")}, func(t *testing.T, top *topology) {
		first := settledOne(top.begin(t, 0, waiter))
		if took := first.ended.Sub(first.began); first.status != 200 || took > 400*time.Millisecond {
			t.Errorf("the token that was there took %v: %d", took, first.status)
		}
		neverEarly(t, top.inTurn(t, 3, waiter), first.began, 500*time.Millisecond)
		top.reaches(t, waitingNow, 0)
	})
}

// settledOne is a call that was answered.
func settledOne(c *call) *call {
	<-c.done
	return c
}

func TestC15_AFullQueueAndAWaitTooLongAreRefusedAtOnce(t *testing.T) {
	t.Run("queue", func(t *testing.T) {
		onBothStores(t, spec{rules: waitingRules("rate: 5/4s, burst: 1, max_wait: 4s, max_waiters: 3")}, func(t *testing.T, top *topology) {
			calls := top.beginAll(t, 12, waiter)
			got, soonest, refused := settled(calls...), time.Now(), time.Time{}
			for _, c := range calls {
				switch took := c.ended.Sub(c.began); {
				case c.status == 429 && c.ended.After(refused):
					refused = c.ended
				case c.status == 200 && took > 600*time.Millisecond && c.ended.Before(soonest):
					soonest = c.ended
				}
			}
			// One passes and three wait; with two replicas three wait in each, but no
			// longer than 4 s: five.
			least, most := 4, 4
			if len(top.weirs) == 2 {
				most = 6
			}
			if got[200] < least || got[200] > most || got[200]+got[429] != 12 {
				t.Errorf("%v, want %d to %d of 12 passed", got, least, most)
			}
			if refused.After(soonest) {
				t.Errorf("a refusal came %v after the first of those who wait passed", refused.Sub(soonest))
			}
		})
	})
	t.Run("max_wait", func(t *testing.T) {
		onBothStores(t, spec{rules: waitingRules("rate: 1/s, burst: 1, max_wait: 1500ms")}, func(t *testing.T, top *topology) {
			first := settledOne(top.begin(t, 0, waiter))
			second := top.inTurn(t, 1, waiter)[0]
			refused := settledOne(top.begin(t, 1, waiter))
			if refused.status != 429 || second.isDone() || refused.header.Get("Retry-After") != "2" {
				t.Errorf("who would have to wait 2 s got %d, Retry-After %q", refused.status, refused.header.Get("Retry-After"))
			}
			<-second.done
			third := top.begin(t, 0, waiter) // refused, nothing was taken: the token of the third second is there
			neverEarly(t, []*call{second, third}, first.began, time.Second)
			if took := third.ended.Sub(first.began); took > 2900*time.Millisecond {
				t.Errorf("the third caller passed after %v, want about 2 s", took)
			}
		})
	})
}

// A caller who leaves burns no token, and lets nobody in too early.
func TestW13_TheNextCallerTakesThePlaceOfOneWhoLeft(t *testing.T) {
	for _, c := range []struct {
		name    string
		leaves  int // of three callers who wait
		one     bool
		periods []int // at which the others pass, with a newcomer
	}{
		{"last", 2, false, []int{1, 2, 3}},
		{"in the middle", 1, true, []int{1, 2, 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			onBothStores(t, spec{rules: waitingRules("rate: 2/s, burst: 1, max_wait: 2s, max_waiters: 3"), onlyReplica: c.one}, func(t *testing.T, top *topology) {
				first := settledOne(top.begin(t, 0, waiter))
				calls := top.inTurn(t, 3, waiter)
				calls[c.leaves].leave()
				top.reaches(t, waitingNow, 2)
				calls = append(append(calls[:c.leaves:c.leaves], calls[c.leaves+1:]...), top.inTurn(t, 1, waiter)...)
				neverEarly(t, calls, first.began, 500*time.Millisecond)
				if took := calls[2].ended.Sub(first.began); took > 1950*time.Millisecond {
					t.Errorf("the newcomer passed after %v, want about 1.5 s, when the one who left would have", took)
				}
				if served := top.served.Load(); served != 4 {
					t.Errorf("the upstream served %d, want the 4 who stayed", served)
				}
			})
		})
	}
}

func TestC11_NobodyIsHeldBeyondTheFiltersDeadline(t *testing.T) {
	rules := waitingRules("rate: 1/2s, burst: 1, max_wait: 1m")
	onBothStores(t, spec{timeout: "1s", rules: rules}, func(t *testing.T, top *topology) {
		first := settledOne(top.begin(t, 0, waiter))
		second := settledOne(top.begin(t, 1, waiter))
		if second.status != 429 || second.ended.Sub(second.began) > 900*time.Millisecond {
			t.Errorf("who would have to wait 2 s with a timeout of 1 s got %d after %v, want 429 at once", second.status, second.ended.Sub(second.began))
		}
		// The token is there 0.5 s from then on, well within the deadline: at its edge a stall of
		// the machine would have Envoy leave.
		time.Sleep(time.Until(first.began.Add(1500 * time.Millisecond)))
		passed := settledOne(top.begin(t, 0, waiter))
		if took := passed.ended.Sub(first.began); passed.status != 200 || took < 2*time.Second || took > 3900*time.Millisecond {
			t.Errorf("the second token came with %d after %v, want about 2 s: the refusal reserved nothing", passed.status, took)
		}
	})
}

// What meets several limits is held until all of them admit it, and takes
// nothing of one while it waits for the other.
func TestC11_SeveralLimitsAreWaitedForAsAWhole(t *testing.T) {
	rules := `domain: e2e
descriptors:
  - {key: user, limits: [{name: user, rate: 2/s, burst: 1, max_wait: 4s}]}
  - {key: api, limits: [{name: api, rate: 3/hour, burst: 3}]}
`
	onBothStores(t, spec{rules: rules}, func(t *testing.T, top *topology) {
		both := headers{"X-User": "u", "X-Api": "a"}
		first := settledOne(top.begin(t, 0, both))
		calls := top.inTurn(t, 2, both)
		if got := settled(top.begin(t, 1, headers{"X-Api": "a"})); got[200] != 1 {
			t.Errorf("%v: those who wait for the user's token took of the api's", got)
		}
		got := settled(calls...)
		if got[200] != 1 || got[429] != 1 {
			t.Errorf("%v, want one of the two to find the api's third token", got)
		}
		for _, c := range calls {
			if took := c.ended.Sub(first.began); c.status == 200 && took < 500*time.Millisecond {
				t.Errorf("passed after %v, before the user's token was there", took)
			}
		}
	})
}

func TestDrain_AnswersThoseWhoWait(t *testing.T) {
	rules := `domain: e2e
descriptors:
  - {key: user, limits: [{name: user, rate: 1/2s, burst: 1, max_wait: 30s}]}
  - {key: job, limits: [{name: job, algorithm: concurrency, slots: 1, max_wait: 30s}]}
`
	onBothStores(t, spec{rules: rules, drainDelay: "1s", timeout: "20s"}, func(t *testing.T, top *topology) {
		held := top.begin(t, 0, headers{"X-Job": "j", "X-Hold": "answer"})
		top.holds(t, 1)
		first := settledOne(top.begin(t, 0, waiter))
		calls := append(top.inTurn(t, 3, waiter), top.inTurn(t, 3, headers{"X-Job": "j"})...)
		ended := top.weirs[0]
		theirs := metricOf(t, ended, waitingNow)
		if err := ended.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the replica ends", func() bool {
			select {
			case <-ended.Done():
				return true
			default:
				return false
			}
		})
		if took := time.Since(first.began); took > 10*time.Second {
			t.Errorf("the drain took %v: it waited for its callers", took)
		}
		if err := ended.Wait(); err != nil {
			t.Errorf("the replica ended with %v", err)
		}
		if strings.Contains(ended.Output(), "cut off") {
			t.Error("calls were cut off")
		}
		answered := 0
		for _, c := range calls {
			if c.isDone() {
				answered++
			}
		}
		if answered < theirs {
			t.Errorf("%d of %d callers of the replica were answered", answered, theirs)
		}
		top.letGo(t, 1)
		got := settled(append(calls, held)...)
		if got[200]+got[429] != 7 {
			t.Errorf("%v, want 200 and 429 alone", got)
		}
		for _, c := range calls {
			if wait, err := strconv.Atoi(c.header.Get("Retry-After")); c.status == 429 && c.header.Get("Retry-After") != "" && (err != nil || wait > 12) {
				t.Errorf("Retry-After is %q", c.header.Get("Retry-After"))
			}
		}
		t.Log(fmt.Sprint(answered, " answered by the drain, then ", got))
	})
}
