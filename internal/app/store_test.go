package app_test

import (
	"strings"
	"testing"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// A Redis that may evict buckets hands out bursts.
func TestARedisThatEvictsIsWarnedOf(t *testing.T) {
	logOf := func(policy string) func() string {
		redis := partstest.Redis(t, parts.RedisServer, "--maxmemory-policy", policy)
		r := start(t, oneRule, func(s *config.Settings) { s.Store, s.RedisURL = config.StoreRedis, config.RedisURL(redis.URL) })
		return r.log.String
	}
	well, evicts := logOf("noeviction"), logOf("allkeys-lru")
	partstest.Eventually(t, 5*time.Second, "the warning", func() bool { return strings.Contains(evicts(), `"maxmemory_policy":"allkeys-lru"`) })
	if log := well(); strings.Contains(log, "maxmemory_policy") { // it was asked before the other one
		t.Errorf("the log is %s", log)
	}
}

// A replica that waits for its store takes no traffic before the store has answered once,
// and a store that goes away afterwards does not make it unready.
func TestAReplicaCanWaitForItsStore(t *testing.T) {
	addr, err := parts.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	waits := start(t, oneRule, func(s *config.Settings) {
		s.Store, s.RedisURL, s.WaitForStore = config.StoreRedis, config.RedisURL("redis://"+addr), true
	})
	ready := func() bool {
		serving := waits.serving() == healthpb.HealthCheckResponse_SERVING // asked first: the page says so not later
		status, page := waits.get("/readyz")
		if status != 200 && !strings.Contains(page, "--wait-for-store") {
			t.Errorf("%d: %s", status, page)
		}
		if serving && status != 200 {
			t.Errorf("health checks say %v, the page says %d", serving, status)
		}
		return status == 200
	}
	partstest.Eventually(t, 5*time.Second, "the warning", func() bool { return strings.Contains(waits.log.String(), "is waited for") })
	if ready() {
		t.Error("it is ready without its store")
	}
	redis, err := parts.StartRedisAt(partstest.Binary(t, parts.RedisServer), addr)
	if err != nil {
		t.Fatal(err)
	}
	partstest.Eventually(t, 5*time.Second, "it is ready", func() bool { return ready() && waits.serving() == healthpb.HealthCheckResponse_SERVING })
	if err := redis.Stop(); err != nil {
		t.Error(err)
	}
	partstest.Eventually(t, 5*time.Second, "it serves without its store", func() bool {
		answer, err := waits.call(wire("d", "user", "a"))
		return err == nil && answer != nil && waits.metric(`weir_degraded_decisions_total{by="local"}`) > 0
	})
	if !ready() {
		t.Error("an outage made it unready")
	}
}
