// Package serving is how servers are begun for Envoy, and ended as a rolling update wants
// it: calls under way are answered, within a bound, and nobody who only watches holds that up.
package serving

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// streamWorkers answer calls one after another. A goroutine of its own for each call
// would begin with a stack that is too small and is copied twice, a tenth of what a
// request costs. Calls beyond them, of which many may wait, have their own.
const streamWorkers = 64

// maxHeaderList bounds the headers of a call, in bytes. Beyond it the call is an
// error, too. Envoy sends none of its client's headers there, but for those of
// tracing, which are at most the 60 KiB.
const maxHeaderList = 256 << 10

// GRPCOptions are those of any server that Envoy asks.
func GRPCOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxHeaderListSize(maxHeaderList),
		grpc.NumStreamWorkers(streamWorkers),
		grpc.ConnectionTimeout(10 * time.Second), // for the handshake, 120 s otherwise
		// Envoy's own pings are settings of its user; a stricter policy than
		// theirs would close its connections under load.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
	}
}

// Streams are those of a gRPC server. A client that watches health never ends its own, and
// a server that stops would wait for it.
type Streams struct {
	ctx context.Context
	end context.CancelFunc
}

// NewStreams are none so far.
func NewStreams() *Streams {
	s := &Streams{}
	s.ctx, s.end = context.WithCancel(context.Background())
	return s
}

// End ends them all, and each that comes.
func (s *Streams) End() { s.end() }

// Intercept is a [grpc.StreamServerInterceptor] for their server.
func (s *Streams) Intercept(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	return next(srv, endingStream{stream, ctx})
}

type endingStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s endingStream) Context() context.Context { return s.ctx }

// StopGRPC lets the calls under way finish within a time, and cuts off those that do not.
func StopGRPC(server *grpc.Server, within time.Duration, log *slog.Logger) {
	finished := make(chan struct{})
	go func() {
		server.GracefulStop()
		close(finished)
	}()
	select {
	case <-finished:
	case <-time.After(within):
		log.Warn("calls under way did not finish in time and are cut off")
		server.Stop()
		<-finished
	}
}

// StopHTTP lets the requests under way finish within a time, and cuts off those that do not,
// and connections that never asked anything.
func StopHTTP(ctx context.Context, server *http.Server, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	return err
}

// IgnoreClosed is nil of the error of a server or listener that was closed.
func IgnoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
