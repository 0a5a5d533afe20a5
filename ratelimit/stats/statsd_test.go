package stats_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/weir-rls/weir/ratelimit/stats"
)

// run runs the sink until the returned function is called, which waits for its end.
func run(t *testing.T, s *stats.Stats) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func call(t *testing.T, s *stats.Stats, method string, took time.Duration) {
	t.Helper()
	_, err := s.Intercept(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: method}, func(context.Context, any) (any, error) {
		time.Sleep(took)
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

const shouldRateLimit = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"

// statsdServer is a statsd on TCP that keeps the lines it gets.
type statsdServer struct {
	net.Listener
	lines chan string
	conns chan net.Conn
}

func serveStatsd(t *testing.T, address string) *statsdServer {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := &statsdServer{l, make(chan string, 10_000), make(chan net.Conn, 10)}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.conns <- conn
			go func() {
				for in := bufio.NewScanner(conn); in.Scan(); {
					s.lines <- in.Text()
				}
				_ = conn.Close()
			}()
		}
	}()
	return s
}

// line waits for a line that begins so.
func (s *statsdServer) line(t *testing.T, prefix string) string {
	t.Helper()
	for deadline := time.After(10 * time.Second); ; {
		select {
		case line := <-s.lines:
			if strings.HasPrefix(line, prefix) {
				return line
			}
		case <-deadline:
			t.Fatalf("no line begins with %q", prefix)
		}
	}
}

func statsdOptions(address string) stats.Options {
	return stats.Options{Statsd: true, StatsdAddress: address, FlushInterval: 10 * time.Millisecond}
}

func TestStatsd_SendsWhatHasGrownUnderTheNamesAndTagsOfTheReference(t *testing.T) {
	server := serveStatsd(t, "127.0.0.1:0")
	o := statsdOptions(server.Addr().String())
	o.ExtraTags = map[string]string{"region": "eu.west", "app": "shop"}
	s := newStats(t, o)
	s.Limit("d", "k_v").TotalHits.Add(3)
	call(t, s, shouldRateLimit, 0)
	run(t, s)
	const tags = ".__app=shop.__region=eu_west:"
	for _, want := range []string{
		"ratelimit.service.rate_limit.d.k_v.total_hits" + tags + "3|c",
		"ratelimit_server.ShouldRateLimit.total_requests" + tags + "1|c",
	} {
		if got := server.line(t, want[:strings.Index(want, ":")]); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	name := "ratelimit_server.ShouldRateLimit.response_time" + tags
	took, ok := strings.CutSuffix(strings.TrimPrefix(server.line(t, name), name), "|ms")
	if n, err := strconv.ParseFloat(took, 64); !ok || err != nil || n <= 0 || n > 1000 {
		t.Errorf("the response time is %q, want some milliseconds with a fraction", took)
	}
	if got := server.line(t, "ratelimit.go.numGoroutine"); !strings.HasSuffix(got, "|g") {
		t.Errorf("%q is no gauge", got)
	}
	// Only what is new is sent, and nothing of what has not changed.
	s.Limit("d", "k_v").TotalHits.Add(4)
	if got := server.line(t, "ratelimit.service.rate_limit.d.k_v.total_hits"); !strings.HasSuffix(got, ":4|c") {
		t.Errorf("got %q, want what 4 hits more are", got)
	}
}

// What is counted just before the end must not be missing from the bill.
func TestStatsd_SendsWhatIsLeftAtTheEnd(t *testing.T) {
	server := serveStatsd(t, "127.0.0.1:0")
	o := statsdOptions(server.Addr().String())
	o.FlushInterval = time.Hour
	s := newStats(t, o)
	stop := run(t, s)
	s.Limit("d", "k").OverLimit.Add(2)
	stop()
	if got := server.line(t, "ratelimit.service.rate_limit.d.k.over_limit"); !strings.HasSuffix(got, ":2|c") {
		t.Errorf("got %q", got)
	}
}

func TestStatsd_CountsAgainWhatCouldNotBeSent(t *testing.T) {
	server := serveStatsd(t, "127.0.0.1:0")
	address := server.Addr().String()
	s := newStats(t, statsdOptions(address))
	l := s.Limit("d", "k")
	l.TotalHits.Add(1)
	run(t, s)
	server.line(t, "ratelimit.service.rate_limit.d.k.total_hits:1|c")

	_ = server.Close()
	_ = (<-server.conns).Close()
	l.TotalHits.Add(5)
	time.Sleep(50 * time.Millisecond) // some flushes fail
	l.TotalHits.Add(6)
	var sum int
	for server = serveStatsd(t, address); sum < 11; {
		line := server.line(t, "ratelimit.service.rate_limit.d.k.total_hits:")
		n, _ := strconv.Atoi(strings.TrimSuffix(line[strings.Index(line, ":")+1:], "|c"))
		sum += n
	}
	if sum != 11 {
		t.Errorf("%d hits came, want the 11 that were counted meanwhile", sum)
	}
}

// A server that stops to read breaks the connection in the middle of what is written.
func TestStatsd_SendsAgainWhatAServerDidNotRead(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o := statsdOptions(l.Addr().String())
	s := newStats(t, o)
	const names = 8_000 // 7 MB, more than the buffers of a connection take
	for i := range names / 2 {
		limit := s.Limit("d", strings.Repeat("x", 900)+strconv.Itoa(i))
		limit.TotalHits.Add(1)
		limit.OverLimit.Add(1)
	}
	run(t, s)
	accept := func() net.Conn {
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.(*net.TCPConn).SetReadBuffer(64 << 10)
		_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		return conn
	}
	first := accept()
	defer first.Close()
	second := accept() // when the client has given up the first
	defer second.Close()
	got := map[string]int{}
	read := func(conn net.Conn) {
		for in := bufio.NewReader(conn); len(got) < names; {
			line, err := in.ReadString('\n')
			if err != nil {
				return // what is not a whole line does not count
			}
			if strings.Contains(line, ".d.x") {
				got[line]++
			}
		}
	}
	read(first)
	if len(got) == 0 || len(got) >= names {
		t.Fatalf("of %d counters the first connection brought %d: the connection did not break", names, len(got))
	}
	read(second)
	again := 0
	for _, n := range got {
		again += n - 1
	}
	if len(got) != names || again > 50 {
		t.Errorf("%d counters came, want %d; %d came again, want no more than fit into one write", len(got), names, again)
	}
}

// A busy replica must not keep every time it measured until it can send them.
func TestStatsd_SendsSomeTimesOfManyAndSaysWhichPart(t *testing.T) {
	server := serveStatsd(t, "127.0.0.1:0")
	o := statsdOptions(server.Addr().String())
	o.FlushInterval = time.Hour
	s := newStats(t, o)
	stop := run(t, s)
	for range 4_000 {
		call(t, s, shouldRateLimit, 0)
	}
	stop()
	n := 0
	for range 1_000 {
		if line := server.line(t, "ratelimit_server.ShouldRateLimit.response_time:"); strings.HasSuffix(line, "|ms|@0.250000") {
			n++
		}
	}
	if n != 1_000 {
		t.Errorf("%d times say that they are a quarter, want 1000", n)
	}
}
