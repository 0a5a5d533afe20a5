package e2e

import (
	"net/http"
	"testing"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// fleetRules has a name of its own for the domain that [asker] asks of.
const fleetRules = "domain: d\ndescriptors: [{key: k, limits: [{name: k, rate: 2/hour, burst: 100}]}]"

// admittedOf counts those of n requests that are admitted.
func admittedOf(t *testing.T, weir *parts.WeirProcess, value string, n int) (admitted int) {
	t.Helper()
	ask := asker(t, weir)
	for range n {
		if ask("k", value, nil).OverallCode == rls.RateLimitResponse_OK {
			admitted++
		}
	}
	return admitted
}

// On a Cluster all that works on one server does: replicas share buckets, what is set on
// one is in force on the other, and they count each other.
func TestFleet_AClusterIsOneStore(t *testing.T) {
	nodes := partstest.Cluster(t, parts.RedisServer, 3, 0)
	args := direct(t, fleetRules, "--store", "redis", "--redis-url", "redis://"+nodes[1].Addr+"?cluster=true")
	one, other := partstest.Weir(t, weirBinary, args...), partstest.Weir(t, weirBinary, args...)
	for _, user := range []string{"a", "b", "c"} {
		if n := admittedOf(t, one, user, 60) + admittedOf(t, other, user, 60); n != 100 {
			t.Errorf("%d of 120 were admitted of %s, want 100", n, user)
		}
	}
	if status, text := put(t, "http://"+one.HTTP+"/api/v1/limits/k", `{"burst":110,"author":"ann","reason":"trial"}`); status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	eventually(t, "the change is in force on the other replica", func() bool { return metricOf(t, other, `weir_changes{state="in_force"}`) == 1 })
	if n := admittedOf(t, other, "a", 20); n != 10 {
		t.Errorf("%d of 20 were admitted after the burst was raised by 10, want 10", n)
	}
	for _, replica := range []*parts.WeirProcess{one, other} {
		eventually(t, "the replicas count each other", func() bool { return metricOf(t, replica, "weir_replicas") == 2 })
	}
}

// Sentinels make a replica the master: weir goes on there with what was used, and
// nobody is told an error meanwhile.
func TestFleet_AFailoverKeepsWhatWasUsed(t *testing.T) {
	master, _, sentinel := partstest.Sentinel(t, parts.RedisServer, "buckets")
	weir := partstest.Weir(t, weirBinary, direct(t, fleetRules, "--store", "redis", "--redis-url", "redis://"+sentinel.Addr+"?master_name=buckets", "--store-timeout", "100ms")...)
	if n := admittedOf(t, weir, "a", 60); n != 60 {
		t.Fatalf("%d of 60 were admitted before", n)
	}
	if err := partstest.Admin(t, master).Wait(t.Context(), 1, time.Second).Err(); err != nil {
		t.Fatal(err)
	}
	if err := master.Kill(); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	eventually(t, "weir notices", func() bool { admittedOf(t, weir, "another", 1); return metricOf(t, weir, "weir_store_up") == 0 })
	eventually(t, "weir asks the new master", func() bool { return metricOf(t, weir, "weir_store_up") == 1 })
	t.Logf("asked again %v after the master was killed", time.Since(begun))
	if n := admittedOf(t, weir, "a", 60); n != 40 {
		t.Errorf("%d of 60 were admitted after the failover, want the 40 that were left", n)
	}
}
