package bench

import (
	"context"
	"net"

	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
)

// Floor is a RateLimitService that answers OK and does nothing else, on grpc-go
// with its default options: what gRPC itself costs.
func Floor(ctx context.Context, listener net.Listener) error {
	server := grpc.NewServer()
	rlsv3.RegisterRateLimitServiceServer(server, floor{answer: &rlsv3.RateLimitResponse{OverallCode: rlsv3.RateLimitResponse_OK}})
	defer context.AfterFunc(ctx, server.Stop)()
	return server.Serve(listener)
}

type floor struct {
	rlsv3.UnimplementedRateLimitServiceServer
	answer *rlsv3.RateLimitResponse
}

func (f floor) ShouldRateLimit(context.Context, *rlsv3.RateLimitRequest) (*rlsv3.RateLimitResponse, error) {
	return f.answer, nil
}
