package redis_test

import (
	"strings"
	"testing"

	"github.com/weir-rls/weir/buckets/redis"
)

// go-redis ends the process for a count below nothing, and makes a place for each of a
// billion connections.
func TestOpen_RefusesCountsThatCannotBe(t *testing.T) {
	for _, query := range []string{"pool_size=-1", "pool_size=1000000000", "cluster=true&max_concurrent_dials=-1", "master_name=m&pipeline_pool_size=-2"} {
		store, err := redis.Open("redis://127.0.0.1:1?" + query)
		if err == nil {
			_ = store.Close()
			t.Errorf("%s opens a store", query)
		} else if !strings.Contains(err.Error(), "write a number from 0 to") {
			t.Errorf("%s: %v", query, err)
		}
	}
}
