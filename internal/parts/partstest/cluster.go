package partstest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-rls/weir/internal/parts"
)

// Admin is a client of one server, beside whatever is tested.
func Admin(t testing.TB, server *parts.Redis) *goredis.Client {
	t.Helper()
	admin := goredis.NewClient(&goredis.Options{Addr: server.Addr, DisableIdentity: true})
	t.Cleanup(func() { _ = admin.Close() })
	return admin
}

// Cluster starts servers of which each master has a part of the slots, for the time of
// the test. Behind the masters come the replicas, of one master after the other. A master
// that is gone for a second is replaced by a replica of its own. args follow.
func Cluster(t testing.TB, server parts.Part, masters, replicas int, args ...string) (nodes []*parts.Redis) {
	t.Helper()
	const slots = 16384
	dir := t.TempDir()
	var admins []*goredis.Client
	for i := range masters + replicas {
		node := Redis(t, server, append([]string{
			"--cluster-enabled", "yes", "--dir", dir, "--cluster-config-file", fmt.Sprintf("node-%d.conf", i),
			"--dbfilename", fmt.Sprintf("node-%d.rdb", i), "--cluster-node-timeout", "1000", "--repl-diskless-sync-delay", "0",
		}, args...)...)
		nodes, admins = append(nodes, node), append(admins, Admin(t, node))
		if i < masters {
			must(t, admins[i].ClusterAddSlotsRange(t.Context(), i*slots/masters, (i+1)*slots/masters-1).Err())
		}
		host, port, err := net.SplitHostPort(node.Addr)
		must(t, err)
		must(t, admins[0].ClusterMeet(t.Context(), host, port).Err())
	}
	for _, admin := range admins {
		Eventually(t, 20*time.Second, "the cluster is whole", func() bool {
			return strings.Contains(admin.ClusterInfo(t.Context()).Val(), "cluster_state:ok") && strings.Count(admin.ClusterNodes(t.Context()).Val(), " connected") == len(nodes)
		})
	}
	for i, follows := range admins[masters:] {
		must(t, follows.ClusterReplicate(t.Context(), admins[i%masters].ClusterMyID(t.Context()).Val()).Err())
	}
	for _, follows := range admins[masters:] {
		Eventually(t, 20*time.Second, "the replica follows", func() bool {
			return strings.Contains(follows.Info(t.Context(), "replication").Val(), "master_link_status:up")
		})
	}
	for _, admin := range admins {
		Eventually(t, 20*time.Second, "all know the replicas", func() bool {
			return strings.Count(admin.ClusterNodes(t.Context()).Val(), "slave ") == replicas
		})
	}
	return nodes
}

// Sentinel starts a master, a replica of it and a Sentinel that watches over both by a
// name, for the time of the test. A master that is gone for half a second is replaced.
func Sentinel(t testing.TB, server parts.Part, name string) (master, replica, sentinel *parts.Redis) {
	t.Helper()
	master = Redis(t, server, "--dir", t.TempDir()) // to which it writes what it sends its replica
	host, port, err := net.SplitHostPort(master.Addr)
	must(t, err)
	replica = Redis(t, server, "--dir", t.TempDir(), "--replicaof", host+" "+port, "--repl-diskless-sync-delay", "0")
	follows := Admin(t, replica)
	Eventually(t, 20*time.Second, "the replica follows", func() bool {
		return strings.Contains(follows.Info(t.Context(), "replication").Val(), "master_link_status:up")
	})
	config := filepath.Join(t.TempDir(), "sentinel.conf") // which it writes to
	must(t, os.WriteFile(config, fmt.Appendf(nil, "sentinel monitor %s %s %s 1\nsentinel down-after-milliseconds %s 500\nsentinel failover-timeout %s 3000\n", name, host, port, name, name), 0o600))
	sentinel, err = parts.StartSentinel(Binary(t, server), config)
	must(t, err)
	t.Cleanup(func() { stop(t, sentinel.Process) })
	watches := goredis.NewSentinelClient(&goredis.Options{Addr: sentinel.Addr})
	t.Cleanup(func() { _ = watches.Close() })
	Eventually(t, 20*time.Second, "the Sentinel knows the replica", func() bool {
		replicas, err := watches.Replicas(t.Context(), name).Result()
		return err == nil && len(replicas) == 1
	})
	return master, replica, sentinel
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
