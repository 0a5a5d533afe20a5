package redis_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/redis"
	"github.com/weir-rls/weir/buckets/storetest"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// clusterURL names all nodes but one, which a client has to be told of.
func clusterURL(nodes []*parts.Redis) string {
	url := "redis://" + nodes[0].Addr + "?cluster=true"
	for _, node := range nodes[1 : len(nodes)-1] {
		url += "&addr=" + node.Addr
	}
	return url
}

// A Cluster gives the same answers as one server.
func TestOnAClusterConforms(t *testing.T) {
	for _, part := range servers {
		t.Run(part.String(), func(t *testing.T) {
			nodes := partstest.Cluster(t, part, 3, 0)
			storetest.Run(t, storetest.Subject{
				Brief: true,
				Open: func(tb testing.TB, n int, clock *storetest.Clock) (stores []buckets.Store) {
					for _, node := range nodes {
						if err := partstest.Admin(tb, node).FlushAll(tb.Context()).Err(); err != nil {
							tb.Fatal(err)
						}
					}
					for range n {
						s := open(tb, clusterURL(nodes))
						if clock != nil {
							s.SetNow(clock.Micros)
						}
						stores = append(stores, s)
					}
					return stores
				},
			})
		})
	}
}

// Requests of many domains, whose buckets are on different nodes, travel in one
// pipeline for each node. Replicas admit of each what it holds, and what is forgotten
// together may be anywhere.
func TestOnAClusterBatchesPartByNode(t *testing.T) {
	nodes := partstest.Cluster(t, parts.RedisServer, 3, 0)
	replicas := []*redis.Store{open(t, clusterURL(nodes)), open(t, clusterURL(nodes))}
	const keys, each = 300, 150
	b := slow(t) // of 100 tokens
	name := func(i int) string { return fmt.Sprintf("{domain %d}k", i%keys) }
	admitted := [keys]atomic.Int32{}
	takeAll := func() {
		var callers sync.WaitGroup
		for caller := range 50 {
			callers.Go(func() {
				for i := caller; i < keys*each; i += 50 {
					o, err := replicas[i/50%2].Take(t.Context(), []buckets.Charge{{Key: name(i), Bucket: b, Cost: 1}})
					if err != nil {
						t.Error(err)
						return
					}
					if o[0].Admitted {
						admitted[i%keys].Add(1)
					}
				}
			})
		}
		callers.Wait()
	}
	takeAll()
	for i := range admitted {
		if n := admitted[i].Swap(0); n != 100 {
			t.Fatalf("%d were admitted of %s, want 100", n, name(i))
		}
	}
	held := 0
	for _, node := range nodes {
		calls := partstest.Admin(t, node).Info(t.Context(), "commandstats").Val()
		if !strings.Contains(calls, "cmdstat_evalsha") {
			t.Errorf("%s was not asked", node.Addr)
		}
		held += int(partstest.Admin(t, node).DBSize(t.Context()).Val())
	}
	if held != keys {
		t.Errorf("%d buckets are held, want %d", held, keys)
	}
	var all []string
	for i := range keys {
		all = append(all, name(i))
	}
	if err := replicas[0].Forget(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if o, err := replicas[1].Take(t.Context(), []buckets.Charge{{Key: name(7), Bucket: b, Cost: 100}}); err != nil || !o[0].Admitted {
		t.Errorf("%+v, %v: want a forgotten bucket full", o, err)
	}
}
