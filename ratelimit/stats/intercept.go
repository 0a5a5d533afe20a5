package stats

import (
	"context"
	"strings"
	"time"

	"google.golang.org/grpc"
)

// maxMethods bounds the methods that are counted apart; only those that are served come
// here, and they are few.
const maxMethods = 64

type method struct {
	requests *Counter
	took     func(time.Duration)
}

// Intercept counts the calls of each gRPC method and measures how long they take.
func (s *Stats) Intercept(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	m := s.method(info.FullMethod)
	m.requests.Add(1)
	began := time.Now()
	defer func() { m.took(time.Since(began)) }()
	return handler(ctx, request)
}

func (s *Stats) method(full string) *method {
	return obtain(s, &s.methods, full, maxMethods, func(full string) *method {
		base := serverScope + clean(full[strings.LastIndexByte(full, '/')+1:])
		m := &method{&Counter{}, s.sink.timer(base + ".response_time")}
		s.counters = append(s.counters, counted{base, ".total_requests", m.requests})
		return m
	})
}
