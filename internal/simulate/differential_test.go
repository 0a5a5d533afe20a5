package simulate

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	ratelimit "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/storetest"
	"github.com/weir-rls/weir/buckets/waiting"
	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/service"
)

// everyKind has a limit of every kind. A shop has few users, so that each is refused now
// and then.
const everyKind = `
domain: shop
passive: [size]
pools:
  - {name: units, rate: 15/s, burst: 60}
  - {name: jobs, slots: 9, slot_ttl: 1m}
descriptors:
  - {key: bucket, limits: [{name: bucket, rate: 60/min, burst: 20, weight: {by: size, values: {large: 5}, default: 1}}]}
  - {key: fixed, limits: [{name: fixed, algorithm: fixed_window, rate: 30/min}]}
  - {key: sliding, limits: [{name: sliding, algorithm: sliding_window, rate: 30/min}]}
  - {key: both, limits: [{name: often, rate: 2/s, burst: 4}, {name: daily, rate: 40/day}, {name: seen, rate: 1/s, burst: 1, shadow_mode: true}]}
  - {key: plan, value: free, quota_mode: true, limits: [{name: free, rate: 20/min}]}
  - {key: paid, quota_mode: true, limits: [{name: paid, rate: 60/min}]}
  - {key: class, value: gold, draw: {pool: units, weight: 3, guarantee: 9/s}}
  - {key: class, value: silver, draw: {pool: units, borrow: false, guarantee: 4/s}}
  - {key: slow, limits: [{name: slow, rate: 5/s, burst: 3, max_wait: 2s, max_waiters: 6}]}
  - {key: success, limits: [{name: success, algorithm: fixed_window, rate: 20/min, count: success}]}
  - {key: slot, limits: [{name: slots, algorithm: concurrency, slots: 3, slot_ttl: 30s}]}
  - {key: job, value: gold, draw: {pool: jobs, class: high, reserve: 4}}
  - {key: job, value: silver, draw: {pool: jobs, class: low, borrow: false, reserve: 2}}
`

// every asks one of the limits of everyKind, or two.
const everyLoad = "rate=200/s,start=2000-01-01T00:00:01Z,arrivals=poisson,seen=zipf(20)," +
	"kind=one-of(bucket,fixed,sliding,both,quotas,class,slow,success,slot,job),size=one-of(small:3,large:1)," +
	"class=one-of(gold,silver),status=one-of(200:8,500:1,404:1),duration=one-of(20ms,137ms,1.013s),hits=one-of(1:9,3:1)"

// kinds makes the descriptors of what is generated.
type kinds struct{ *Load }

func (k *kinds) Next() (*Row, error) {
	row, err := k.Load.Next()
	if err != nil {
		return nil, err
	}
	e := map[string]string{}
	for _, d := range row.Request.Descriptors {
		e[d.Entries[0].Key] = d.Entries[0].Value
	}
	one := func(entries ...string) descriptors.Descriptor {
		d := descriptors.Descriptor{}
		for i := 0; i < len(entries); i += 2 {
			d.Entries = append(d.Entries, descriptors.Entry{Key: entries[i], Value: entries[i+1]})
		}
		return d
	}
	switch kind := e["kind"]; kind {
	case "bucket":
		row.Request.Descriptors = []descriptors.Descriptor{one("bucket", e["seen"], "size", e["size"])}
	case "ended": // is held for a slot, and settles at once, and once, what was used before
		row.Request.Descriptors = []descriptors.Descriptor{one("slot", e["seen"]), one("tenant", e["seen"], "weir.end", "")}
	case "crossed": // is held for one bucket by the limit of another
		row.Request.Descriptors = []descriptors.Descriptor{one("slow", e["seen"]), one("tenant", e["size"])}
	case "quotas":
		row.Request.Descriptors = []descriptors.Descriptor{one("plan", "free"), one("paid", e["seen"])}
	case "class", "job":
		row.Request.Descriptors = []descriptors.Descriptor{one(kind, e["class"]), one("fixed", e["seen"])}
	default:
		row.Request.Descriptors = []descriptors.Descriptor{one(kind, e["seen"])}
	}
	return row, nil
}

func kindsOf(t *testing.T, spec string, requests int) Source {
	t.Helper()
	var rate int
	if _, err := fmt.Sscanf(spec, "rate=%d/s", &rate); err != nil {
		t.Fatal(err)
	}
	l, err := Generate(fmt.Sprintf("%s,for=%dms", spec, requests*1000/rate), 7, &Format{Domain: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	return &kinds{Load: l}
}

// same is what both must say of a request.
type same struct {
	admitted bool
	limit    string
	waited   time.Duration
}

// The verdicts of a simulation are those that a weir gives over gRPC, from its memory
// store, when it is asked the same at the same times.
func TestSimulation_TheServiceGivesTheSameVerdicts(t *testing.T) {
	requests := storetest.Share(100_000, 10)
	denied, waited := differ(t, everyKind, everyLoad, requests)
	if waited < requests/100 || len(denied) < 14 {
		t.Errorf("the trace tries too little: %d waited, refused by %v", waited, denied)
	}
}

// lined has what callers stand in line for: slots, several limits at once,
// pools. Of two classes of a pool either may come first who wait for the same token, in a
// weir as well: so one class asks.
const lined = `
domain: shop
pools: [{name: units, rate: 8/s, burst: 10, max_wait: 3s, max_waiters: 12}]
descriptors:
  - {key: slot, limits: [{name: slots, algorithm: concurrency, slots: 2, slot_ttl: 30s, max_wait: 2s, max_waiters: 5}]}
  - {key: slow, limits: [{name: slow, rate: 4/s, burst: 3, max_wait: 2s, max_waiters: 6}, {name: also, rate: 20/min, burst: 20}]}
  - {key: tenant, limits: [{name: tenant, rate: 60/min, burst: 20}]}
  - {key: class, value: gold, draw: {pool: units, guarantee: 5/s}}
  - {key: class, value: silver, draw: {pool: units, guarantee: 2/s}}
`

// So are those on callers who stand in lines.
func TestSimulation_TheServiceGivesTheSameVerdictsInLines(t *testing.T) {
	denied, waited := differ(t, lined, strings.NewReplacer("rate=200/s", "rate=40/s",
		"kind=one-of(bucket,fixed,sliding,both,quotas,class,slow,success,slot,job)", "kind=one-of(slot,slow,class,ended,tenant,crossed)", "class=one-of(gold,silver)", "class=gold", "zipf(20)", "zipf(5)").Replace(everyLoad), 10_000)
	if waited < 500 || len(denied) < 5 {
		t.Errorf("the trace tries too little: %d waited, refused by %v", waited, denied)
	}
}

// differ tells of requests on which a simulation and the service differ.
func differ(t *testing.T, text, load string, requests int) (denied map[string]int, waited int) {
	t.Helper()
	denied = map[string]int{}
	simulated := make([]same, 2*requests)
	r := newReplay(loadRules(t, text), time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro(), assumed{}, func(number int64, _ *Row, v Verdict) {
		simulated[number] = same{v.Admitted, v.Limit, v.Waited}
		if v.Admitted {
			simulated[number].limit = ""
		} else {
			denied[v.Limit]++
			simulated[number].waited = 0
		}
		if v.Waited > 0 {
			waited++
		}
	})
	source, number := kindsOf(t, load, requests), int64(0)
	for row, err := source.Next(); err == nil; row, err = source.Next() {
		if err := r.ask(number, row); err != nil {
			t.Fatal(err)
		}
		number++
	}
	if err := r.finish(); err != nil {
		t.Fatal(err)
	}
	different := 0
	for i, s := range serve(t, loadRules(t, text), kindsOf(t, load, requests), int(number)) {
		if s != simulated[i] {
			if different++; different < 10 {
				t.Errorf("request %d: simulated %+v, served %+v", i, simulated[i], s)
			}
		}
	}
	if different > 0 || int(number) < requests {
		t.Errorf("%d of %d requests differ", different, number)
	}
	return denied, waited
}

// serve asks a weir over gRPC, in virtual time.
func serve(t *testing.T, rules *descriptors.Rules, source Source, requests int) []same {
	t.Helper()
	verdicts := make([]same, requests)
	synctest.Test(t, func(t *testing.T) {
		client, stop := startService(t, rules)
		var all sync.WaitGroup
		for i := range requests {
			row, err := source.Next()
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Until(micros(row.At)))
			all.Go(func() { verdicts[i] = askService(t, client, row) })
			synctest.Wait()
		}
		all.Wait()
		stop()
	})
	return verdicts
}

func startService(t *testing.T, rules *descriptors.Rules) (rls.RateLimitServiceClient, func()) {
	t.Helper()
	s := service.New(service.Options{
		Rules: func() *descriptors.Rules { return rules },
		Room:  waiting.New(waiting.Options{Store: memory.New(memory.Options{})}),
		Keys:  service.NewKeys([]byte("a key of a test that nobody else has")),
		Observe: service.Observer{
			Request: func(service.Result, time.Duration, string) {}, Decision: func(*descriptors.Limit, service.Outcome, int64, string) {},
			Unmatched: func(string, int) {}, UnknownDomain: func() {}, BadOverrides: func(string, int) {}, Excess: func(service.Bound) {},
			Waited: func(time.Duration) {}, WrittenOff: func(string, string, int64) {}, Receipt: func(service.Receipt) {},
		},
	})
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(service.ServerOptions(slog.New(slog.DiscardHandler), func() { t.Error("a handler panicked") })...)
	s.Register(server)
	go func() { _ = server.Serve(listener) }()
	connection, err := grpc.NewClient("passthrough:///weir", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	return rls.NewRateLimitServiceClient(connection), func() {
		_ = connection.Close()
		server.Stop()
	}
}

// askService asks, and tells how the request ended when it has.
func askService(t *testing.T, client rls.RateLimitServiceClient, row *Row) same {
	began := time.Now()
	answer, err := client.ShouldRateLimit(context.Background(), wireOf(row))
	if err != nil {
		t.Error(err)
		return same{}
	}
	s := same{admitted: answer.OverallCode == rls.RateLimitResponse_OK}
	if !s.admitted {
		s.limit = answer.DynamicMetadata.Fields["limit"].GetStringValue()
		return s
	}
	s.waited = time.Since(began).Truncate(time.Microsecond)
	if receipt := answer.DynamicMetadata.GetFields()["receipt"].GetStringValue(); receipt != "" {
		time.Sleep(row.Duration)
		_, err := client.ShouldRateLimit(context.Background(), &rls.RateLimitRequest{Domain: row.Request.Domain, Descriptors: []*ratelimit.RateLimitDescriptor{{
			Entries:    []*ratelimit.RateLimitDescriptor_Entry{{Key: descriptors.ReceiptKey, Value: receipt}},
			HitsAddend: wrapperspb.UInt64(uint64(row.Status)),
		}}})
		if err != nil {
			t.Error(err)
		}
	}
	return s
}

func wireOf(row *Row) *rls.RateLimitRequest {
	r := &rls.RateLimitRequest{Domain: row.Request.Domain, HitsAddend: uint32(row.Request.Hits)}
	for _, d := range row.Request.Descriptors {
		out := &ratelimit.RateLimitDescriptor{}
		for _, e := range d.Entries {
			out.Entries = append(out.Entries, &ratelimit.RateLimitDescriptor_Entry{Key: e.Key, Value: e.Value})
		}
		r.Descriptors = append(r.Descriptors, out)
	}
	return r
}
