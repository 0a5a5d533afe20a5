// Package grpclimit has interceptors that limit the calls to a gRPC server by a
// [limiter.Limiter].
package grpclimit

import (
	"context"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/weir-rls/weir/limiter"
)

// KeyFunc tells which key a call draws from. method is /package.Service/Method.
type KeyFunc func(ctx context.Context, method string) string

// Peer is the [KeyFunc] of the address that the connection comes from: see
// [limiter.AddressKey].
func Peer(ctx context.Context, _ string) string {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return limiter.AddressKey("")
	}
	return limiter.AddressKey(p.Addr.String())
}

// Metadata returns the [KeyFunc] of the first value of a key of the call's metadata,
// such as x-api-key. Calls without it share one bucket. Whoever may send what he
// likes in it has as many buckets as he likes, so check it before the limit.
func Metadata(name string) KeyFunc {
	name = strings.ToLower(name)
	return func(ctx context.Context, _ string) string {
		values := metadata.ValueFromIncomingContext(ctx, name)
		if len(values) == 0 {
			return name + ": "
		}
		return name + ": " + values[0]
	}
}

// UnaryServerInterceptor passes calls on that are allowed by the key that they draw
// from, and answers the others with codes.ResourceExhausted and, unless waiting does
// not help, a google.rpc.RetryInfo that says when to come back. Where the limit
// cannot be checked because the store does not answer and the limiter is to
// [limiter.ReturnError], the answer is codes.Unavailable.
//
// It panics if l or key is nil, or if [limiter.Validate] finds fault with the options.
func UnaryServerInterceptor(l *limiter.Limiter, key KeyFunc, opts ...limiter.Option) grpc.UnaryServerInterceptor {
	check := newCheck(l, key, opts)
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if err := check(ctx, info.FullMethod); err != nil {
			return nil, err
		}
		return handler(ctx, req)
	}
}

// StreamServerInterceptor is [UnaryServerInterceptor] for streams. It limits how
// often one is opened, not the messages on it.
func StreamServerInterceptor(l *limiter.Limiter, key KeyFunc, opts ...limiter.Option) grpc.StreamServerInterceptor {
	check := newCheck(l, key, opts)
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		if err := check(stream.Context(), info.FullMethod); err != nil {
			return err
		}
		return handler(srv, stream)
	}
}

// newCheck returns what asks the limiter, and answers a status where a call may not
// pass.
func newCheck(l *limiter.Limiter, key KeyFunc, opts []limiter.Option) func(ctx context.Context, method string) error {
	if l == nil || key == nil {
		panic("grpclimit: an interceptor without a limiter or a KeyFunc")
	}
	if err := limiter.Validate(opts...); err != nil {
		panic(err)
	}
	return func(ctx context.Context, method string) error {
		d, err := l.Decide(ctx, key(ctx, method), opts...)
		switch gone := ctx.Err(); {
		case err != nil && gone != nil:
			return status.FromContextError(gone).Err()
		case err != nil: // its text is not for clients: it may name the store
			return status.Error(codes.Unavailable, "the rate limit cannot be checked now")
		case !d.Allowed:
			return refusal(d)
		}
		return nil
	}
}

func refusal(d limiter.Decision) error {
	refused := status.New(codes.ResourceExhausted, "rate limit exceeded")
	if d.RetryAfter > 0 {
		detailed, err := refused.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(d.RetryAfter)})
		if err == nil { // it fails for codes.OK and for messages that cannot be written
			refused = detailed
		}
	}
	return refused.Err()
}
