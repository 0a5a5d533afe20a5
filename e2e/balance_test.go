package e2e

import (
	"testing"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

const balanced = "domain: shop\ndescriptors: [{key: user, limits: [{name: per-user, rate: 1000000/s}]}]\n"

// newBalance starts two replicas, and an Envoy with the cluster of docs/how-to/balance.md, to
// which their addresses are what address makes of them.
func newBalance(t *testing.T, options any, address func([]string) []string, args ...string) *topology {
	t.Helper()
	readme, page := readDocumented(t, "../README.md"), readDocumented(t, "../docs/how-to/balance.md")
	cluster := page.part(t, "cluster.yaml").(map[string]any)
	if options != nil {
		cluster["typed_extension_protocol_options"] = options
	}
	filter := readme.part(t, "filter.yaml").(map[string]any)
	filter["typed_config"].(map[string]any)["timeout"] = "5s" // the machine may be busy
	text := bootstrap(t, readme.part(t, "route.yaml"), cluster, filter)
	if err := parts.ValidateEnvoy(partstest.Binary(t, parts.Envoy), text, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	top := &topology{}
	upstream := top.startUpstream(t)
	page.files["rules.yaml"] = balanced
	for range 2 {
		page.startWeir(t, top, nil, args...)
	}
	endpoints := address([]string{top.weirs[0].GRPC, top.weirs[1].GRPC})
	text, err := parts.Readdress(text, parts.Addresses{Clusters: map[string][]string{"backend": {upstream}, "weir": endpoints}})
	if err != nil {
		t.Fatal(err)
	}
	top.addEnvoy(partstest.Envoy(t, text))
	eventually(t, "Envoy finds them healthy", func() bool {
		healthy, err := top.envoys[0].Stat("cluster.weir.membership_healthy")
		return err == nil && healthy == int64(len(endpoints))
	})
	return top
}

// ask sends n requests and answers how many calls each replica has judged by then.
func (top *topology) ask(t *testing.T, n int) (first, second int) {
	t.Helper()
	c := client(t, 1)
	for range n {
		if got := get(c, top.fronts[0]+"/api/c", headers{"X-User": "u"}); got.status != 200 {
			t.Fatalf("%+v", got)
		}
	}
	return metricOf(t, top.weirs[0], callsJudged), metricOf(t, top.weirs[1], callsJudged)
}

func TestBalance_CallsAreSpreadOverReplicasWhoseAddressesTheNameStandsFor(t *testing.T) {
	top := newBalance(t, nil, func(replicas []string) []string { return replicas })
	if first, second := top.ask(t, 200); first+second != 200 || first < 40 || second < 40 {
		t.Errorf("%d and %d of 200 calls", first, second)
	}
}

// One address for all replicas, as that of a ClusterIP, is balanced by connection.
func TestBalance_OneAddressIsPinnedToAReplicaUntilTheConnectionEnds(t *testing.T) {
	options := readDocumented(t, "../docs/how-to/balance.md").part(t, "options.yaml")
	for _, ends := range []bool{false, true} {
		args := []string{"--grpc-max-connection-age", "0s"}
		if ends {
			args = []string{"--grpc-max-connection-age", "1s", "--grpc-max-connection-age-grace", "1s"}
		}
		var way *partstest.Faulty
		top := newBalance(t, options, func(replicas []string) []string {
			way = partstest.Way(t, replicas[0])
			return []string{way.Addr}
		}, args...)
		top.ask(t, 20)
		way.Lead(top.weirs[1].GRPC)
		if ends {
			eventually(t, "the other replica is asked", func() bool {
				_, second := top.ask(t, 1)
				return second > 0
			})
		} else if first, second := top.ask(t, 20); first != 40 || second != 0 {
			t.Errorf("%d and %d of 40 calls, want all on the connection that there was", first, second)
		}
	}
}
