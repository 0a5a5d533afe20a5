package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ratelimit "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

const (
	crowd      = 1000 // connections: a hundred Envoys with ten workers each
	callsEach  = 20
	largeEvery = 4        // of the calls of a connection, one with the largest header that Envoy lets through
	large      = 60 << 10 // bytes
	admitted   = 12_345   // of 20,000
)

// crowdRules is one bucket for all, which refills by nothing while the test runs.
var crowdRules = fmt.Sprintf(`
domain: crowd
passive: [header]
descriptors: [{key: all, limits: [{name: all, algorithm: token_bucket, rate: 1/day, burst: %d}]}]
`, admitted)

// A hundred replicas' worth of Envoys come at once. Every call is answered, the bucket
// is exact, and what weir takes for them is bounded and given back.
func TestOverload_AThousandConnectionsInBoundedMemory(t *testing.T) {
	weir := partstest.Weir(t, weirBinary, direct(t, crowdRules)...)
	goroutines := metricOf(t, weir, "go_goroutines")
	begin := time.Now()
	connections := connectCrowd(t, weir.GRPC)
	t.Logf("%d connections after %v: %d KiB resident, %d goroutines", crowd, time.Since(begin), resident(t, weir, "VmRSS"), metricOf(t, weir, "go_goroutines"))
	ok, over := askAll(t, connections)
	peak := resident(t, weir, "VmHWM")
	t.Logf("%d calls after %v: at most %d KiB resident", crowd*callsEach, time.Since(begin), peak)
	if ok != admitted || over != crowd*callsEach-admitted {
		t.Errorf("%d admitted and %d refused of %d, want exactly %d", ok, over, crowd*callsEach, admitted)
	}
	if shed := metricOf(t, weir, `weir_excess_requests_total{bound="in_flight"}`); shed != 0 {
		t.Errorf("%d calls were shed", shed)
	}
	if peak > mostResident {
		t.Errorf("weir had %d KiB resident, more than %d", peak, mostResident)
	}
	for _, c := range connections {
		_ = c.Close()
	}
	eventually(t, "the goroutines end", func() bool { return metricOf(t, weir, "go_goroutines") <= goroutines+5 })
}

// mostResident is 1.4 times what was measured, in KiB: a thousand messages of
// 60 KiB that are there at once, each once as it was received and once as text, and the
// garbage of those before them, which weir collects when 192 MiB are allocated.
const mostResident = 512 << 10

// resident is a line of the kernel's account of a process, in KiB: VmRSS is what it has
// in memory, VmHWM the most that it ever had.
func resident(t *testing.T, weir *parts.WeirProcess, line string) (kib int) {
	t.Helper()
	account, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", weir.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(account), line+":")
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatal(err)
	}
	return kib
}

// connectCrowd returns when all connections are up.
func connectCrowd(t *testing.T, address string) []*grpc.ClientConn {
	t.Helper()
	connections := make([]*grpc.ClientConn, crowd)
	for i := range connections {
		c, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithReadBufferSize(4<<10), grpc.WithWriteBufferSize(4<<10))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		connections[i] = c
		c.Connect()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for i, c := range connections {
		for state := c.GetState(); state != connectivity.Ready; state = c.GetState() {
			if !c.WaitForStateChange(ctx, state) {
				t.Fatalf("connection %d is %v", i, state)
			}
		}
	}
	return connections
}

// askAll makes the calls of each connection at once with those of all others, and counts
// the verdicts. An error fails the test.
func askAll(t *testing.T, connections []*grpc.ClientConn) (ok, over int64) {
	t.Helper()
	ask := func(entries ...*ratelimit.RateLimitDescriptor_Entry) *rls.RateLimitRequest {
		return &rls.RateLimitRequest{Domain: "crowd", Descriptors: []*ratelimit.RateLimitDescriptor{{Entries: entries}}}
	}
	all := &ratelimit.RateLimitDescriptor_Entry{Key: "all", Value: "a"}
	smallOne, largeOne := ask(all), ask(all, &ratelimit.RateLimitDescriptor_Entry{Key: "header", Value: strings.Repeat("h", large)})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var verdicts [3]atomic.Int64
	var asking sync.WaitGroup
	for _, c := range connections {
		asking.Go(func() {
			client := rls.NewRateLimitServiceClient(c)
			for i := range callsEach {
				request := smallOne
				if i%largeEvery == 0 {
					request = largeOne
				}
				answer, err := client.ShouldRateLimit(ctx, request)
				if err != nil {
					t.Error(err)
					return
				}
				verdicts[answer.OverallCode].Add(1)
			}
		})
	}
	asking.Wait()
	return verdicts[rls.RateLimitResponse_OK].Load(), verdicts[rls.RateLimitResponse_OVER_LIMIT].Load()
}

// More calls at a time than a connection to weir may have: Envoy opens other connections,
// and nobody fails.
func TestOverload_EnvoyOpensConnectionsForMoreCallsThanOneMayHave(t *testing.T) {
	top := run(t, spec{
		envoys: 1, weirs: 1, timeout: "15s", more: []string{"--grpc-max-streams", "1"}, rules: waitingRules("rate: 1/s, burst: 1, max_wait: 10s"),
	})
	settledOne(top.begin(t, 0, waiter))
	if got := settled(top.inTurn(t, 4, waiter)...); got[200] != 4 {
		t.Errorf("%v, want 4 passed", got)
	}
}

// The largest headers that Envoy lets through are limited like any others: no client can
// make Envoy ask what is answered by --on-excess, or by an error.
func TestOverload_TheLargestHeadersOfEnvoyAreJudged(t *testing.T) {
	top := run(t, spec{envoys: 1, weirs: 1, failOpen: true, rules: rulesOf(slow100, "rate: 2/hour, burst: 2")})
	got := top.send(t, 5, headers{"X-User": strings.Repeat("u", 59<<10)})
	if got[200] != 2 || got[429] != 3 {
		t.Errorf("%v, want 2 of 5 passed", got)
	}
	for _, bound := range []string{"message_bytes", "value_bytes"} {
		if n := top.metric(t, `weir_excess_requests_total{bound="`+bound+`"}`); n != 0 {
			t.Errorf("%d requests are beyond %s", n, bound)
		}
	}
	top.judged(t, got)
}
