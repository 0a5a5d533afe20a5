package service

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	ratelimit "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/waiting"
	"github.com/weir-rls/weir/descriptors"
)

// world is a service on real rules, a real store and virtual time.
type world struct {
	*Service
	t        testing.TB
	now      time.Time
	store    buckets.Store
	mu       sync.Mutex
	observed map[string]int
}

func (w *world) count(what string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.observed[what] += n
}

// counted is what was counted so far, while calls go on.
func (w *world) counted(what string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.observed[what]
}

// use puts another store under the service.
func (w *world) use(store buckets.Store) {
	w.store = store
	w.options.Room = waiting.New(waiting.Options{Store: store})
}

func newWorld(t testing.TB, rules string) *world {
	t.Helper()
	return worldOf(t, loadRules(t, rules))
}

func worldOf(t testing.TB, loaded *descriptors.Rules) *world {
	w := &world{t: t, now: time.Unix(1_800_000_000, 0), observed: map[string]int{}}
	w.Service = New(Options{
		Rules: func() *descriptors.Rules { return loaded },
		Keys:  NewKeys(testKey),
		Now:   func() time.Time { return w.now },
		Observe: Observer{
			Request: func(r Result, _ time.Duration, _ string) { w.count("request "+r.String(), 1) },
			Decision: func(l *descriptors.Limit, o Outcome, tokens int64, _ string) {
				w.count(l.Domain+" "+l.Name+" "+o.String(), 1)
				w.count(l.Domain+" "+l.Name+" tokens", int(tokens))
			},
			Unmatched:     func(domain string, n int) { w.count(domain+" unmatched", n) },
			UnknownDomain: func() { w.count("unknown domain", 1) },
			BadOverrides:  func(domain string, n int) { w.count(domain+" bad override", n) },
			Excess:        func(b Bound) { w.count("excess", 1); w.count("excess "+b.String(), 1) },
			Waited:        func(time.Duration) { w.count("waited", 1) },
			WrittenOff:    func(domain, limit string, n int64) { w.count(domain+" "+limit+" written off", int(n)) },
			Receipt:       func(r Receipt) { w.count("receipt "+r.String(), 1) },
		},
		Bounds: *testBounds,
	})
	w.use(memory.New(memory.Options{Now: func() time.Time { return w.now }}))
	return w
}

// testBounds are those of a service in tests, which then change single ones.
var testBounds = &Bounds{
	MessageBytes: 2 << 20, Descriptors: 32, Entries: 64, KeyBytes: 4 << 10, ValueBytes: 64 << 10, InFlight: 10_000, InFlightBytes: 256 << 20,
}

func loadRules(t testing.TB, rules string) *descriptors.Rules {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, faults := descriptors.Load([]string{path}, descriptors.Options{})
	if loaded == nil {
		t.Fatalf("the rules have faults: %v", faults)
	}
	return loaded
}

// ShouldRateLimit asks as a gRPC client does, without the network: by the wire form
// of the request and of its answer.
func (s *Service) ShouldRateLimit(ctx context.Context, r *rls.RateLimitRequest) (*rls.RateLimitResponse, error) {
	wire, err := proto.Marshal(r)
	if err != nil {
		return nil, err
	}
	return s.callWire(ctx, wire)
}

func (s *Service) callWire(ctx context.Context, wire []byte) (*rls.RateLimitResponse, error) {
	sent, err := s.exchange(ctx, testCodec(func() {}), wire)
	if err != nil {
		return nil, err
	}
	answer := &rls.RateLimitResponse{}
	return answer, proto.Unmarshal(sent.Materialize(), answer)
}

// exchange is what a gRPC server does with a request.
func (s *Service) exchange(ctx context.Context, c codec, wire []byte) (mem.BufferSlice, error) {
	received := mem.BufferSlice{mem.SliceBuffer(wire)}
	reply, err := s.handle(nil, ctx, func(v any) error { return c.Unmarshal(received, v) }, nil)
	if err != nil {
		return nil, err
	}
	return c.Marshal(reply)
}

func testCodec(onPanic func()) codec {
	return codec{encoding.GetCodecV2("proto"), recovery{slog.New(slog.DiscardHandler), onPanic}}
}

func (w *world) ask(request *rls.RateLimitRequest) *rls.RateLimitResponse {
	w.t.Helper()
	answer, err := w.ShouldRateLimit(context.Background(), request)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer
}

// admits asks with one descriptor, written as "key=value,key=value".
func (w *world) admits(descriptor string) bool {
	w.t.Helper()
	return w.ask(request(descriptor)).OverallCode == rls.RateLimitResponse_OK
}

func request(texts ...string) *rls.RateLimitRequest {
	r := &rls.RateLimitRequest{Domain: "d"}
	for _, text := range texts {
		r.Descriptors = append(r.Descriptors, descriptor(text))
	}
	return r
}

func descriptor(text string) *ratelimit.RateLimitDescriptor {
	d := &ratelimit.RateLimitDescriptor{}
	for entry := range strings.SplitSeq(text, ",") {
		key, value, _ := strings.Cut(entry, "=")
		d.Entries = append(d.Entries, &ratelimit.RateLimitDescriptor_Entry{Key: key, Value: value})
	}
	return d
}

func headersOf(answer *rls.RateLimitResponse) map[string]string {
	out := map[string]string{}
	for _, h := range answer.ResponseHeadersToAdd {
		out[h.Key] = h.Value
	}
	return out
}

const weighted = `
domain: d
passive: [api]
descriptors:
  - key: pool
    value: backend
    limits: [{name: units, rate: 10/s, burst: 100, weight: {by: api, values: {a: 1, b: 2, c: 3}, default: 1}}]
  - key: user
    limits: [{name: per-user, rate: 5/min}]
  - key: free
    rate_limit: {unlimited: true}
`
