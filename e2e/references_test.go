package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	ratelimit "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// What the systems that weir takes the place of get wrong where Redis is part of
// it, by the numbers of docs/reference/systems.md.

// everyKind has a limit of each kind that leaves something in Redis.
const everyKind = `
domain: d
pools:
  - {name: units, rate: 10/s, burst: 100}
  - {name: workers, slots: 50, slot_ttl: 1m}
descriptors:
  - {key: token bucket, limits: [{rate: 1/min, burst: 60}]}
  - {key: starts empty, limits: [{rate: 1/s, initial: empty}]}
  - {key: fixed, limits: [{algorithm: fixed_window, rate: 60/hour}]}
  - {key: month, limits: [{rate: 60/month}]}
  - {key: sliding, limits: [{algorithm: sliding_window, rate: 60/min, count: success}]}
  - {key: slots, limits: [{algorithm: concurrency, slots: 60, slot_ttl: 1m}]}
  - {key: breaker, breaker: {failures: 2, open_for: 1m, probes: 1}}
  - {key: a, draw: {pool: units}}
  - {key: b, draw: {pool: units, weight: 2}}
  - {key: c, draw: {pool: workers}}
  - {key: e, draw: {pool: workers, weight: 3}}
`

var kinds = []string{"token bucket", "starts empty", "fixed", "month", "sliding", "slots", "breaker", "a", "b", "c", "e"}

// A key without a time to live stays for ever: one for each user who ever came.
func TestS4_N6_N17_EveryKeyOfARequestExpires(t *testing.T) {
	for _, part := range []parts.Part{parts.RedisServer, parts.ValkeyServer} {
		t.Run(part.String(), func(t *testing.T) {
			redis := partstest.Redis(t, part)
			weir := partstest.Weir(t, weirBinary, direct(t, everyKind, "--store", "redis", "--redis-url", redis.URL)...)
			ask := asker(t, weir)
			for round := range 6 {
				for _, key := range kinds {
					answer := ask(key, "v", nil)
					if receipt := answer.GetDynamicMetadata().GetFields()["receipt"].GetStringValue(); receipt != "" && round < 5 {
						ask("weir.receipt", receipt, wrapperspb.UInt64(500))
					}
				}
			}
			keys := 0
			admin := partstest.Admin(t, redis)
			scan := admin.Scan(t.Context(), 0, "*", 1000).Iterator()
			for scan.Next(t.Context()) {
				if strings.HasPrefix(scan.Val(), "weir:") {
					continue // configuration of the fleet, one of each
				}
				keys++
				if left := admin.PTTL(t.Context(), scan.Val()).Val(); left <= 0 {
					t.Errorf("the key %q has no time to live (%v)", scan.Val(), left)
				}
			}
			if err := scan.Err(); err != nil {
				t.Fatal(err)
			}
			if keys < 15 {
				t.Errorf("%d keys in Redis: not every kind left one", keys)
			}
		})
	}
}

// A server that has forgotten the script is told it again, so nobody sees an error.
func TestN8_ScriptFlushUnderLoadFailsNoRequest(t *testing.T) {
	top := run(t, spec{envoys: 1, weirs: 2, redis: true, rules: rulesOf("rate: 1000000/s, burst: 1000000", plentyOf)})
	admin := partstest.Admin(t, top.redis)
	load := top.load(t, 8, backend)
	for range 20 {
		if err := admin.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		load.more(t, 50)
	}
	got := load.end()
	if got[200] != got.total() {
		t.Errorf("%v, want 200 alone", got)
	}
	top.judged(t, got)
	t.Logf("20 flushes under %d requests", got.total())
}

// State that lives in one process is gone with it.
func TestL7_ARestartKeepsWhatWasUsed(t *testing.T) {
	redis := partstest.Redis(t, parts.RedisServer)
	args := direct(t, "domain: d\ndescriptors: [{key: k, limits: [{rate: 60/hour}]}]", "--store", "redis", "--redis-url", redis.URL)
	passed := 0
	for range 3 {
		weir := partstest.Weir(t, weirBinary, args...)
		ask := asker(t, weir)
		for range 30 {
			if ask("k", "v", nil).OverallCode == rls.RateLimitResponse_OK {
				passed++
			}
		}
		if err := weir.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if passed != 60 {
		t.Errorf("%d passed over three starts, want 60", passed)
	}
}

// direct are the arguments of a weir that is asked without an Envoy.
func direct(t *testing.T, rules string, more ...string) []string {
	t.Helper()
	top := &topology{rulesFile: t.TempDir() + "/rules.yaml"}
	top.write(t, rules)
	return append([]string{
		"--rules", top.rulesFile, "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
		"--store-timeout", "2s", "--drain-delay", "0s",
	}, more...)
}

// asker asks a weir of the domain d, one descriptor of one entry at a time.
func asker(t *testing.T, weir *parts.WeirProcess) func(key, value string, hits *wrapperspb.UInt64Value) *rls.RateLimitResponse {
	t.Helper()
	connection, err := grpc.NewClient(weir.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	client := rls.NewRateLimitServiceClient(connection)
	return func(key, value string, hits *wrapperspb.UInt64Value) *rls.RateLimitResponse {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		answer, err := client.ShouldRateLimit(ctx, &rls.RateLimitRequest{Domain: "d", Descriptors: []*ratelimit.RateLimitDescriptor{
			{Entries: []*ratelimit.RateLimitDescriptor_Entry{{Key: key, Value: value}}, HitsAddend: hits},
		}})
		if err != nil {
			t.Fatal(fmt.Errorf("%s: %w", key, err))
		}
		return answer
	}
}
