package app_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

const queueRule = `
domain: d
descriptors:
  - {key: queue, limits: [{name: queue, rate: 1/hour, burst: 1, max_wait: 2h, max_waiters: 1000}]}
`

// A bound that is read and then forgotten looks like one that works.
func TestEachBoundOfTheSettingsIsInForce(t *testing.T) {
	two := append(wire("d", "user", "u"), wire("", "user", "u")[2:]...)
	for bound, c := range map[string]struct {
		change func(*config.Settings)
		beyond []byte
	}{
		"descriptors":     {func(s *config.Settings) { s.MaxDescriptors = 1 }, two},
		"entries":         {func(s *config.Settings) { s.MaxEntries = 1 }, append(field(1, "d"), field(2, strings.Repeat(string(field(1, string(field(1, "user")))), 2))...)},
		"key_bytes":       {func(s *config.Settings) { s.MaxKeyBytes = 4 }, wire("d", "user2", "u")},
		"value_bytes":     {func(s *config.Settings) { s.MaxValueBytes = 1 }, wire("d", "user", "u2")},
		"message_bytes":   {func(s *config.Settings) { s.MaxMessageBytes = 20 }, wire("d", "user", strings.Repeat("u", 20))},
		"in_flight_bytes": {func(s *config.Settings) { s.MaxInFlightBytes = 20 }, wire("d", "user", strings.Repeat("u", 20))},
	} {
		t.Run(bound, func(t *testing.T) {
			r := start(t, oneRule, c.change)
			if answer, err := r.call(wire("d", "user", "u")); err != nil || answer.OverallCode != rls.RateLimitResponse_OK {
				t.Errorf("within the bound: %v, %v", answer.OverallCode, err)
			}
			if answer, err := r.call(c.beyond); err != nil || answer.OverallCode != rls.RateLimitResponse_OVER_LIMIT {
				t.Errorf("beyond the bound: %v, %v", answer.OverallCode, err)
			}
			if got := r.metric(`weir_excess_requests_total{bound="` + bound + `"}`); got != 1 {
				t.Errorf("counted %v times", got)
			}
		})
	}
}

// Eight calls at once meet a Redis that takes its time.
func TestCallsInFlightAreBoundedByTheSetting(t *testing.T) {
	slow := partstest.Way(t, partstest.Redis(t, parts.RedisServer).Addr)
	r := start(t, oneRule, func(s *config.Settings) {
		s.Store, s.RedisURL, s.StoreTimeout, s.MaxInFlight = config.StoreRedis, config.RedisURL("redis://"+slow.Addr), 5*time.Second, 3
	})
	if _, err := r.call(wire("d", "user", "u")); err != nil {
		t.Fatal(err)
	}
	slow.Delay(500 * time.Millisecond)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := r.call(wire("d", "user", "u")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := r.metric(`weir_excess_requests_total{bound="in_flight"}`); got != 5 {
		t.Errorf("%v of 8 calls were shed, want all but 3", got)
	}
}

func TestWaitersAreBoundedByTheSetting(t *testing.T) {
	r := start(t, queueRule, func(s *config.Settings) { s.MaxWaiters = 1 })
	ask := func() (*rls.RateLimitResponse, error) { return r.call(wire("d", "queue", "q")) }
	if _, err := ask(); err != nil {
		t.Fatal(err)
	}
	var waits sync.WaitGroup
	waits.Go(func() { _, _ = ask() }) // until the drain
	partstest.Eventually(t, 5*time.Second, "one waits", func() bool { return r.metric("weir_waiting_requests") == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if answer, err := r.callWith(ctx, wire("d", "queue", "q")); err != nil || answer.OverallCode != rls.RateLimitResponse_OVER_LIMIT {
		t.Errorf("one more: %v, %v", answer.OverallCode, err)
	}
	if got := r.metric(`weir_excess_requests_total{bound="waiters"}`); got != 1 {
		t.Errorf("counted %v times", got)
	}
	r.stop()
	waits.Wait()
}

// A message beyond what is judged gets its verdict; only one of eight times as many
// bytes is an error, and it ends nothing else.
func TestBound_ReceivedMessage(t *testing.T) {
	r := start(t, oneRule, func(s *config.Settings) { s.MaxMessageBytes = 1 << 10 })
	of := func(n int) []byte {
		message := wire("d", "user", strings.Repeat("u", n-100))
		return append(message, field(99, strings.Repeat("x", n-len(message)-4))...)
	}
	for _, c := range []struct {
		size int
		code codes.Code
		want rls.RateLimitResponse_Code
	}{
		{1000, codes.OK, rls.RateLimitResponse_OK},
		{1100, codes.OK, rls.RateLimitResponse_OVER_LIMIT},
		{8 << 10, codes.OK, rls.RateLimitResponse_OVER_LIMIT},
		{8<<10 + 10, codes.ResourceExhausted, 0},
		{1000, codes.OK, rls.RateLimitResponse_OK},
	} {
		answer, err := r.call(of(c.size))
		if status.Code(err) != c.code || answer.OverallCode != c.want {
			t.Errorf("%d bytes: %v, %v; want %v, %v", c.size, answer.OverallCode, err, c.want, c.code)
		}
	}
}

// Envoy sends its own headers, and those of tracing, which are its client's.
func TestBound_CallHeaders(t *testing.T) {
	r := start(t, oneRule, nil)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "tracestate", strings.Repeat("t", 60<<10))
	if answer, err := r.callWith(ctx, wire("d", "user", "u")); err != nil || answer.OverallCode != rls.RateLimitResponse_OK {
		t.Errorf("all headers that Envoy lets through: %v, %v", answer.OverallCode, err)
	}
	ctx = metadata.AppendToOutgoingContext(t.Context(), "tracestate", strings.Repeat("t", 300<<10))
	if _, err := r.callWith(ctx, wire("d", "user", "u")); err == nil {
		t.Error("headers of 300 KiB are received")
	}
	if answer, err := r.call(wire("d", "user", "u")); err != nil || answer.OverallCode != rls.RateLimitResponse_OK {
		t.Errorf("after that: %v, %v", answer.OverallCode, err)
	}
}

// More calls than a connection may have wait at their client, as they do at an Envoy
// until it has opened another connection.
func TestBound_GRPCMaxStreams(t *testing.T) {
	r := start(t, queueRule, func(s *config.Settings) { s.GRPCMaxStreams, s.MaxWaiters = 2, 1000 })
	if _, err := r.call(wire("d", "queue", "q")); err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	var waits sync.WaitGroup
	for range 5 {
		waits.Go(func() { _, _ = r.callWith(ctx, wire("d", "queue", "q")) })
	}
	partstest.Eventually(t, 5*time.Second, "two wait", func() bool { return r.metric("weir_waiting_requests") == 2 })
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := r.callWith(short, wire("d", "queue", "q")); status.Code(err) != codes.DeadlineExceeded || r.metric("weir_waiting_requests") != 2 {
		t.Errorf("one more call on the connection: %v, and %v wait", err, r.metric("weir_waiting_requests"))
	}
	leave()
	waits.Wait()
}

// The log tells of a flood, in few lines, and has nothing in it that a client sent.
func TestABoundIsLoggedAtABoundedPace(t *testing.T) {
	r := start(t, oneRule, func(s *config.Settings) { s.MaxValueBytes, s.OnExcess = 10, config.ExcessDeny })
	begin := time.Now()
	for range 2000 {
		if _, err := r.call(wire("d\n", "user", "client's own text")); err != nil {
			t.Fatal(err)
		}
	}
	lines := 0
	for line := range strings.Lines(r.log.String()) {
		if strings.Contains(line, "beyond a bound") {
			lines++
			if !strings.Contains(line, `"bound":"value_bytes","verdict":"deny"`) || strings.Contains(line, "client") || strings.Contains(line, `d\n`) {
				t.Errorf("%s", line)
			}
		}
	}
	if most := int(time.Since(begin)/time.Second) + 2; lines == 0 || lines > most {
		t.Errorf("%d lines, want at least one and at most %d", lines, most)
	}
}
