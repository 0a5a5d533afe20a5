package service

import (
	"bytes"
	"context"
	"sync"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"

	"github.com/weir-rls/weir/descriptors"
)

// call is one call of ShouldRateLimit: the request as it was read, and the answer
// in its wire form. It lives from the reading of the one to the writing of the
// other, and then serves another call: with messages of their own each of them cost
// some twenty allocations, a tenth of what gRPC itself costs.
type call struct {
	request descriptors.Request
	verdict verdict
	answer  []byte
	bounds  *Bounds
	size    int   // of the message, in bytes
	beyond  Bound // that the message is beyond
	held    bool  // it waits for tokens, or has waited
	trace   Trace // nil: it is not followed
}

var calls = sync.Pool{New: func() any { return &call{} }}

// A call that was larger is not kept: one of 16 MiB would hold its memory for ever.
const (
	keptDescriptors = 64
	keptEntries     = 64 // of each descriptor
	keptAnswer      = 16 << 10
)

func (c *call) read(wire []byte) (err error) {
	c.size, c.held = len(wire), false
	c.beyond, err = decodeRequest(wire, &c.request, c.bounds)
	return err
}

// finish is the answer, and ends the call.
func (c *call) finish() []byte {
	answer := bytes.Clone(c.answer)
	c.release()
	return answer
}

func (c *call) release() {
	all := c.request.Descriptors[:cap(c.request.Descriptors)]
	if len(all) > keptDescriptors || cap(c.answer) > keptAnswer {
		return
	}
	for i := range all {
		entries := all[i].Entries[:cap(all[i].Entries)]
		if len(entries) > keptEntries {
			return
		}
		clear(entries) // else they hold the text of the request
		all[i] = descriptors.Descriptor{Entries: entries[:0]}
	}
	c.request = descriptors.Request{Descriptors: all[:0]}
	c.trace = nil
	c.answer = c.answer[:0]
	c.verdict.forget()
	calls.Put(c)
}

// Register makes server answer envoy.service.ratelimit.v3.RateLimitService. The
// server needs [ServerOptions], whose codec reads and writes the calls.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: rls.RateLimitService_ServiceDesc.ServiceName,
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "ShouldRateLimit", Handler: s.handle}},
		Metadata:    rls.RateLimitService_ServiceDesc.Metadata,
	}, s)
}

// handle has the interceptors run before the message is decoded, other than what is
// generated from Envoy's API: what one of them refuses costs no decoding.
func (s *Service) handle(_ any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
	if intercept == nil {
		return s.serve(ctx, decode)
	}
	info := &grpc.UnaryServerInfo{Server: s, FullMethod: rls.RateLimitService_ShouldRateLimit_FullMethodName}
	return intercept(ctx, nil, info, func(ctx context.Context, _ any) (any, error) { return s.serve(ctx, decode) })
}

func (s *Service) serve(ctx context.Context, decode func(any) error) (any, error) {
	c := calls.Get().(*call)
	c.bounds = &s.options.Bounds
	if err := decode(c); err != nil {
		c.release()
		return nil, err
	}
	return s.answer(ctx, c)
}

func (s *Service) answer(ctx context.Context, c *call) (any, error) {
	if err := s.ask(ctx, c, unbounded); err != nil {
		c.release()
		return nil, err
	}
	c.answer = c.verdict.appendTo(c.answer, s.options.Headers)
	return c, nil
}
