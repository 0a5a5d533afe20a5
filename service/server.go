package service

import (
	"context"
	"log/slog"
	"runtime/debug"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that codec extends
	"google.golang.org/grpc/status"
)

// ServerOptions make a gRPC server that judges any text, see [codec], and in
// which a panic costs one request and not the process: it answers INTERNAL. The
// log gets the stack of a panic, and onPanic is called.
func ServerOptions(log *slog.Logger, onPanic func()) []grpc.ServerOption {
	r := recovery{log, onPanic}
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(codec{encoding.GetCodecV2("proto"), r}),
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (answer any, err error) {
			defer r.catch(info.FullMethod, &err)
			return next(ctx, req)
		}),
		grpc.ChainStreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
			defer r.catch(info.FullMethod, &err)
			return next(srv, stream)
		}),
	}
}

type recovery struct {
	log     *slog.Logger
	onPanic func()
}

// catch turns a panic into an error. It must be deferred.
func (r recovery) catch(where string, err *error) {
	if cause := recover(); cause != nil {
		r.onPanic()
		r.log.Error("a handler panicked", "method", where, "panic", cause, "stack", string(debug.Stack()))
		*err = status.Error(codes.Internal, "internal error")
	}
}
