package ratelimit_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// asked has a request admitted, with a descriptor for each user.
func (r *replica) asked(values ...string) {
	r.t.Helper()
	var all []string
	for _, v := range values {
		all = append(all, fmt.Sprintf(`{"entries":[{"key":"user","value":%q}]}`, v))
	}
	if code, _, body := get(r.t, "POST", r.HTTPAddr(), "/json", `{"domain":"d","descriptors":[`+strings.Join(all, ",")+`]}`); code != 200 {
		r.t.Fatalf("%d, %s\n%s", code, body, r.log)
	}
}

// On a Cluster the counters of a domain are on all nodes, and a request asks those that
// it has counters on; elsewhere they are together, and a request is one call.
func TestCluster_CountersOfOneDomainAreOnAllNodes(t *testing.T) {
	nodes := partstest.Cluster(t, parts.ValkeyServer, 2, 0)
	single := partstest.Redis(t, parts.ValkeyServer)
	for _, c := range []struct {
		servers []*parts.Redis
		environ string
		calls   int // of a request with four descriptors, at most
	}{
		{nodes, "REDIS_TYPE=cluster REDIS_URL=" + nodes[0].Addr + "," + nodes[1].Addr, 4},
		{[]*parts.Redis{single}, "REDIS_URL=" + single.Addr, 1},
	} {
		r := start(t, append(environ(tree(t, perMinute)), strings.Fields("BACKEND_TYPE=redis REDIS_SOCKET_TYPE=tcp "+c.environ)...)...)
		partstest.Eventually(t, 10*time.Second, "Redis has answered", func() bool { code, _, _ := get(t, "GET", r.HTTPAddr(), "/healthcheck", ""); return code == 200 })
		for i := range 40 {
			r.asked(fmt.Sprint("user", i))
		}
		tags := map[string]bool{}
		for _, s := range c.servers {
			keys := partstest.Admin(t, s).Keys(t.Context(), "{d*").Val()
			if len(keys) == 0 {
				t.Errorf("%s: %s has no counters", c.environ, s.Addr)
			}
			for _, key := range keys {
				tag, _, _ := strings.Cut(key, "}")
				tags[tag] = true
			}
		}
		if want := len(c.servers) > 1; len(tags) > 1 != want {
			t.Errorf("%s: the counters of 40 users have %d tags", c.environ, len(tags))
		}
		before := scriptCalls(t, c.servers)
		r.asked("a", "b", "c", "d")
		if made := scriptCalls(t, c.servers) - before; made < 1 || made > c.calls {
			t.Errorf("%s: a request with four descriptors cost %d calls, want %d", c.environ, made, c.calls)
		}
	}
}

func scriptCalls(t *testing.T, servers []*parts.Redis) (n int) {
	t.Helper()
	for _, s := range servers {
		stats := partstest.Admin(t, s).Info(t.Context(), "commandstats").Val()
		for _, found := range regexp.MustCompile(`cmdstat_evalsha:calls=(\d+)`).FindAllStringSubmatch(stats, -1) {
			one, err := strconv.Atoi(found[1])
			if err != nil {
				t.Fatal(err)
			}
			n += one
		}
	}
	return n
}
