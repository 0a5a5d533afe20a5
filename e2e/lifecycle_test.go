package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"

	"github.com/weir-rls/weir/internal/parts/partstest"
)

// A rolling update replaces all replicas, each at its address, one after another when
// Envoy finds the one before healthy. No request fails, and no bucket begins anew.
func TestRollingUpdate_EveryReplicaIsReplacedAndNoRequestFails(t *testing.T) {
	top := run(t, spec{envoys: 2, weirs: 3, redis: true, drainDelay: "2s", rules: rulesOf(plentyOf, "rate: 9/hour, burst: 9")})
	user := headers{"X-User": "u"}
	got := top.send(t, 1, user)
	load := top.load(t, 8, backend)
	load.more(t, 200)
	for i, old := range top.weirs {
		if err := old.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		got.add(top.send(t, 2, user)) // while it drains
		if err := old.Wait(); err != nil {
			t.Errorf("a replica ended with %v", err)
		}
		load.more(t, 100)
		top.weirs[i] = partstest.Weir(t, weirBinary, append(top.args, "--grpc-listen", old.GRPC)...)
		for _, envoy := range top.envoys {
			eventually(t, "Envoy finds all replicas healthy", func() bool {
				healthy, err := envoy.Stat("cluster.weir.membership_healthy")
				return err == nil && healthy == int64(len(top.weirs))
			})
		}
		asked := metricOf(t, top.weirs[i], callsJudged)
		eventually(t, "the new replica is asked", func() bool { return metricOf(t, top.weirs[i], callsJudged) > asked })
	}
	got.add(top.send(t, 5, user))
	if got[200] != 9 || got[429] != 3 {
		t.Errorf("%v of a bucket of 9, over three replacements", got)
	}
	answers := load.end()
	if answers[200] != answers.total() {
		t.Errorf("the load was answered %v, want 200 alone", answers)
	}
	top.judged(t, got.add(answers))
	t.Logf("three replicas replaced under %d requests", answers.total())
}

// A rule file that is written again and again within seconds, whole and broken, costs no
// request and nothing that stays; the last good one is in force at the end, and the next
// is noticed.
func TestReloadStorm_TheLastGoodRulesAreInForce(t *testing.T) {
	const writes = 200
	rules := func(n int) string { return rulesOf(fmt.Sprintf("rate: 1000000/s, burst: %d", n), plentyOf) }
	top := run(t, spec{envoys: 1, weirs: 1, rules: rules(1000000)})
	weir, c := top.weirs[0], client(t, 1)
	got := top.send(t, 10, backend)
	before, err := sizesOf(weir)
	if err != nil {
		t.Fatal(err)
	}
	load := top.load(t, 4, backend)
	load.more(t, 100)
	live := func(n int) {
		t.Helper()
		eventually(t, "the last rules are live", func() bool {
			a := get(c, top.fronts[0], backend)
			got[a.status]++
			return a.header.Get("X-Ratelimit-Limit") == fmt.Sprint(n)
		})
	}
	tick := time.NewTicker(15 * time.Millisecond)
	defer tick.Stop()
	for i := range writes {
		switch text := rules(1000001 + i); i % 4 {
		case 1:
			top.write(t, text[:len(text)/2]+"\n  - {key: [")
		case 2:
			top.write(t, "")
		default:
			top.write(t, text)
		}
		<-tick.C
	}
	live(1000001 + writes - 1)
	top.write(t, "domain: e2e\ndescriptors: [{key: user, limit: [}\n")
	eventually(t, "the fault is logged", func() bool {
		lines := strings.Split(strings.TrimSpace(weir.Output()), "\n")
		return strings.Contains(strings.Join(lines[max(0, len(lines)-4):], "\n"), `"level":"ERROR"`)
	})
	live(1000001 + writes - 1)
	top.write(t, rules(1234567))
	live(1234567)
	answers := load.end()
	if answers[200] != answers.total() {
		t.Errorf("the load was answered %v, want 200 alone", answers)
	}
	top.judged(t, got.add(answers))
	eventually(t, "weir is as small as before", func() bool {
		after, err := sizesOf(weir)
		return err == nil && after[1] < before[1]+16<<20 && after[2] < before[2]+5 && after[3] < before[3]+5
	})
	t.Logf("%d writes under %d requests", writes, answers.total())
}

// A certificate that is replaced again and again fails no call, neither of who is
// connected nor of who connects meanwhile.
func TestCertificate_ReplacedUnderLoadFailsNoCall(t *testing.T) {
	c := newCertificates(t)
	weir := partstest.Weir(t, weirBinary, direct(t, fleetRules, "--grpc-cert", c.cert, "--grpc-key", c.key)...)
	s := &soaked{T: t, weir: weir, certificates: c}
	conn, err := c.dial(weir.GRPC)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s.client = rls.NewRateLimitServiceClient(conn)
	var load sync.WaitGroup
	var ended atomic.Bool
	for i := range 4 {
		load.Go(func() {
			for n := 0; !ended.Load(); n++ {
				ask := s.connects
				if i == 0 {
					ask = func(n int) error { return s.asks(soakEntry("k", n)) }
				}
				s.done.Add(1)
				if err := ask(n); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(c.authority)
	for range 5 {
		seen := strings.Count(weir.Output(), "cannot be used")
		if err := c.replace(func() {
			eventually(t, "half of the pair is seen", func() bool { return strings.Count(weir.Output(), "cannot be used") > seen })
		}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the next certificate serves", func() bool {
			conn, err := tls.Dial("tcp", weir.GRPC, &tls.Config{RootCAs: trusted, ServerName: "weir", NextProtos: []string{"h2"}})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64() == c.serial
		})
	}
	ended.Store(true)
	load.Wait()
	http.DefaultClient.CloseIdleConnections()
	t.Logf("5 certificates under %d calls", s.done.Load())
}
