package app_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/weir-rls/weir/internal/app"
	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/internal/parts/partstest"
	"github.com/weir-rls/weir/internal/telemetry"
)

const oneRule = `
domain: d
descriptors:
  - {key: user, limits: [{name: per-user, rate: 2/hour}]}
`

// replica is a running weir.
type replica struct {
	*app.App
	t     *testing.T
	rules string // the rule file
	log   *partstest.Log
	conn  *grpc.ClientConn
	stop  func() // begins the drain
	ended chan error
}

func start(t *testing.T, rules string, change func(*config.Settings)) *replica {
	t.Helper()
	r := &replica{t: t, rules: filepath.Join(t.TempDir(), "rules.yaml"), log: &partstest.Log{}, ended: make(chan error, 1)}
	r.writeRules(rules)
	s := config.Settings{
		Rules: r.rules, WaitForRules: true, GRPCListen: "127.0.0.1:0", HTTPListen: "127.0.0.1:0", Store: config.StoreMemory,
		MemoryMaxBuckets: 1000, MaxDescriptors: 32, MaxMessageBytes: 2 << 20, GRPCMaxStreams: 1024, StoreTimeout: time.Second, DrainTimeout: 5 * time.Second,
		GRPCKeepaliveTime: time.Minute, GRPCKeepaliveTimeout: time.Minute,
	}
	if change != nil {
		change(&s)
	}
	var err error
	if r.App, err = app.New(s, app.Options{Log: telemetry.NewLogger(r.log, slog.LevelInfo), Version: "test"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	go func() { r.ended <- r.Run(ctx) }()
	if r.conn, err = grpc.NewClient(r.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		r.conn.Close()
		select {
		case err := <-r.ended:
			if err != nil {
				t.Errorf("the replica ended with %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("the replica does not stop")
		}
	})
	return r
}

func (r *replica) writeRules(text string) {
	r.t.Helper()
	if err := os.WriteFile(r.rules, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// get answers the status and the body of a page.
func (r *replica) get(path string) (int, string) {
	r.t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + r.HTTPAddr() + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// page is the body of an answer.
func (r *replica) page(request *http.Request) string {
	r.t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(body)
}

// metric is the value of a series, 0 if there is none yet.
func (r *replica) metric(series string) float64 {
	r.t.Helper()
	_, page := r.get("/metrics")
	for line := range strings.Lines(page) {
		if value, found := strings.CutPrefix(line, series+" "); found {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				r.t.Fatal(err)
			}
			return n
		}
	}
	return 0
}

// call sends the raw wire form of a request to ShouldRateLimit.
func (r *replica) call(wire []byte) (*rls.RateLimitResponse, error) {
	return r.callWith(r.t.Context(), wire)
}

func (r *replica) callWith(ctx context.Context, wire []byte) (*rls.RateLimitResponse, error) {
	answer := &rls.RateLimitResponse{}
	err := r.conn.Invoke(ctx, "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit", wire, answer,
		grpc.ForceCodecV2(rawRequests{encoding.GetCodecV2("proto")}))
	return answer, err
}

// rawRequests sends bytes as they are, which a Go client otherwise does not do
// with text that is no UTF-8, and Envoy does.
type rawRequests struct{ encoding.CodecV2 }

func (rawRequests) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

// wire is a request with one descriptor of one entry.
func wire(domain, key, value string) []byte {
	return append(field(1, domain), field(2, string(field(1, string(field(1, key))+string(field(2, value)))))...)
}

func field(number protowire.Number, content string) []byte {
	return protowire.AppendString(protowire.AppendTag(nil, number, protowire.BytesType), content)
}

// serving is the health of the server, which that of its service must equal.
func (r *replica) serving() healthpb.HealthCheckResponse_ServingStatus {
	r.t.Helper()
	client := healthpb.NewHealthClient(r.conn)
	server, err := client.Check(r.t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, name := range []string{"envoy.service.ratelimit.v3.RateLimitService", "ratelimit"} {
		service, err := client.Check(r.t.Context(), &healthpb.HealthCheckRequest{Service: name})
		if err != nil {
			r.t.Fatal(err)
		}
		if server.Status != service.Status && server.Status == healthpb.HealthCheckResponse_SERVING {
			r.t.Errorf("the server is %v, its service %s %v", server.Status, name, service.Status)
		}
	}
	return server.Status
}
