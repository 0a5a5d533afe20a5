package ratelimit_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	common "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/weir-rls/weir/internal/parts/partstest"
	"github.com/weir-rls/weir/ratelimit"
	"github.com/weir-rls/weir/ratelimit/settings"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(partstest.Suite{M: m}) }

// replica is a program that runs until the test ends.
type replica struct {
	*ratelimit.Program
	t    *testing.T
	log  *partstest.Log
	stop context.CancelFunc
	done chan error
}

const perMinute = "domain: d\ndescriptors:\n  - key: user\n    rate_limit: {unit: minute, requests_per_unit: 2}\n"

// tree is a RUNTIME_ROOT with one rule file, or with none.
func tree(t *testing.T, rules string) string {
	t.Helper()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "config"), 0o700); err != nil {
		t.Fatal(err)
	}
	if rules != "" {
		if err := os.WriteFile(filepath.Join(root, "config", "rules.yaml"), []byte(rules), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// environ is that of a program with the memory store and free ports on loopback.
func environ(root string, more ...string) []string {
	return append([]string{
		"BACKEND_TYPE=memory", "USE_STATSD=false", "HOST=127.0.0.1", "PORT=0", "GRPC_HOST=127.0.0.1", "GRPC_PORT=0", "DEBUG_HOST=127.0.0.1", "DEBUG_PORT=0",
		"RUNTIME_ROOT=" + root, "LOG_LEVEL=info", "WEIR_DRAIN_DELAY=0s", "WEIR_DRAIN_TIMEOUT=5s",
	}, more...)
}

func open(t *testing.T, log io.Writer, environ ...string) (*ratelimit.Program, error) {
	t.Helper()
	s, ignored, err := settings.Read(environ)
	if err != nil {
		t.Fatal(err)
	}
	return ratelimit.New(s, ratelimit.Options{Log: ratelimit.NewLogger(log, s.Log), Version: "v0", Ignored: ignored})
}

// begin starts a program, which may wait for rules.
func begin(t *testing.T, environ ...string) *replica {
	t.Helper()
	r := &replica{t: t, log: &partstest.Log{}, done: make(chan error, 1)}
	var err error
	if r.Program, err = open(t, r.log, environ...); err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, r.stop = context.WithCancel(context.Background())
	go func() { r.done <- r.Run(ctx) }()
	t.Cleanup(func() {
		if r.stop(); r.done == nil {
			return
		}
		if err := r.ended(); err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
	return r
}

// ended waits until the program has ended.
func (r *replica) ended() error {
	defer func() { r.done = nil }()
	select {
	case err := <-r.done:
		return err
	case <-time.After(20 * time.Second):
		r.t.Fatalf("it does not end:\n%s", r.log)
		return nil
	}
}

func start(t *testing.T, environ ...string) *replica {
	t.Helper()
	r := begin(t, environ...)
	r.ready()
	return r
}

func (r *replica) ready() {
	r.t.Helper()
	select {
	case <-r.Ready():
	case err := <-r.done:
		r.t.Fatalf("it ended before it was ready: %v", err)
	case <-time.After(20 * time.Second):
		r.t.Fatalf("it is not ready:\n%s", r.log)
	}
}

// get asks a port over HTTP, and closes the connection.
func get(t *testing.T, method, address, path, body string) (int, string, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header.Get("Content-Type"), string(text)
}

func (r *replica) connect(with credentials.TransportCredentials) *grpc.ClientConn {
	r.t.Helper()
	conn, err := grpc.NewClient(r.GRPCAddr(), grpc.WithTransportCredentials(with))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	return conn
}

func hit(domain, key string) *rls.RateLimitRequest {
	return &rls.RateLimitRequest{Domain: domain, Descriptors: []*common.RateLimitDescriptor{{Entries: []*common.RateLimitDescriptor_Entry{{Key: key, Value: "u"}}}}}
}

// ask asks once over a new connection.
func (r *replica) ask(with credentials.TransportCredentials) (*rls.RateLimitResponse, error) {
	r.t.Helper()
	conn := r.connect(with)
	defer conn.Close()
	ctx, cancel := context.WithTimeout(r.t.Context(), 5*time.Second)
	defer cancel()
	return rls.NewRateLimitServiceClient(conn).ShouldRateLimit(ctx, hit("d", "user"))
}

// serving is what grpc.health.v1 says of a service.
func (r *replica) serving(name string) healthpb.HealthCheckResponse_ServingStatus {
	r.t.Helper()
	conn := r.connect(insecure.NewCredentials())
	defer conn.Close()
	answer, err := healthpb.NewHealthClient(conn).Check(r.t.Context(), &healthpb.HealthCheckRequest{Service: name})
	if err != nil {
		r.t.Fatal(err)
	}
	return answer.Status
}

func TestEndpoints_AnswerByteForByte(t *testing.T) {
	r := start(t, environ(tree(t, perMinute))...)
	const jsonType, textType, asked = "application/json", "text/plain; charset=utf-8", `{"domain":"d","descriptors":[{"entries":[{"key":"user","value":"u"}],"hitsAddend":"2"}]}`
	for _, c := range []struct {
		address, method, path, body string
		status                      int
		kind, want                  string // ends with ...: begins with
	}{
		{r.HTTPAddr(), "GET", "/healthcheck", "", 200, textType, "OK"},
		{r.HTTPAddr(), "POST", "/healthcheck", "x", 200, textType, "OK"},
		{r.HTTPAddr(), "GET", "/readyz", "", 200, textType, "OK"},
		{r.HTTPAddr(), "GET", "/", "", 404, textType, "404 page not found\n"},
		{r.HTTPAddr(), "POST", "/json", asked, 200, jsonType, `{"overallCode":"OK","statuses":[{"code":"OK","currentLimit":{"requestsPerUnit":2,"unit":"MINUTE"},"durationUntilReset":"...`},
		{r.HTTPAddr(), "GET", "/json", asked, 429, jsonType, `{"overallCode":"OVER_LIMIT","statuses":[{"code":"OVER_LIMIT","currentLimit":{"requestsPerUnit":2,"unit":"MINUTE"},"durationUntilReset":"...`},
		{r.HTTPAddr(), "POST", "/json", `{"domain":"other","descriptors":[{}]}`, 200, jsonType, `{"overallCode":"OK","statuses":[{"code":"OK"}]}`},
		{r.HTTPAddr(), "POST", "/json", `{"descriptors":[{}]}`, 400, textType, "Bad Request\n"},
		{r.HTTPAddr(), "POST", "/json", `{"domain":"d"}`, 400, textType, "Bad Request\n"},
		{r.HTTPAddr(), "POST", "/json", `{`, 400, textType, "Bad Request\n"},
		{r.HTTPAddr(), "POST", "/json", ``, 400, textType, "Bad Request\n"},
		{r.DebugAddr(), "GET", "/", "", 200, textType, "/debug/pprof/: ..."},
		{r.DebugAddr(), "GET", "/anything", "", 200, textType, "/debug/pprof/: ..."},
		{r.DebugAddr(), "GET", "/rlconfig", "", 200, textType, "d.user: unit=MINUTE requests_per_unit=2, shadow_mode: false, quota_mode: false\n"},
		{r.DebugAddr(), "GET", "/stats", "", 200, textType, "cmdline: [..."},
		{r.DebugAddr(), "GET", "/debug/pprof/", "", 200, "text/html; charset=utf-8", "<html>..."},
		{r.DebugAddr(), "GET", "/debug/pprof/goroutine?debug=1", "", 200, textType, "goroutine profile: ..."},
		{r.DebugAddr(), "GET", "/debug/pprof/heap", "", 200, "application/octet-stream", "..."},
		{r.DebugAddr(), "GET", "/debug/pprof/cmdline", "", 200, textType, "..."},
		{r.DebugAddr(), "GET", "/debug/pprof/trace?seconds=0.01", "", 200, "application/octet-stream", "..."},
	} {
		status, kind, body := get(t, c.method, c.address, c.path, c.body)
		beginning, cut := strings.CutSuffix(c.want, "...")
		if status != c.status || kind != c.kind || body != c.want && !(cut && strings.HasPrefix(body, beginning)) {
			t.Errorf("%s %s %s: %d, %s, %.300q; want %d, %s, %q", c.method, c.path, c.body, status, kind, body, c.status, c.kind, c.want)
		}
	}
	_, _, stats := get(t, "GET", r.DebugAddr(), "/stats", "")
	if !strings.Contains(stats, "\nmemstats: {") {
		t.Errorf("/stats has not what expvar has, a line each: %.300s", stats)
	}
	if strings.Contains(stats, "USE_STATSD") {
		t.Error("/stats shows the environment")
	}
}

func TestGRPC_AnswersAndHasNoReflection(t *testing.T) {
	r := start(t, environ(tree(t, perMinute))...)
	for _, want := range []rls.RateLimitResponse_Code{rls.RateLimitResponse_OK, rls.RateLimitResponse_OK, rls.RateLimitResponse_OVER_LIMIT} {
		if answer, err := r.ask(insecure.NewCredentials()); err != nil || answer.OverallCode != want {
			t.Errorf("%v, %v, want %v", answer, err, want)
		}
	}
	conn := r.connect(insecure.NewCredentials())
	_, err := rls.NewRateLimitServiceClient(conn).ShouldRateLimit(t.Context(), hit("", "user"))
	if status.Code(err) != codes.Unknown || !strings.Contains(err.Error(), "rate limit domain must not be empty") {
		t.Errorf("an empty domain: %v", err)
	}
	err = conn.Invoke(t.Context(), "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", hit("d", "user"), &rls.RateLimitResponse{})
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("reflection: %v", err)
	}
}

// A port that another process has is an error that names the settings, and nothing is
// shared in secret.
func TestATakenPortIsAnErrorThatNamesTheSetting(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	for _, c := range []struct{ environ, want string }{
		{"PORT=" + port, "open the HTTP port (HOST, PORT): "},
		{"GRPC_PORT=" + port, "open the gRPC port (GRPC_HOST, GRPC_PORT): "},
		{"DEBUG_PORT=" + port, "open the debug port (DEBUG_HOST, DEBUG_PORT): "},
		{"CONFIG_TYPE=GRPC_XDS_SOTW PORT=" + port, "open the HTTP port (HOST, PORT): "}, // though it is opened later
		{"GRPC_UDS=/nowhere/s", "open the gRPC socket (GRPC_UDS): "},
		{"USE_PROMETHEUS=1 PROMETHEUS_ADDR=" + taken.Addr().String(), "PROMETHEUS_ADDR"},
	} {
		_, err := open(t, io.Discard, environ(tree(t, perMinute), strings.Fields(c.environ)...)...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.environ, err, c.want)
		}
	}
}

func TestSocket_OneThatAKilledProcessLeftIsNoHindrance(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	root := tree(t, perMinute)
	if _, err := open(t, io.Discard, environ(root, "GRPC_UDS="+socket)...); err == nil || !strings.Contains(err.Error(), "GRPC_UDS") {
		t.Errorf("a socket that is in use: %v", err)
	}
	left.Close()
	r := start(t, environ(root, "GRPC_UDS="+socket)...)
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := rls.NewRateLimitServiceClient(conn).ShouldRateLimit(t.Context(), hit("d", "user")); err != nil {
		t.Errorf("%v:\n%s", err, r.log)
	}
}
