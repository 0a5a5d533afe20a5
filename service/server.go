package service

import (
	"context"
	"log/slog"
	"runtime/debug"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// RecoverPanics are server options that turn a panic in a handler into
// INTERNAL, so that one bad request never ends the process. onPanic is called
// for each; the log gets the stack.
func RecoverPanics(log *slog.Logger, onPanic func()) []grpc.ServerOption {
	recovered := func(method string, err *error) {
		if cause := recover(); cause != nil {
			onPanic()
			log.Error("a handler panicked", "method", method, "panic", cause, "stack", string(debug.Stack()))
			*err = status.Error(codes.Internal, "internal error")
		}
	}
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (answer any, err error) {
			defer recovered(info.FullMethod, &err)
			return next(ctx, req)
		}),
		grpc.ChainStreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
			defer recovered(info.FullMethod, &err)
			return next(srv, stream)
		}),
	}
}
