package redis_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-rls/weir/buckets/redis"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// until waits for something that the servers do.
func until(t *testing.T, what string, met func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !met(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("within 15 s not true: %s", what)
		}
	}
}

// A master whose process is killed is replaced by its replica, and weir finds that out by
// asking the nodes that are left, not after the minute that the client would take.
func TestChaos_AMasterOfAClusterIsKilled(t *testing.T) {
	for _, part := range servers {
		t.Run(part.String(), func(t *testing.T) {
			nodes := partstest.Cluster(t, part, 3, 3)
			l := startSteady(t, open(t, clusterURL(nodes)), false, manyKeys(30)...)
			time.Sleep(500 * time.Millisecond)
			before, replica := l.taken(), partstest.Admin(t, nodes[3])
			written := offset(t, partstest.Admin(t, nodes[0]), "master_repl_offset")
			until(t, "the replica knows what was taken until then", func() bool { return offset(t, replica, "slave_repl_offset") >= written })
			if n := l.errors.Load(); n != 0 {
				t.Fatalf("%d errors before anything broke: %v", n, l.seen)
			}
			killed := time.Now()
			if err := nodes[0].Kill(); err != nil {
				t.Fatal(err)
			}
			lost := l.taken()
			for k := range lost {
				lost[k] -= before[k]
				if slot := redis.SlotOf(l.keys[k]); slot >= 16384/3 { // of a master that lives
					lost[k] = 0
				}
			}
			until(t, "the replica is master", func() bool {
				return strings.HasPrefix(replica.Info(t.Context(), "replication").Val(), "# Replication\r\nrole:master")
			})
			promoted := time.Now()
			recovered := l.wellSince(promoted)
			l.settle("a master of a Cluster is killed, "+part.String(), lost, promoted.Sub(killed)+recovered)
			if recovered > 2*time.Second {
				t.Errorf("calls failed until %v after the replica was the master", recovered)
			}
		})
	}
}

// offset is how far a server's replication is, 0 if it does not say so.
func offset(t *testing.T, server *goredis.Client, name string) (n int64) {
	t.Helper()
	_, rest, _ := strings.Cut(server.Info(t.Context(), "replication").Val(), name+":")
	text, _, _ := strings.Cut(rest, "\r\n")
	n, _ = strconv.ParseInt(text, 10, 64)
	return n
}

// A slot moves to another node while its buckets are taken from, one by one and two
// together: every call is made on the node that has the bucket at that moment, so that
// nothing is lost and nothing taken twice. Two of which one has moved cannot be judged.
func TestChaos_ASlotMovesToAnotherNode(t *testing.T) {
	for _, part := range servers {
		t.Run(part.String(), func(t *testing.T) {
			nodes := partstest.Cluster(t, part, 3, 0)
			var keys []string
			for _, key := range manyKeys(60) {
				keys = append(keys, "{moves}"+key)
			}
			l := startSteady(t, open(t, clusterURL(nodes)), true, keys...)
			until(t, "each bucket was taken from", func() bool { return !slices.Contains(l.taken(), 0) })
			slot := int(redis.SlotOf(keys[0]))
			from := slot * 3 / 16384
			moveSlot(t, slot, nodes[from], nodes[(from+1)%3])
			moved := time.Now()
			recovered := l.wellSince(moved)
			l.settle("a slot of a Cluster moves, "+part.String(), nil, recovered)
			for word, err := range l.seen {
				late := errors.Is(err, context.DeadlineExceeded) // on a busy machine
				if !late && (word != "TRYAGAIN" || redis.Outage(err)) {
					t.Errorf("an error that need not be: %v", err)
				}
			}
			stats := partstest.Admin(t, nodes[from]).Info(t.Context(), "errorstats").Val()
			for _, want := range []string{"errorstat_ASK", "errorstat_TRYAGAIN", "errorstat_MOVED"} {
				if !strings.Contains(stats, want) {
					t.Errorf("%s never came about: %s", want, stats)
				}
			}
			if n := partstest.Admin(t, nodes[(from+1)%3]).DBSize(t.Context()).Val(); n != int64(len(keys)) {
				t.Errorf("%d buckets are where the slot is, want %d", n, len(keys))
			}
		})
	}
}

// moveSlot moves a slot as an operator's tool does, two keys at a time.
func moveSlot(t *testing.T, slot int, from, to *parts.Redis) {
	t.Helper()
	ctx, source, target := t.Context(), partstest.Admin(t, from), partstest.Admin(t, to)
	do := func(c *goredis.Client, args ...any) {
		t.Helper()
		if err := c.Do(ctx, args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	there, here := target.ClusterMyID(ctx).Val(), source.ClusterMyID(ctx).Val()
	do(target, "cluster", "setslot", slot, "importing", here)
	do(source, "cluster", "setslot", slot, "migrating", there)
	host, port, err := net.SplitHostPort(to.Addr)
	if err != nil {
		t.Fatal(err)
	}
	for {
		keys := source.ClusterGetKeysInSlot(ctx, slot, 2).Val()
		if len(keys) == 0 {
			break
		}
		args := []any{"migrate", host, port, "", 0, 5000, "keys"}
		for _, key := range keys {
			args = append(args, key)
		}
		do(source, args...)
		time.Sleep(30 * time.Millisecond)
	}
	do(target, "cluster", "setslot", slot, "node", there)
	do(source, "cluster", "setslot", slot, "node", there)
}
