package app_test

import (
	"strings"
	"testing"
	"time"

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
	eventually(t, 5*time.Second, "the warning", func() bool { return strings.Contains(evicts(), `"maxmemory_policy":"allkeys-lru"`) })
	if log := well(); strings.Contains(log, "maxmemory_policy") { // it was asked before the other one
		t.Errorf("the log is %s", log)
	}
}
