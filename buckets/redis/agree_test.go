package redis_test

import (
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-rls/weir/buckets/redis"
)

// Replicas that disagree on the key of their receipts cannot redeem each other's.
func TestReplicasAgreeOnTheFirstProposal(t *testing.T) {
	onServers(t, func(t *testing.T, s *redis.Store, admin *goredis.Client) {
		for i, proposal := range []string{"\x00first", "second"} {
			got, err := s.Agree(t.Context(), "key", []byte(proposal))
			if err != nil || string(got) != "\x00first" {
				t.Errorf("proposal %d: %q, %v, want the first one", i, got, err)
			}
		}
		if ttl := admin.TTL(t.Context(), "key").Val(); ttl != -1 {
			t.Errorf("what was agreed on is forgotten after %v", ttl)
		}
		admin.Del(t.Context(), "key")
		if got, err := s.Agree(t.Context(), "key", []byte("third")); err != nil || string(got) != "third" {
			t.Errorf("after a loss %q, %v, want the next proposal", got, err)
		}
	})
}
