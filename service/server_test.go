package service

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/weir-rls/weir/descriptors"
)

// One request that meets a bug must cost that request and not the process.
func TestAPanicInAHandlerAnswersInternalAndIsCounted(t *testing.T) {
	var log bytes.Buffer
	var panics atomic.Int32
	w := newWorld(t, weighted)
	rules, broken := w.options.Rules, true
	w.options.Rules = func() *descriptors.Rules {
		if broken {
			panic("a bug\nwith a line of its own")
		}
		return rules()
	}
	server := grpc.NewServer(ServerOptions(slog.New(slog.NewJSONHandler(&log, nil)), func() { panics.Add(1) })...)
	w.Register(server)
	listener := bufconn.Listen(1 << 16)
	go server.Serve(listener)
	defer server.Stop()
	conn, err := grpc.NewClient("passthrough:weir", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return listener.Dial() }))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := rls.NewRateLimitServiceClient(conn)

	if _, err := client.ShouldRateLimit(t.Context(), request("user=u")); status.Code(err) != codes.Internal || strings.Contains(err.Error(), "bug") {
		t.Errorf("got %v, want INTERNAL without the cause", err)
	}
	if panics.Load() != 1 || strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "server_test.go") {
		t.Errorf("%d panics counted, log: %s", panics.Load(), log.String())
	}
	broken = false
	if _, err := client.ShouldRateLimit(t.Context(), request("user=u")); err != nil {
		t.Errorf("the server did not survive: %v", err)
	}
}
