package decide

import (
	"context"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/ratelimit/stats"
)

func decimal[N int | int32 | int64 | uint32](n N) string { return strconv.FormatInt(int64(n), 10) }

// clock is virtual time.
type clock struct{ at atomic.Int64 } // microseconds since the epoch

func newClock() *clock {
	c := &clock{}
	c.at.Store(1_800_000_000_000_000)
	return c
}

func (c *clock) now() time.Time          { return time.UnixMicro(c.at.Load()) }
func (c *clock) advance(d time.Duration) { c.at.Add(d.Microseconds()) }

// world is a service on real rules, stores in memory and virtual time.
type world struct {
	*Service
	clock *clock
	stats *stats.Stats
}

// newWorld makes one of rules in YAML, with what change makes of its options.
func newWorld(t testing.TB, yaml string, change func(*Options)) *world {
	t.Helper()
	return worldOf(t, loadRules(t, yaml), change)
}

func worldOf(t testing.TB, rules *descriptors.Rules, change func(*Options)) *world {
	t.Helper()
	c := newClock()
	counted, err := stats.New(stats.Options{})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Rules: func() *descriptors.Rules { return rules },
		Store: memory.New(memory.Options{Now: c.now}),
		Stats: counted, Settings: Settings{NearLimitRatio: 0.8}, Now: c.now,
	}
	if change != nil {
		change(&o)
	}
	return &world{New(o), c, counted}
}

// loadRules reads rule files, each of one domain.
func loadRules(t testing.TB, files ...string) *descriptors.Rules {
	t.Helper()
	source := descriptors.NewSource("", descriptors.Options{Dialect: descriptors.Reference})
	var given []descriptors.Given
	for i, yaml := range files {
		given = append(given, descriptors.Given{Name: decimal(i), Content: []byte(yaml)})
	}
	if report := source.Replace(given, true); report.Faults.Failed() {
		t.Fatal(report.Faults)
	}
	return source.Rules()
}

// wire is a client without a network: requests and answers take their wire form, and are
// read as from gRPC.
type wire struct{ *Service }

func (w wire) ShouldRateLimit(ctx context.Context, r *rls.RateLimitRequest, _ ...grpc.CallOption) (*rls.RateLimitResponse, error) {
	sent, err := proto.Marshal(r)
	if err != nil {
		return nil, err
	}
	return w.ask(ctx, sent)
}

func (w wire) ask(ctx context.Context, sent []byte) (*rls.RateLimitResponse, error) {
	answer, err := handle(w.Service, ctx, func(into any) error { return proto.Unmarshal(sent, into.(proto.Message)) }, nil)
	if err != nil {
		return nil, err
	}
	form, err := proto.Marshal(answer.(proto.Message))
	if err != nil {
		return nil, err
	}
	read := &rls.RateLimitResponse{}
	return read, proto.Unmarshal(form, read)
}

// dial is a client of the service over a gRPC server.
func dial(t testing.TB, s *Service) rls.RateLimitServiceClient {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	s.Register(server)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///weir", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return rls.NewRateLimitServiceClient(conn)
}
