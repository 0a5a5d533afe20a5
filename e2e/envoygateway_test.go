package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	ratelimit "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
	"github.com/weir-rls/weir/internal/parts/platform"
)

// nobody is the user that Envoy Gateway has its rate limit service run as.
const nobody = 65534

// deployed is weir as Envoy Gateway runs it, with Envoy Gateway's side played by the test.
type deployed struct {
	t     *testing.T
	weir  *parts.WeirProcess
	plane *partstest.ControlPlane
	redis *parts.Redis
	root  string // all of the file system that weir sees

	authority *partstest.Authority
}

// sealed makes a file system that has what Envoy Gateway's Deployment mounts, the program,
// and names of this machine's; the user of the program may change nothing in it.
func sealed(t *testing.T, authority *partstest.Authority) (root string) {
	t.Helper()
	root, err := os.MkdirTemp("", "weir-root-") // in no directory of the test's, which others may not enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	secret := filepath.Join(root, "certs", "..2026_01_01")
	for _, dir := range []string{secret, filepath.Join(root, "bin"), filepath.Join(root, "etc", "statsd-exporter")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	authority.Write(filepath.Join(secret, "ca.crt"))
	partstest.WritePair(t, authority.Both("envoy-ratelimit", "*.envoy-gateway-system"), filepath.Join(secret, "tls.crt"), filepath.Join(secret, "tls.key"))
	for _, file := range []string{"ca.crt", "tls.crt", "tls.key"} { // as the kubelet mounts a Secret
		if err := os.Chmod(filepath.Join(secret, file), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("..data/"+file, filepath.Join(root, "certs", file)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("..2026_01_01", filepath.Join(root, "certs", "..data")); err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string][]byte{
		"bin/ratelimit": read(t, weirBinary),
		"etc/hosts":     []byte("127.0.0.1 envoy-gateway redis.redis-system.svc.cluster.local\n"),

		"etc/statsd-exporter/conf.yaml": []byte(mapping),
	} {
		if err := os.WriteFile(filepath.Join(root, file), content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(root, 0o555); err != nil {
		t.Fatal(err)
	}
	return root
}

// deploy runs weir by the environment of examples/envoy-gateway/deployment.yaml, of which
// ports are the only change, and the pause before it ends, against a control plane whose certificate has that name.
func deploy(t *testing.T, planeName string) *deployed {
	t.Helper()
	authority := partstest.NewAuthority(t)
	d := &deployed{t: t, authority: authority, root: sealed(t, authority), redis: partstest.Redis(t, parts.RedisServer)}
	d.plane = partstest.StartControlPlane(t, "127.0.0.1:0", "envoy-ratelimit", &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}, Certificates: []tls.Certificate{authority.Both(planeName)},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority.Pool(),
	})
	container, err := platform.ReadContainer("../examples/envoy-gateway/deployment.yaml", "envoy-ratelimit")
	if err != nil {
		t.Fatal(err)
	}
	environ := container.Environ()
	for i, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		switch name {
		case "CONFIG_GRPC_XDS_SERVER_URL":
			environ[i] = name + "=" + at(value, d.plane.Addr)
		case "REDIS_URL":
			environ[i] = name + "=" + at(value, d.redis.Addr)
		case "PROMETHEUS_ADDR":
			environ[i] = name + "=:0"
		}
	}
	environ = append(environ, "PORT=0", "GRPC_PORT=0", "DEBUG_PORT=0", "WEIR_DRAIN_DELAY=0s")
	program := parts.Program{Path: container.Command[0], Args: container.Args, Env: environ, Dir: "/", Root: d.root, User: nobody}
	if os.Getuid() != 0 {
		program = d.unsealed(program)
	}
	d.weir, err = parts.StartRatelimit(program)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.weir.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("weir wrote:\n%s", d.weir.Output())
		}
	})
	for _, addr := range []*string{&d.weir.GRPC, &d.weir.HTTP, &d.weir.Debug, &d.weir.Metrics} { // of all interfaces
		*addr = at("127.0.0.1:", *addr)
	}
	return d
}

// unsealed is the program for who may not change roots and users: by the places of its files
// on this machine, which does not know the names of the others.
func (d *deployed) unsealed(p parts.Program) parts.Program {
	p.Path, p.Root, p.User = d.root+p.Path, "", 0
	for i, variable := range p.Env {
		variable = strings.NewReplacer("=/certs/", "="+d.root+"/certs/", "=/etc/", "="+d.root+"/etc/").Replace(variable)
		p.Env[i] = strings.NewReplacer("=envoy-gateway:", "=127.0.0.1:", "=redis.redis-system.svc.cluster.local:", "=127.0.0.1:").Replace(variable)
	}
	p.Env = append(p.Env, "CONFIG_GRPC_XDS_SERVER_TLS_SAN=envoy-gateway")
	return p
}

// at is a host with the port of another address.
func at(host, port string) string {
	host, _, _ = strings.Cut(host, ":")
	return net.JoinHostPort(host, port[strings.LastIndex(port, ":")+1:])
}

// send sends rules, which are YAML, and waits until they are acknowledged.
func (d *deployed) send(version, text string) {
	d.t.Helper()
	rules, err := platform.ParseRules([]byte(text))
	if err != nil {
		d.t.Fatal(err)
	}
	d.plane.Set(version, rules...)
	d.plane.Answered(version, false)
}

// connect opens a connection to weir as an Envoy without a certificate would.
func (d *deployed) connect() rls.RateLimitServiceClient {
	d.t.Helper()
	secure := credentials.NewTLS(&tls.Config{RootCAs: d.authority.Pool(), ServerName: "envoy-ratelimit"})
	conn, err := grpc.NewClient(d.weir.GRPC, grpc.WithTransportCredentials(secure))
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = conn.Close() })
	return rls.NewRateLimitServiceClient(conn)
}

// page reads a page of weir's.
func (d *deployed) page(url string) answer {
	d.t.Helper()
	return get(client(d.t, 1), "http://"+url, nil)
}

// mapping is as short as one may be that Envoy Gateway's tests can do with.
const mapping = `
mappings:
- match: ratelimit.service.rate_limit.*.*.*.over_limit
  name: ratelimit_service_rate_limit_over_limit
  labels: {domain: $1, key1: $2, key2: $3}
- match: ratelimit.service.rate_limit.*.*.*.shadow_mode
  name: ratelimit_service_rate_limit_shadow_mode
  labels: {domain: $1, key1: $2, key2: $3}
- match: ratelimit_server.*.total_requests
  name: ratelimit_service_total_requests
  labels: {grpc_method: $1}
- match: ratelimit.service.config_load_success
  name: ratelimit_service_config_load_success
- match: ratelimit.service.config_load_error
  name: ratelimit_service_config_load_error
- {match: ".", match_type: regex, action: drop, name: dropped}
`

const hourly = `
name: eg
domain: eg
descriptors:
- key: route
  value: route
  descriptors:
  - {key: rule-0-match--1, value: rule-0-match--1, rate_limit: {unit: %s, requests_per_unit: %d}}
`

// As Envoy Gateway starts it weir is healthy before there are rules, takes those of a control
// plane that knows it by its certificate, rejects faulty ones, and writes nowhere.
func TestEnvoyGateway_RunsWeirAsItRunsTheReference(t *testing.T) {
	d := deploy(t, "envoy-gateway")
	if a := d.page(d.weir.HTTP + "/healthcheck"); a.status != 200 || a.body != "OK" {
		t.Errorf("the probes are told %d %q", a.status, a.body)
	}
	user := nobody
	if os.Getuid() != 0 {
		user = os.Getuid()
	}
	if info, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.weir.Pid())); runtime.GOOS == "linux" && (err != nil || !strings.Contains(string(info), "\nUid:\t"+strings.Repeat(strconv.Itoa(user)+"\t", 3))) {
		t.Errorf("it runs as another user: %v\n%s", err, info)
	}
	d.send("1", fmt.Sprintf(hourly, "HOUR", 3))
	first := d.plane.Requests()[0]
	if first.GetNode().GetId() != "envoy-ratelimit" || first.GetTypeUrl() != "type.googleapis.com/ratelimit.config.ratelimit.v3.RateLimitConfig" {
		t.Errorf("it asks as %v for %s", first.GetNode(), first.GetTypeUrl())
	}
	const inForce = "eg.route_route.rule-0-match--1_rule-0-match--1: unit=HOUR requests_per_unit=%d, shadow_mode: false, quota_mode: false\n"
	is := func(limit int) {
		t.Helper()
		if got, want := d.page(d.weir.Debug+"/rlconfig").body, fmt.Sprintf(inForce, limit); got != want {
			t.Errorf("/rlconfig is %q, want %q", got, want)
		}
	}
	is(3)
	d.send("2", fmt.Sprintf(hourly, "HOUR", 4))
	is(4)

	faulty, err := platform.ParseRules([]byte(fmt.Sprintf(hourly, "", 5)))
	if err != nil {
		t.Fatal(err)
	}
	d.plane.Set("3", faulty...)
	if told := d.plane.Answered("2", true).GetErrorDetail().GetMessage(); !strings.Contains(told, "rule-0-match--1") || !strings.Contains(told, "unit") {
		t.Errorf("the control plane is told %q", told)
	}
	is(4)
	for series, want := range map[string]int{"ratelimit_service_config_load_success": 2, "ratelimit_service_config_load_error": 1} {
		if got := metricOf(t, d.weir, series); got != want {
			t.Errorf("%s is %d, want %d", series, got, want)
		}
	}
	d.send("4", fmt.Sprintf(hourly, "HOUR", 6))
	is(6)
}

// A control plane that anybody could be is not believed.
func TestEnvoyGateway_WeirTakesNoRulesOfAnotherName(t *testing.T) {
	d := deploy(t, "other-gateway")
	eventually(t, "the log tells of the certificate", func() bool {
		return strings.Contains(d.weir.Output(), "x509: certificate is valid for other-gateway, not envoy-gateway")
	})
	if asked := d.plane.Requests(); len(asked) > 0 {
		t.Errorf("it asked %v", asked)
	}
	if a := d.page(d.weir.HTTP + "/healthcheck"); a.status != 200 {
		t.Errorf("without rules it is %d", a.status)
	}
}

// A call that waits for Redis when the pod is ended gets its answer, well within the grace
// period of 300 s.
func TestEnvoyGateway_ACallUnderWayEndsBeforeWeirDoes(t *testing.T) {
	d := deploy(t, "envoy-gateway")
	d.send("1", fmt.Sprintf(hourly, "HOUR", 1))
	service := d.connect()
	question := &rls.RateLimitRequest{Domain: "eg", Descriptors: []*ratelimit.RateLimitDescriptor{{Entries: []*ratelimit.RateLimitDescriptor_Entry{
		{Key: "route", Value: "route"}, {Key: "rule-0-match--1", Value: "rule-0-match--1"},
	}}}}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if a, err := service.ShouldRateLimit(ctx, question); err != nil || a.OverallCode != rls.RateLimitResponse_OK {
		t.Fatalf("%v, %v", a, err)
	}
	if err := d.redis.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.redis.Signal(syscall.SIGCONT) })
	code := make(chan rls.RateLimitResponse_Code, 1)
	go func() {
		a, err := service.ShouldRateLimit(ctx, question)
		if err != nil {
			t.Errorf("the call under way: %v", err)
		}
		code <- a.GetOverallCode()
	}()
	eventually(t, "the call has come", func() bool {
		return metricOf(t, d.weir, `ratelimit_service_total_requests{grpc_method="ShouldRateLimit"}`) == 2
	})
	if err := d.weir.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it ends", func() bool { return strings.Contains(d.weir.Output(), "msg=draining") })
	if err := d.redis.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if got := <-code; got != rls.RateLimitResponse_OVER_LIMIT {
		t.Errorf("the call under way is answered %v", got)
	}
	if err := d.weir.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}
