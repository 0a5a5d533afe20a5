package e2e

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/weir-rls/weir/internal/bench"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

const (
	leasedBurst    = 9600
	leasedRate     = 1800                        // tokens a second
	leasedReplicas = 3                           // of which each may have 32 tokens ahead
	leasedAhead    = leasedBurst / 100           // so many have all
	leasedWarm     = leasedRate / leasedReplicas // requests a second to each: as many as refill
	leasedRules    = `
domain: d
descriptors:
  - {key: hot, limits: [{rate: 1800/s, burst: 9600}]}
  - {key: exact, limits: [{rate: 1800/s, burst: 9600, lease: off}]}
  - {key: slow, limits: [{rate: 1/hour, burst: 9600}]}
`
)

// threeLeasing starts three weirs on one Redis, and returns when each knows of the others.
func threeLeasing(t *testing.T, redis *parts.Redis) []*parts.WeirProcess {
	t.Helper()
	var replicas []*parts.WeirProcess
	for range leasedReplicas {
		replicas = append(replicas, partstest.Weir(t, weirBinary, direct(t, leasedRules, "--store", "redis", "--redis-url", redis.URL)...))
	}
	for _, replica := range replicas {
		eventually(t, "each replica counts three", func() bool { return metricOf(t, replica, "weir_replicas") == leasedReplicas })
	}
	return replicas
}

// loadAll asks all replicas for a key, each so often a second, 0: as often as it answers,
// and counts the verdicts.
func loadAll(t *testing.T, replicas []*parts.WeirProcess, key string, perSecond int, lasts time.Duration) (verdicts map[string]int64) {
	t.Helper()
	verdicts = map[string]int64{}
	var mu sync.Mutex
	var loads sync.WaitGroup
	for _, replica := range replicas {
		loads.Go(func() {
			g, err := bench.Open(t.Context(), bench.Load{
				Target: replica.GRPC, Domain: "d", Descriptors: []string{key + "=x"}, Keys: 1, Distribution: bench.Uniform,
				InFlight: 32, Connections: 2, Rate: perSecond, Timeout: 10 * time.Second,
			})
			if err != nil {
				t.Error(err)
				return
			}
			defer g.Close()
			report, err := bench.Probe{}.Run(context.Background(), g, bench.Bound{Duration: lasts})
			mu.Lock()
			defer mu.Unlock()
			if err != nil || len(report.Errors) > 0 {
				t.Errorf("%v, %v", report.Errors, err)
			}
			for verdict, n := range report.Verdicts {
				verdicts[verdict] += n
			}
		})
	}
	loads.Wait()
	return verdicts
}

// Three replicas that all have tokens ahead, and are all asked at once for far more than
// there is, admit no more than the burst, what refills and what they had ahead; since the
// first request not even that.
func TestLeases_ThreeReplicasStayWithinTheBound(t *testing.T) {
	replicas := threeLeasing(t, partstest.Redis(t, parts.RedisServer))
	begun := time.Now()
	warm := loadAll(t, replicas, "hot", leasedWarm, 1500*time.Millisecond)
	for _, replica := range replicas {
		if metricOf(t, replica, "weir_admitted_from_lease_total") == 0 {
			t.Error("a replica has admitted nothing from a lease")
		}
	}
	stormed := time.Now()
	storm := loadAll(t, replicas, "hot", 0, 3*time.Second)
	took, all := time.Since(stormed).Seconds(), time.Since(begun).Seconds()

	most, least := leasedBurst+leasedRate*took+leasedAhead, leasedBurst*0.9+leasedRate*3-leasedAhead
	if ok := float64(storm["ok"]); ok > most || ok < least || storm["over_limit"] == 0 {
		t.Errorf("%v in %.2f s, want some refused and %.0f to %.0f admitted", storm, took, least, most)
	}
	if ok, most := float64(warm["ok"]+storm["ok"]), leasedBurst+leasedRate*all; ok > most {
		t.Errorf("%.0f admitted since the first request, %.2f s ago, more than %.0f", ok, all, most)
	}
	t.Logf("%v, then %v in %.2f s, %.0f at most", warm, storm, took, most)
}

// A limit of lease: off is asked for each time.
func TestLeases_OffMeansNone(t *testing.T) {
	replicas := threeLeasing(t, partstest.Redis(t, parts.RedisServer))
	if verdicts := loadAll(t, replicas, "exact", leasedWarm, 500*time.Millisecond); verdicts["ok"] == 0 {
		t.Errorf("%v", verdicts)
	}
	for _, replica := range replicas {
		if n := metricOf(t, replica, "weir_admitted_from_lease_total"); n != 0 {
			t.Errorf("%d were admitted from a lease", n)
		}
	}
}

// Replicas that are stopped, as in a rolling update, give back what they have ahead: not
// one token is lost.
func TestLeases_AReplicaThatStopsGivesBack(t *testing.T) {
	redis := partstest.Redis(t, parts.RedisServer)
	replicas := threeLeasing(t, redis)
	verdicts := loadAll(t, replicas, "slow", 2*leasedWarm, time.Second)
	for _, replica := range replicas {
		if metricOf(t, replica, "weir_admitted_from_lease_total") == 0 {
			t.Error("a replica has admitted nothing from a lease")
		}
		if err := replica.Stop(); err != nil {
			t.Error(err)
		}
	}
	ask := asker(t, partstest.Weir(t, weirBinary, direct(t, leasedRules, "--store", "redis", "--redis-url", redis.URL)...))
	left := int64(ask("slow", "x", nil).Statuses[0].LimitRemaining)
	if want := leasedBurst - verdicts["ok"] - 1; left != want {
		t.Errorf("%d tokens are left after %d were admitted, want %d", left, verdicts["ok"], want)
	}
}
