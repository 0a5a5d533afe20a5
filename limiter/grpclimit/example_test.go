package grpclimit_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/weir-rls/weir/limiter"
	"github.com/weir-rls/weir/limiter/grpclimit"
)

// Two calls and one stream an hour for each client's address.
func Example() {
	limits, err := limiter.New(limiter.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer limits.Close()
	streams := func(ctx context.Context, method string) string { return "streams " + grpclimit.Peer(ctx, method) }

	server := grpc.NewServer(
		grpc.ChainUnaryInterceptor(grpclimit.UnaryServerInterceptor(limits, grpclimit.Peer,
			limiter.WithCapacity(2), limiter.WithRatePer(2, time.Hour))),
		grpc.ChainStreamInterceptor(grpclimit.StreamServerInterceptor(limits, streams,
			limiter.WithCapacity(1), limiter.WithRatePer(1, time.Hour))),
	)
	healthpb.RegisterHealthServer(server, health.NewServer())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go server.Serve(listener)
	defer server.Stop()

	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	client := healthpb.NewHealthClient(conn)
	for range 3 {
		_, err := client.Check(context.Background(), &healthpb.HealthCheckRequest{})
		told := status.Convert(err)
		fmt.Printf("%v %q\n", told.Code(), told.Message())
		for _, detail := range told.Details() {
			if retry, ok := detail.(*errdetails.RetryInfo); ok {
				fmt.Println("come back in", retry.GetRetryDelay().AsDuration().Round(time.Minute))
			}
		}
	}
	// Output:
	// OK ""
	// OK ""
	// ResourceExhausted "rate limit exceeded"
	// come back in 30m0s
}
