package redis_test

import (
	"net"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/redis"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// A master that is made a replica refuses all writes, and takes them again when it is
// made a master.
func TestChaos_AMasterIsAReplicaForAWhile(t *testing.T) {
	onServers(t, func(t *testing.T, s *redis.Store, admin *goredis.Client) {
		l := startSteady(t, s, true, manyKeysOfOneSlot(30)...)
		time.Sleep(300 * time.Millisecond)
		must(t, admin.ReplicaOf(t.Context(), "127.0.0.1", "1").Err())
		until(t, "calls fail", func() bool { return l.saw("READONLY") != nil && l.guard.Open() })
		time.Sleep(300 * time.Millisecond)
		must(t, admin.ReplicaOf(t.Context(), "no", "one").Err())
		writable := time.Now()
		recovered := l.wellSince(writable)
		l.settle("a master is a replica for a while, "+name(t), nil, recovered)
		if err := l.saw("READONLY"); !redis.Outage(err) || recovered > 2*time.Second {
			t.Errorf("recovered after %v from %v, an outage: %v", recovered, err, redis.Outage(err))
		}
	})
}

// A server that loads its data is one that is away.
func TestChaos_AServerLoadsItsData(t *testing.T) {
	for _, part := range servers {
		t.Run(part.String(), func(t *testing.T) {
			dir := t.TempDir()
			server := partstest.Redis(t, part, "--dir", dir)
			l := startSteady(t, open(t, server.URL), true, manyKeysOfOneSlot(30)...)
			admin := partstest.Admin(t, server)
			for i := range 3000 {
				must(t, admin.Set(t.Context(), manyKeys(i + 1)[i], "", 0).Err())
			}
			_ = admin.ShutdownSave(t.Context()).Err()
			<-server.Done()
			// It answers pings only when it has loaded, so that it is waited for here.
			again, err := parts.StartRedisAt(partstest.Binary(t, part), server.Addr, "--dir", dir, "--key-load-delay", "300", "--loading-process-events-interval-bytes", "1024")
			must(t, err)
			t.Cleanup(func() { _ = again.Stop() })
			loaded := time.Now()
			recovered := l.wellSince(loaded)
			l.settle("a server loads its data, "+part.String(), nil, recovered)
			if err := l.saw("LOADING"); err == nil || !redis.Outage(err) || recovered > 2*time.Second {
				t.Errorf("recovered after %v from %v, want that the server was loading and counted as away", recovered, l.seen)
			}
		})
	}
}

// Without memory nothing is written, so nothing is admitted.
func TestChaos_AServerHasNoMemoryLeft(t *testing.T) {
	onServers(t, func(t *testing.T, s *redis.Store, admin *goredis.Client) {
		l := startSteady(t, s, true, manyKeysOfOneSlot(30)...)
		time.Sleep(300 * time.Millisecond)
		must(t, admin.ConfigSet(t.Context(), "maxmemory", "1").Err())
		until(t, "calls fail", func() bool { return l.saw("OOM") != nil && l.guard.Open() })
		must(t, admin.ConfigSet(t.Context(), "maxmemory", "0").Err())
		enough := time.Now()
		recovered := l.wellSince(enough)
		l.settle("a server has no memory left, "+name(t), nil, recovered)
		if err := l.saw("OOM"); !redis.Outage(err) || recovered > 2*time.Second {
			t.Errorf("recovered after %v from %v", recovered, err)
		}
	})
}

// Sentinels make another server the master while the old one lives and becomes its
// replica. What the old one admits between is lost, and nothing else.
func TestChaos_SentinelsMakeAReplicaTheMaster(t *testing.T) {
	for _, part := range servers {
		t.Run(part.String(), func(t *testing.T) {
			master, _, sentinel := partstest.Sentinel(t, part, "buckets")
			l := startSteady(t, open(t, "redis://"+sentinel.Addr+"?master_name=buckets"), true, manyKeysOfOneSlot(30)...)
			time.Sleep(300 * time.Millisecond)
			watches := goredis.NewSentinelClient(&goredis.Options{Addr: sentinel.Addr, DisableIdentity: true})
			defer func() { _ = watches.Close() }()
			_, before, _ := net.SplitHostPort(master.Addr)
			lost, begun := l.taken(), time.Now()
			must(t, watches.Failover(t.Context(), "buckets").Err())
			until(t, "there is another master", func() bool {
				addr := watches.GetMasterAddrByName(t.Context(), "buckets").Val()
				return len(addr) == 2 && addr[1] != before
			})
			switched := time.Now()
			time.Sleep(100 * time.Millisecond) // the Sentinel tells its clients
			for k, n := range l.taken() {
				lost[k] = n - lost[k]
			}
			recovered := l.wellSince(switched)
			l.settle("a Sentinel makes a replica the master, "+part.String(), lost, switched.Sub(begun)+recovered)
			if recovered > 2*time.Second {
				t.Errorf("calls failed until %v after there was another master", recovered)
			}
		})
	}
}

// A name that means another server now is asked for anew: a connection to a server that
// says it is a replica is left, be it that its master is there or not.
func TestAReplicaIsLeftForWhomTheNameMeansNow(t *testing.T) {
	for answer, config := range map[string]string{"READONLY": "yes", "MASTERDOWN": "no"} {
		for _, together := range []int{1, 2} {
			t.Run(answer, func(t *testing.T) {
				old, next := partstest.Redis(t, parts.RedisServer, "--replica-serve-stale-data", config), partstest.Redis(t, parts.RedisServer)
				means := partstest.Way(t, old.Addr)
				s := open(t, "redis://"+means.Addr)
				var all [][]buckets.Charge
				for i := range together { // two slots travel in a pipeline
					all = append(all, []buckets.Charge{{Key: manyKeys(2)[i], Bucket: slow(t), Cost: 1}})
				}
				if _, errs := s.TakeTogether(t.Context(), all); errs[0] != nil {
					t.Fatal(errs[0])
				}
				means.Lead(next.Addr)
				must(t, partstest.Admin(t, old).ReplicaOf(t.Context(), "127.0.0.1", "1").Err())
				if _, errs := s.TakeTogether(t.Context(), all); !goredis.HasErrorPrefix(errs[0], answer) {
					t.Fatalf("a replica answers %v, want %s", errs[0], answer)
				}
				if _, errs := s.TakeTogether(t.Context(), all); errs[0] != nil {
					t.Errorf("the next call still asked the replica: %v", errs[0])
				}
			})
		}
	}
}

func manyKeysOfOneSlot(n int) (keys []string) {
	for _, key := range manyKeys(n) {
		keys = append(keys, "{chaos}"+key)
	}
	return keys
}

func name(t *testing.T) string { return t.Name()[strings.LastIndexByte(t.Name(), '/')+1:] }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
