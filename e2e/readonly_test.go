package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	ratelimit "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// unwritable is a directory with files, and a script in it that starts a weir, by a name,
// as a user whom nobody knows and who may write no file, with variables alone.
func unwritable(t *testing.T, name string, uid int, variables string, files map[string]string) (dir, script string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "weir-readonly-") // in no directory of the test's, which others may not enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o700); _ = os.RemoveAll(dir) })
	file := func(name string, content []byte, mode os.FileMode) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	as := ""
	if os.Getuid() == 0 {
		as = fmt.Sprintf("setpriv --reuid %[1]d --regid %[1]d --clear-groups", uid)
	}
	binary := file(name, read(t, weirBinary), 0o555)
	for name, content := range files {
		file(name, []byte(content), 0o444)
	}
	// A limit of 0 bytes holds for files wherever they are, /tmp included.
	script = file("start", fmt.Appendf(nil, "#!/bin/sh\nset -e\ncd %s\nulimit -f 0\nexec env -i PATH=\"$PATH\" TMPDIR=/nowhere %s %s %s \"$@\"\n", dir, variables, as, binary), 0o555)
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	return dir, script
}

// admitsOne asks twice, of which the first time is admitted.
func admitsOne(t *testing.T, addr string) {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, want := range []rls.RateLimitResponse_Code{rls.RateLimitResponse_OK, rls.RateLimitResponse_OVER_LIMIT} {
		answer, err := rls.NewRateLimitServiceClient(conn).ShouldRateLimit(ctx, &rls.RateLimitRequest{Domain: "d", Descriptors: []*ratelimit.RateLimitDescriptor{
			{Entries: []*ratelimit.RateLimitDescriptor_Entry{{Key: "user", Value: "u"}}},
		}})
		if err != nil || answer.OverallCode != want {
			t.Errorf("%v, %v; want %v", answer, err, want)
		}
	}
}

// A container whose root is read-only, run by a user that the image does not know and with an
// empty environment, is enough: a weir that may write to no file serves.
func TestReadOnly_WeirServesWhereItCanWriteNothing(t *testing.T) {
	dir, script := unwritable(t, "weir", 65532, "", map[string]string{"rules.yaml": "domain: d\ndescriptors: [{key: user, limits: [{rate: 1/hour}]}]\n"})
	rules := filepath.Join(dir, "rules.yaml")
	weir := partstest.Weir(t, script, "--rules", rules, "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--drain-delay", "0s")
	admitsOne(t, weir.GRPC)
	if n, err := weir.Metric("go_goroutines"); err != nil || n == 0 {
		t.Errorf("metrics: %v", err)
	}
	// Else the set-up forbids nothing.
	if keeps, err := parts.StartWeir(script, "--rules", rules, "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--state-dir", filepath.Join(dir, "state")); err == nil {
		t.Error("a weir that keeps its state could write it", keeps.Kill())
	}
}

// Envoy Gateway starts /bin/ratelimit as user 65534 on a read-only root.
func TestReadOnly_TheDropInServesWhereItCanWriteNothing(t *testing.T) {
	_, script := unwritable(t, "ratelimit", 65534,
		"BACKEND_TYPE=memory USE_STATSD=false USE_PROMETHEUS=true PROMETHEUS_ADDR=127.0.0.1:0 LOG_LEVEL=info LOG_FORMAT=json RUNTIME_ROOT=. RUNTIME_WATCH_ROOT=false "+
			"RUNTIME_IGNOREDOTFILES=true HOST=127.0.0.1 PORT=0 GRPC_HOST=127.0.0.1 GRPC_PORT=0 DEBUG_HOST=127.0.0.1 DEBUG_PORT=0 WEIR_DRAIN_DELAY=0s",
		map[string]string{"config/rules.yaml": "domain: d\ndescriptors: [{key: user, rate_limit: {unit: day, requests_per_unit: 1}}]\n"})
	admitsOne(t, partstest.Weir(t, script).GRPC)
}
