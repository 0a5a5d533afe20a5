package decide

import (
	"context"
	"fmt"
	"slices"
	"unicode/utf8"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

// Register adds envoy.service.ratelimit.v3.RateLimitService to a gRPC server.
//
// It takes requests of any text. Protocol buffers forbid text that is no UTF-8 and the
// generated decoder refuses the whole message, but Envoy passes a header's bytes on as they
// are: one byte would have the call fail, and Envoy admits what its limiter fails to judge.
// So such bytes are judged as question marks.
func (s *Service) Register(to grpc.ServiceRegistrar) {
	described := rls.RateLimitService_ServiceDesc
	described.Methods = slices.Clone(described.Methods)
	described.Methods[0].Handler = handle
	to.RegisterService(&described, s)
}

// handle is what generated code does, but for the decoding.
func handle(service any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
	raw := &emptypb.Empty{} // keeps all fields as they are
	if err := decode(raw); err != nil {
		return nil, err
	}
	request, err := decodeRequest(raw.ProtoReflect().GetUnknown())
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	call := func(ctx context.Context, request any) (any, error) {
		return service.(rls.RateLimitServiceServer).ShouldRateLimit(ctx, request.(*rls.RateLimitRequest))
	}
	if intercept == nil {
		return call(ctx, request)
	}
	return intercept(ctx, request, &grpc.UnaryServerInfo{Server: service, FullMethod: rls.RateLimitService_ShouldRateLimit_FullMethodName}, call)
}

// decodeRequest decodes a request of any text.
func decodeRequest(wire []byte) (*rls.RateLimitRequest, error) {
	request := &rls.RateLimitRequest{}
	err := proto.Unmarshal(wire, request)
	if err == nil {
		return request, nil
	}
	readable := slices.Clone(wire)
	makeReadable(readable, requestTexts)
	if proto.Unmarshal(readable, request) != nil {
		return nil, fmt.Errorf("decode a RateLimitRequest: %w", err)
	}
	return request, nil
}

// texts says which fields of a message are texts, and which are messages that have some.
type texts map[protowire.Number]texts // nil: a text

// requestTexts are those of a RateLimitRequest: its domain, and keys and values.
var requestTexts = texts{1: nil, 2: {1: {1: nil, 2: nil}}}

// makeReadable replaces what is no UTF-8 in the texts of a message by as many bytes that
// are. What is no message stays as it is.
func makeReadable(wire []byte, fields texts) {
	for len(wire) > 0 {
		number, kind, n := protowire.ConsumeTag(wire)
		if n < 0 {
			return
		}
		wire = wire[n:]
		length := protowire.ConsumeFieldValue(number, kind, wire)
		if length < 0 {
			return
		}
		if inner, listed := fields[number]; listed && kind == protowire.BytesType {
			content, _ := protowire.ConsumeBytes(wire)
			if inner != nil {
				makeReadable(content, inner)
			} else {
				replaceUnreadable(content)
			}
		}
		wire = wire[length:]
	}
}

// replaceUnreadable replaces each byte that is part of no character by a question mark.
func replaceUnreadable(text []byte) {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 {
			text[i] = '?'
		}
		i += size
	}
}
