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

// A container whose root is read-only, run by a user that the image does not know and with an
// empty environment, is enough: a weir that may write to no file serves.
func TestReadOnly_WeirServesWhereItCanWriteNothing(t *testing.T) {
	dir, err := os.MkdirTemp("", "weir-readonly-") // in no directory of the test's, which others may not enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o700); _ = os.RemoveAll(dir) })
	file := func(name string, content []byte, mode os.FileMode) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	as := ""
	if os.Getuid() == 0 {
		as = "setpriv --reuid 65532 --regid 65532 --clear-groups"
	}
	binary := file("weir", read(t, weirBinary), 0o555)
	rules := file("rules.yaml", []byte("domain: d\ndescriptors: [{key: user, limits: [{rate: 1/hour}]}]\n"), 0o444)
	// A limit of 0 bytes holds for files wherever they are, /tmp included.
	script := file("start", fmt.Appendf(nil, "#!/bin/sh\nset -e\ncd %s\nulimit -f 0\nexec env -i PATH=\"$PATH\" TMPDIR=/nowhere %s %s \"$@\"\n", dir, as, binary), 0o555)
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	weir := partstest.Weir(t, script, "--rules", rules, "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--drain-delay", "0s")

	conn, err := grpc.NewClient(weir.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
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
	if n, err := weir.Metric("go_goroutines"); err != nil || n == 0 {
		t.Errorf("metrics: %v", err)
	}
	// Else the set-up forbids nothing.
	if keeps, err := parts.StartWeir(script, "--rules", rules, "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--state-dir", filepath.Join(dir, "state")); err == nil {
		t.Error("a weir that keeps its state could write it", keeps.Kill())
	}
}
