package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

func TestReload_UnderLoadDropsNoRequest(t *testing.T) {
	burst := func(n int) string { return rulesOf(fmt.Sprintf("rate: 1000000/s, burst: %d", n), plentyOf) }
	top := run(t, spec{envoys: 2, weirs: 2, redis: true, rules: burst(1000000)})
	c, got := client(t, 1), tally{}
	load := top.load(t, 8, backend)
	for i := range 8 {
		want := fmt.Sprint(1000001 + i)
		top.write(t, burst(1000001+i))
		eventually(t, "the new limit is live", func() bool {
			a := get(c, top.fronts[i%2], backend)
			got[a.status]++
			return a.header.Get("X-Ratelimit-Limit") == want
		})
		load.more(t, 100)
	}
	answers := load.end()
	if answers[200] != answers.total() {
		t.Errorf("the load was answered %v, want 200 alone", answers)
	}
	top.judged(t, got.add(answers))
	t.Logf("8 reloads under %d requests", answers.total())
}

func TestN14_ABadFileKeepsTheLastGoodRules(t *testing.T) {
	top := run(t, spec{envoys: 1, weirs: 1, rules: rulesOf(slow100, "rate: 5/hour, burst: 5")})
	user := headers{"X-User": "u"}
	got := top.send(t, 3, user)
	top.write(t, "domain: e2e\ndescriptors: [{key: user, limit: [}\n")
	eventually(t, "the fault is logged", func() bool { return strings.Contains(top.weirs[0].Output(), `"level":"ERROR"`) })
	got.add(top.send(t, 3, user))
	if got[200] != 5 || got[429] != 1 {
		t.Errorf("%v, want the bucket of 5 to go on", got)
	}
	top.judged(t, got)
}

func TestDrain_TerminatedReplicaFailsNoRequest(t *testing.T) {
	top := run(t, spec{envoys: 2, weirs: 2, redis: true, drainDelay: "2s", rules: rulesOf(plentyOf, plentyOf)})
	load := top.load(t, 16, backend)
	load.more(t, 500)
	terminated := top.weirs[0]
	if err := terminated.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the replica ends", func() bool {
		select {
		case <-terminated.Done():
			return true
		default:
			return false
		}
	})
	load.more(t, 500)
	got := load.end()
	if err := terminated.Wait(); err != nil {
		t.Errorf("the replica ended with %v", err)
	}
	if got[200] != got.total() {
		t.Errorf("%v, want 200 alone", got)
	}
	top.judged(t, got)
	t.Logf("one of two replicas terminated under %d requests", got.total())
}

// Redis dies and comes back empty, under load. Nothing becomes an error: while
// it is away each replica judges its share in memory, as on_store_error: local says.
func TestOutage_RedisGoneAndBackFailsNoRequest(t *testing.T) {
	top := run(t, spec{envoys: 1, weirs: 2, redis: true, rules: rulesOf(plentyOf, "rate: 5/hour, burst: 5")})
	load := top.load(t, 8, backend)
	load.more(t, 200)
	user := headers{"X-User": "u"}
	got := top.send(t, 10, user)
	if got[200] != 5 {
		t.Errorf("%v before the outage, want 5 of 10 passed", got)
	}
	for _, weir := range top.weirs {
		eventually(t, "the replicas count each other", func() bool { return metricOf(t, weir, "weir_replicas") == 2 })
	}
	if err := top.redis.Kill(); err != nil {
		t.Fatal(err)
	}
	asked := func(what string, up int) {
		t.Helper()
		for _, weir := range top.weirs {
			eventually(t, what, func() bool { return metricOf(t, weir, "weir_store_up") == up })
		}
	}
	asked("Redis is not asked", 0)
	load.more(t, 200)
	away, other := top.send(t, 40, user), headers{"X-User": "v"}
	if away[200] != 0 || away[429] != 40 {
		t.Errorf("%v while Redis is away, want none of who has used up his limit", away)
	}
	if got := top.send(t, 40, other); got[200] != 4 || got[429] != 36 {
		t.Errorf("%v while Redis is away, want a bucket of 2 in each of two replicas", got)
	} else {
		away.add(got)
	}
	back, err := parts.StartRedisAt(partstest.Binary(t, parts.RedisServer), top.redis.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := back.Stop(); err != nil {
			t.Error(err)
		}
	})
	asked("Redis is asked again", 1)
	after := top.send(t, 10, user)
	if after[200] != 5 {
		t.Errorf("%v after the outage, want the one bucket of an empty Redis", after)
	}
	told := top.send(t, 10, other)
	if told[200] != 1 {
		t.Errorf("%v after the outage, want the one that is left beside the 4 that were admitted in it", told)
	}
	after.add(told)
	answers := load.end()
	if answers[200] != answers.total() {
		t.Errorf("the load was answered %v, want 200 alone", answers)
	}
	top.judged(t, got.add(away).add(after).add(answers))
	t.Logf("Redis killed and restarted under %d requests", answers.total())
}

func TestKilled_EnvoysFailureModeDecides(t *testing.T) {
	for _, c := range []struct {
		name     string
		failOpen bool
		want     int
	}{{"deny", false, 500}, {"allow", true, 200}} {
		t.Run(c.name, func(t *testing.T) {
			top := run(t, spec{envoys: 1, weirs: 2, redis: true, failOpen: c.failOpen, rules: rulesOf(slow100, "rate: 1/hour, burst: 1")})
			user := headers{"X-User": "u"}
			if got := top.send(t, 2, user); got[200] != 1 || got[429] != 1 {
				t.Fatalf("%v before the fault, want one of two passed", got)
			}
			for _, weir := range top.weirs {
				if err := weir.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			got := top.send(t, 20, user)
			if got[c.want] != 20 {
				t.Errorf("%v with every weir gone, want %d alone", got, c.want)
			}
			if stats := top.stats(t); stats["error"] != 20 {
				t.Errorf("Envoy counted %v, want 20 errors", stats)
			}
		})
	}
}
