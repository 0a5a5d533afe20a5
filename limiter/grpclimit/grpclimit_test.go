package grpclimit_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
	"github.com/weir-rls/weir/limiter"
	"github.com/weir-rls/weir/limiter/grpclimit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(partstest.Suite{M: m}) }

const day = 24 * time.Hour

func open(t *testing.T, o limiter.Options) *limiter.Limiter {
	t.Helper()
	l, err := limiter.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// serve starts a server whose calls and streams are limited, and returns a client.
func serve(t *testing.T, l *limiter.Limiter, key grpclimit.KeyFunc, opts ...limiter.Option) healthpb.HealthClient {
	t.Helper()
	server := grpc.NewServer(
		grpc.UnaryInterceptor(grpclimit.UnaryServerInterceptor(l, key, opts...)),
		grpc.StreamInterceptor(grpclimit.StreamServerInterceptor(l, key, opts...)),
	)
	healthpb.RegisterHealthServer(server, health.NewServer())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return healthpb.NewHealthClient(conn)
}

func check(ctx context.Context, c healthpb.HealthClient) error {
	_, err := c.Check(ctx, &healthpb.HealthCheckRequest{})
	return err
}

// watch opens a stream and reads its first message.
func watch(ctx context.Context, c healthpb.HealthClient) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.Watch(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		return err
	}
	_, err = stream.Recv()
	return err
}

func TestC20_CallsAndStreamsAreLimited(t *testing.T) {
	for name, call := range map[string]func(context.Context, healthpb.HealthClient) error{"unary": check, "stream": watch} {
		t.Run(name, func(t *testing.T) {
			client := serve(t, open(t, limiter.Options{}), grpclimit.Metadata("X-Api-Key"), limiter.WithCapacity(2), limiter.WithRatePer(2, time.Hour))
			of := func(key string) context.Context {
				return metadata.AppendToOutgoingContext(t.Context(), "x-api-key", key)
			}
			for range 2 {
				if err := call(of("a"), client); err != nil {
					t.Fatal(err)
				}
			}
			refused := status.Convert(call(of("a"), client))
			if refused.Code() != codes.ResourceExhausted || len(refused.Details()) != 1 {
				t.Fatalf("the third is answered %v", refused)
			}
			retry, ok := refused.Details()[0].(*errdetails.RetryInfo)
			if after := retry.GetRetryDelay().AsDuration(); !ok || after <= 29*time.Minute || after > 30*time.Minute {
				t.Errorf("told %v, want half an hour", refused.Details())
			}
			if err := call(of("b"), client); err != nil {
				t.Errorf("another key: %v", err)
			}
		})
	}
}

func TestC20_C01_ServersShareALimit(t *testing.T) {
	redis := partstest.Redis(t, parts.RedisServer)
	var clients []healthpb.HealthClient
	for range 2 {
		l := open(t, limiter.Options{RedisURL: redis.URL, Timeout: 20 * time.Second, OnStoreError: limiter.ReturnError})
		clients = append(clients, serve(t, l, grpclimit.Peer, limiter.WithCapacity(60), limiter.WithRatePer(1, 1000*day)))
	}
	var passed, refused atomic.Int64
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			switch status.Code(check(t.Context(), clients[i%2])) {
			case codes.OK:
				passed.Add(1)
			case codes.ResourceExhausted:
				refused.Add(1)
			}
		})
	}
	all.Wait()
	if passed.Load() != 60 || refused.Load() != 140 {
		t.Errorf("%d of 200 calls pass and %d are refused, want 60 and 140", passed.Load(), refused.Load())
	}
}

// A store whose verdict is unknown is no refusal, and the client learns nothing of it.
func TestUnavailableWhenTheLimitCannotBeChecked(t *testing.T) {
	addr, err := parts.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	away := limiter.Options{RedisURL: "redis://" + addr, Timeout: 20 * time.Second, OnStoreError: limiter.ReturnError}
	err = check(t.Context(), serve(t, open(t, away), grpclimit.Peer))
	if status.Code(err) != codes.Unavailable || strings.Contains(err.Error(), addr) {
		t.Errorf("answered %v", err)
	}
	away.OnStoreError = limiter.RefuseAll
	refused := status.Convert(check(t.Context(), serve(t, open(t, away), grpclimit.Peer)))
	if refused.Code() != codes.ResourceExhausted || len(refused.Details()) != 0 {
		t.Errorf("answered %v, want a refusal that says nothing of when", refused)
	}
}

func TestACallerWhoHasLeftIsNotServed(t *testing.T) {
	intercept := grpclimit.UnaryServerInterceptor(open(t, limiter.Options{}), grpclimit.Peer)
	gone, leave := context.WithCancel(t.Context())
	leave()
	_, err := intercept(gone, nil, &grpc.UnaryServerInfo{}, func(context.Context, any) (any, error) {
		t.Error("served")
		return nil, nil
	})
	if status.Code(err) != codes.Canceled {
		t.Errorf("answered %v", err)
	}
}

func TestKeysOfCalls(t *testing.T) {
	from := func(addr net.Addr) context.Context { return peer.NewContext(t.Context(), &peer.Peer{Addr: addr}) }
	for _, c := range []struct {
		ctx  context.Context
		want string
	}{
		{from(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5678}), "addr 192.0.2.1"},
		{from(&net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 5678}), "addr 2001:db8::/64"},
		{from(&net.UnixAddr{Name: "@", Net: "unix"}), "addr @"},
		{from(nil), "addr "},
		{t.Context(), "addr "},
	} {
		if got := grpclimit.Peer(c.ctx, "/s/m"); got != c.want {
			t.Errorf("the peer's key is %q, want %q", got, c.want)
		}
	}
	key := grpclimit.Metadata("X-Api-Key")
	with := metadata.NewIncomingContext(t.Context(), metadata.Pairs("x-api-key", "a", "x-api-key", "b"))
	if got := key(with, "/s/m"); got != "x-api-key: a" {
		t.Errorf("with two values: %q", got)
	}
	if got := key(t.Context(), "/s/m"); got != "x-api-key: " {
		t.Errorf("without: %q", got)
	}
}

// A mistake in the program is told when it starts, not by the first call.
func TestC16_InterceptorsPanicOnWhatCanNeverWork(t *testing.T) {
	l := open(t, limiter.Options{})
	for what, build := range map[string]func(){
		"no limiter":             func() { grpclimit.UnaryServerInterceptor(nil, grpclimit.Peer) },
		"no KeyFunc":             func() { grpclimit.StreamServerInterceptor(l, nil) },
		"a bad option":           func() { grpclimit.UnaryServerInterceptor(l, grpclimit.Peer, limiter.WithRate(0)) },
		"more than the capacity": func() { grpclimit.StreamServerInterceptor(l, grpclimit.Peer, limiter.WithRequested(11)) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", what)
				}
			}()
			build()
		}()
	}
}
