package bench

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"
)

// answering is a rate limit service of one function.
type answering func(context.Context, *rlsv3.RateLimitRequest) (rlsv3.RateLimitResponse_Code, error)

func (a answering) ShouldRateLimit(ctx context.Context, request *rlsv3.RateLimitRequest) (*rlsv3.RateLimitResponse, error) {
	code, err := a(ctx, request)
	return &rlsv3.RateLimitResponse{OverallCode: code}, err
}

// inBubble runs f in virtual time with what connects to a server that answers:
// whatever does not wait takes no time at all.
func inBubble(t *testing.T, answer answering, f func(t *testing.T, open func(Load) *Generator)) {
	synctest.Test(t, func(t *testing.T) {
		listener := bufconn.Listen(1 << 20)
		server := grpc.NewServer()
		rlsv3.RegisterRateLimitServiceServer(server, answer)
		served := make(chan error, 1)
		go func() { served <- server.Serve(listener) }()
		f(t, func(l Load) *Generator {
			l.Target = "passthrough:///bubble"
			g, err := openWith(t.Context(), l, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
				return listener.DialContext(ctx)
			}))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(g.Close)
			return g
		})
		t.Cleanup(func() {
			server.Stop()
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
	})
}

// someLoad is right in all parts, and each test says which matter to it.
func someLoad() Load {
	return Load{
		Target: "127.0.0.1:1", Domain: "bench", Descriptors: []string{"user=%d"}, Keys: 10, Distribution: Uniform, Seed: 1,
		Hits: 1, InFlight: 4, Connections: 2, Timeout: 5 * time.Second,
	}
}
