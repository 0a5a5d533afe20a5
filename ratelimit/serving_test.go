package ratelimit_test

import (
	"crypto/tls"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

const (
	serves   = healthpb.HealthCheckResponse_SERVING
	servesNo = healthpb.HealthCheckResponse_NOT_SERVING
)

// healthy tells what both health checks say, which must be the same.
func (r *replica) healthy() bool {
	r.t.Helper()
	if whole := r.serving(""); whole != serves {
		r.t.Errorf("the server as a whole is %v", whole)
	}
	named := r.serving("ratelimit") == serves
	code, _, body := get(r.t, "GET", r.HTTPAddr(), "/healthcheck", "")
	switch {
	case code == 200 && body == "OK" && named:
		return true
	case code == 500 && body == "" && !named:
		return false
	}
	r.t.Errorf("/healthcheck is %d %q, and grpc.health.v1 says %v", code, body, named)
	return named
}

func TestHealth_OfAnUnknownServiceIsNotFound(t *testing.T) {
	r := start(t, environ(tree(t, perMinute))...)
	if !r.healthy() {
		t.Error("it is not healthy")
	}
	_, err := healthpb.NewHealthClient(r.connect(insecure.NewCredentials())).Check(t.Context(), &healthpb.HealthCheckRequest{Service: "other"})
	if status.Code(err) != codes.NotFound {
		t.Errorf("%v", err)
	}
}

func TestHealth_WaitsForRulesIfItIsTo(t *testing.T) {
	root := tree(t, "")
	r := start(t, environ(root, "HEALTHY_WITH_AT_LEAST_ONE_CONFIG_LOADED=true", "RUNTIME_WATCH_ROOT=false")...)
	if r.healthy() {
		t.Error("it is healthy without rules")
	}
	if !start(t, environ(root)...).healthy() {
		t.Error("it is not healthy without rules, though it need not wait")
	}
	if err := os.WriteFile(filepath.Join(root, "config", "r.yaml"), []byte(perMinute), 0o600); err != nil {
		t.Fatal(err)
	}
	partstest.Eventually(t, 10*time.Second, "healthy with rules", func() bool { return r.serving("ratelimit") == serves })
	if !r.healthy() {
		t.Error("it is not healthy with rules")
	}
}

// closedPort is one of loopback that nobody listens at.
func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func TestHealth_FollowsRedis(t *testing.T) {
	redis := []string{"BACKEND_TYPE=redis", "REDIS_SOCKET_TYPE=tcp", "REDIS_URL=" + closedPort(t), "REDIS_STARTUP_INITIAL_INTERVAL=20ms"}
	r := start(t, environ(tree(t, perMinute), redis...)...)
	if r.healthy() {
		t.Error("it is healthy and Redis never answered")
	}
	if _, err := r.ask(insecure.NewCredentials()); status.Code(err) != codes.Unknown {
		t.Errorf("without Redis: %v, want UNKNOWN", err)
	}
	local := "defaults: {on_store_error: local}\n" + perMinute
	if answer, err := start(t, environ(tree(t, local), redis...)...).ask(insecure.NewCredentials()); err != nil || len(answer.Statuses) != 1 {
		t.Errorf("without Redis, by rules that are judged in memory then: %v, %v", answer, err)
	}
	given := begin(t, environ(tree(t, perMinute), append(redis, "REDIS_STARTUP_MAX_ELAPSED_TIME=100ms")...)...)
	if err := given.ended(); err == nil || !strings.Contains(err.Error(), "REDIS_STARTUP_MAX_ELAPSED_TIME") {
		t.Errorf("it waits for Redis longer than it is to, or does not say so: %v", err)
	}
}

func TestHealth_FollowsConnectionsToRedisIfItIsTo(t *testing.T) {
	way := partstest.Way(t, partstest.Redis(t, parts.RedisServer).Addr)
	redis := []string{"BACKEND_TYPE=redis", "REDIS_SOCKET_TYPE=tcp", "REDIS_URL=" + way.Addr}
	r := start(t, environ(tree(t, perMinute), append(redis, "REDIS_HEALTH_CHECK_ACTIVE_CONNECTION=true")...)...)
	settled := func(want healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		partstest.Eventually(t, 10*time.Second, want.String(), func() bool { return r.serving("ratelimit") == want })
		if r.healthy() != (want == serves) {
			t.Errorf("it is not %v any more", want)
		}
	}
	settled(serves)
	way.Close(true)
	settled(servesNo)
	way.Close(false)
	settled(serves)
}

// Who stops is not healthy at once, and goes on answering: those that have asked, and
// for the delay also who asks then. Who only watches does not hold it up.
func TestStop_CallsUnderWayFinish(t *testing.T) {
	r := start(t, environ(tree(t, perMinute), "WEIR_DRAIN_DELAY=300ms", "WEIR_DRAIN_TIMEOUT=10s")...)
	conn := r.connect(insecure.NewCredentials())
	watch, err := healthpb.NewHealthClient(conn).Watch(t.Context(), &healthpb.HealthCheckRequest{Service: "ratelimit"})
	if err != nil {
		t.Fatal(err)
	}
	next := func() healthpb.HealthCheckResponse_ServingStatus {
		answer, err := watch.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return answer.Status
	}
	if got := next(); got != serves {
		t.Errorf("at first it is %v", got)
	}
	call := silent(t, conn)
	if _, err := r.ask(insecure.NewCredentials()); err != nil { // so that the call before has come, too
		t.Fatal(err)
	}
	reader, writer := io.Pipe()
	overHTTP := make(chan int, 1)
	go func() {
		request, _ := http.NewRequest("POST", "http://"+r.HTTPAddr()+"/json", reader)
		request.Close = true
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			overHTTP <- 0
			return
		}
		answer.Body.Close()
		overHTTP <- answer.StatusCode
	}()
	_, _ = io.WriteString(writer, `{"domain":"d",`)

	r.stop()
	if got := next(); got != servesNo {
		t.Errorf("when it stops it is %v", got)
	}
	if answer, err := r.ask(insecure.NewCredentials()); err != nil || answer.OverallCode != rls.RateLimitResponse_OK {
		t.Errorf("within the delay: %v, %v", answer, err)
	}
	partstest.Eventually(t, 10*time.Second, "the streams are ended", func() bool { _, err := watch.Recv(); return err != nil })
	time.Sleep(20 * time.Millisecond)
	answer := &rls.RateLimitResponse{}
	if err := call.SendMsg(hit("d", "user")); err != nil {
		t.Fatal(err)
	}
	if err := call.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := call.RecvMsg(answer); err != nil || answer.OverallCode != rls.RateLimitResponse_OVER_LIMIT {
		t.Errorf("the call that was under way: %v, %v", answer, err)
	}
	_, _ = io.WriteString(writer, `"descriptors":[{}]}`)
	_ = writer.Close()
	if code := <-overHTTP; code != http.StatusOK {
		t.Errorf("the request to /json that was under way: %d", code)
	}
	if err := r.ended(); err != nil {
		t.Error(err)
	}
}

// silent is a call that has not sent its message yet.
func silent(t *testing.T, conn *grpc.ClientConn) grpc.ClientStream {
	t.Helper()
	call, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, rls.RateLimitService_ShouldRateLimit_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	return call
}

// One that never sends its message does not hold the program up without end.
func TestStop_IsBounded(t *testing.T) {
	r := start(t, environ(tree(t, perMinute), "WEIR_DRAIN_TIMEOUT=100ms")...)
	conn := r.connect(insecure.NewCredentials())
	silent(t, conn)
	if _, err := rls.NewRateLimitServiceClient(conn).ShouldRateLimit(t.Context(), hit("d", "user")); err != nil {
		t.Fatal(err)
	}
	r.stop()
	if err := r.ended(); err != nil || !strings.Contains(r.log.String(), "are cut off") {
		t.Errorf("%v:\n%s", err, r.log)
	}
}

// pki are the certificates of a server, and authorities of both sides.
type pki struct {
	t                *testing.T
	servers, clients *partstest.Authority
	dir              string
}

func newPKI(t *testing.T) *pki {
	p := &pki{t: t, servers: partstest.NewAuthority(t), clients: partstest.NewAuthority(t), dir: t.TempDir()}
	p.replace()
	p.servers.Write(p.path("servers.pem"))
	p.clients.Write(p.path("clients.pem"))
	return p
}

func (p *pki) path(name string) string { return filepath.Join(p.dir, name) }

func (p *pki) replace() *big.Int {
	made := p.servers.Server("weir")
	partstest.WritePair(p.t, made, p.path("tls.crt"), p.path("tls.key"))
	return made.Leaf.SerialNumber
}

func (p *pki) environ(more ...string) []string {
	return append([]string{"GRPC_SERVER_USE_TLS=true", "GRPC_SERVER_TLS_CERT=" + p.path("tls.crt"), "GRPC_SERVER_TLS_KEY=" + p.path("tls.key")}, more...)
}

// served asks once and answers the serial number of the certificate that was shown, nil if
// nobody answered.
func (p *pki) served(r *replica, shown ...tls.Certificate) (serial *big.Int) {
	p.t.Helper()
	secure := &tls.Config{RootCAs: p.servers.Pool(), ServerName: "weir", Certificates: shown, VerifyConnection: func(s tls.ConnectionState) error {
		serial = s.PeerCertificates[0].SerialNumber
		return nil
	}}
	if _, err := r.ask(credentials.NewTLS(secure)); err != nil {
		return nil
	}
	return serial
}

// GRPC_SERVER_TLS_CA_CERT is a name that Envoy Gateway sets and the reference does not read:
// no client is verified by it.
func TestTLS_WithoutAuthoritiesNoClientIsVerified(t *testing.T) {
	p := newPKI(t)
	r := start(t, environ(tree(t, perMinute), p.environ("GRPC_SERVER_TLS_CA_CERT="+p.path("clients.pem"), "GRPC_CLIENT_TLS_SAN=envoy")...)...)
	if p.served(r) == nil || p.served(r, partstest.NewAuthority(t).Client("whoever")) == nil {
		t.Errorf("a client was verified:\n%s", r.log)
	}
	if _, err := r.ask(insecure.NewCredentials()); err == nil {
		t.Error("a client without TLS was answered")
	}
	if !strings.Contains(r.log.String(), "variable=GRPC_CLIENT_TLS_SAN") {
		t.Errorf("that the name has no effect is not told:\n%s", r.log)
	}
}

func TestTLS_WithAuthoritiesEachClientNeedsACertificateAndItsName(t *testing.T) {
	p := newPKI(t)
	any := start(t, environ(tree(t, ""), p.environ("GRPC_CLIENT_TLS_CACERT="+p.path("clients.pem"))...)...)
	named := start(t, environ(tree(t, ""), p.environ("GRPC_CLIENT_TLS_CACERT="+p.path("clients.pem"), "GRPC_CLIENT_TLS_SAN=envoy.edge")...)...)
	for name, c := range map[string]struct {
		shown          []tls.Certificate
		ofAny, ofNamed bool
	}{
		"the name":          {[]tls.Certificate{p.clients.Client("other", "envoy.edge")}, true, true},
		"a pattern of it":   {[]tls.Certificate{p.clients.Client("*.edge")}, true, true},
		"another name":      {[]tls.Certificate{p.clients.Client("envoy")}, true, false},
		"no certificate":    {nil, false, false},
		"another authority": {[]tls.Certificate{partstest.NewAuthority(t).Client("envoy.edge")}, false, false},
	} {
		if ofAny, ofNamed := p.reaches(any, c.shown), p.reaches(named, c.shown); ofAny != c.ofAny || ofNamed != c.ofNamed {
			t.Errorf("%s: answered %v, and where a name is wanted %v", name, ofAny, ofNamed)
		}
	}
}

// reaches tells whether a client is answered.
func (p *pki) reaches(r *replica, shown []tls.Certificate) bool {
	secure := &tls.Config{RootCAs: p.servers.Pool(), ServerName: "weir", Certificates: shown}
	_, err := r.ask(credentials.NewTLS(secure))
	return err == nil
}

func TestTLS_AReplacedCertificateServes(t *testing.T) {
	p := newPKI(t)
	r := start(t, environ(tree(t, "domain: d\n"), p.environ()...)...)
	before := p.served(r)
	next := p.replace()
	if before == nil || before.Cmp(next) == 0 {
		t.Fatalf("certificate %v serves before", before)
	}
	partstest.Eventually(t, 10*time.Second, "the next certificate", func() bool { got := p.served(r); return got != nil && got.Cmp(next) == 0 })
}

func TestTLS_FilesThatCannotBeUsedAreAnErrorThatNamesTheSetting(t *testing.T) {
	p := newPKI(t)
	for want, more := range map[string][]string{
		"GRPC_SERVER_TLS_CERT, GRPC_SERVER_TLS_KEY":                       p.environ("GRPC_SERVER_TLS_CERT=/nowhere"),
		"GRPC_CLIENT_TLS_CACERT":                                          p.environ("GRPC_CLIENT_TLS_CACERT=" + p.path("tls.key")),
		"CONFIG_GRPC_XDS_SERVER_TLS_CACERT":                               {"CONFIG_TYPE=GRPC_XDS_SOTW", "CONFIG_GRPC_XDS_SERVER_USE_TLS=1", "CONFIG_GRPC_XDS_SERVER_TLS_CACERT=/nowhere"},
		"CONFIG_GRPC_XDS_CLIENT_TLS_CERT, CONFIG_GRPC_XDS_CLIENT_TLS_KEY": {"CONFIG_TYPE=GRPC_XDS_SOTW", "CONFIG_GRPC_XDS_SERVER_USE_TLS=1", "CONFIG_GRPC_XDS_CLIENT_TLS_CERT=/nowhere", "CONFIG_GRPC_XDS_CLIENT_TLS_KEY=/nowhere"},
	} {
		if _, err := open(t, io.Discard, environ(tree(t, perMinute), more...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want it to name %s", err, want)
		}
	}
}
