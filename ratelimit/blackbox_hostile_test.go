package ratelimit_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	common "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/weir-rls/weir/internal/parts/partstest"
)

// What cannot be judged is UNKNOWN, as a Go error of the reference is; only what is no message
// of gRPC's has a code of gRPC's own. The program answers what comes after.
func TestHostile_GRPC(t *testing.T) {
	r := start(t, environ(tree(t, perMinute))...)
	c := r.client()
	huge := request("d", "user="+strings.Repeat("x", 5<<20), 0)
	many := &rls.RateLimitRequest{Domain: "d"}
	for range 20_000 {
		many.Descriptors = append(many.Descriptors, &common.RateLimitDescriptor{})
	}
	deep := request("d", "user=u", 0)
	for range 100_000 {
		deep.Descriptors[0].Entries = append(deep.Descriptors[0].Entries, &common.RateLimitDescriptor_Entry{Key: "k", Value: "v"})
	}
	override := request("d", "user=u", 0)
	override.Descriptors[0].Limit = &common.RateLimitDescriptor_RateLimitOverride{RequestsPerUnit: 5}
	for name, test := range map[string]struct {
		asked *rls.RateLimitRequest
		code  codes.Code
	}{
		"nothing":                  {&rls.RateLimitRequest{}, codes.Unknown},
		"no domain":                {request("", "user=u", 0), codes.Unknown},
		"no descriptors":           {&rls.RateLimitRequest{Domain: "d"}, codes.Unknown},
		"too many descriptors":     {many, codes.Unknown},
		"100,000 entries":          {deep, codes.OK},
		"a descriptor of nothing":  {&rls.RateLimitRequest{Domain: "d", Descriptors: []*common.RateLimitDescriptor{{}}}, codes.OK},
		"an entry of nothing":      {request("d", "", 0), codes.OK},
		"more than gRPC takes":     {huge, codes.ResourceExhausted},
		"an override without unit": {override, codes.OK},
		"a million hits and more":  {request("d", "user=n", 1<<32-1), codes.OK},
	} {
		if _, err := c.ShouldRateLimit(t.Context(), test.asked); status.Code(err) != test.code {
			t.Errorf("%s: %.200v, want %v", name, err, test.code)
		}
	}
	r.says(c, request("d", "user=after", 0), "OK: OK 1 of 2 per MINUTE")
}

func TestHostile_HTTP(t *testing.T) {
	r := start(t, environ(tree(t, perMinute))...)
	long := `{"domain":"d","descriptors":[{"entries":[{"key":"user","value":"` + strings.Repeat("x", 5<<20) + `"}]}]}`
	for name, body := range map[string]string{
		"too long": long, "deep": strings.Repeat(`{"descriptors":[`, 100_000), "a list": "[]", "unknown fields": `{"domain":"d","descriptors":[{}],"x":1}`,
		"numbers out of range": `{"domain":"d","descriptors":[{"hitsAddend":"-1"}]}`, "no UTF-8": "{\"domain\":\"\xff\",\"descriptors\":[{}]}",
	} {
		if code, _, text := get(t, http.MethodPost, r.HTTPAddr(), "/json", body); code != http.StatusBadRequest || text != "Bad Request\n" {
			t.Errorf("%s: %d %q", name, code, text)
		}
	}
	override := `{"domain":"d","descriptors":[{"entries":[{"key":"user","value":"o"}],"limit":{"requestsPerUnit":5}}]}`
	if code, _, text := get(t, http.MethodPost, r.HTTPAddr(), "/json", override); code != http.StatusOK {
		t.Errorf("an override without unit: %d %q", code, text)
	}
}

// 10,000 domains that no rule knows cost no more than some bytes each, and one name in the
// statistics from the thousandth on.
func TestHostile_UnknownDomains(t *testing.T) {
	r := start(t, environ(tree(t, perMinute), "USE_PROMETHEUS=true", "PROMETHEUS_ADDR=127.0.0.1:0")...)
	c := r.client()
	const all = 10_000
	var next atomic.Int64
	var askers sync.WaitGroup
	for range 8 {
		askers.Go(func() {
			for i := next.Add(1); i <= all; i = next.Add(1) {
				if _, err := c.ShouldRateLimit(t.Context(), request(fmt.Sprintf("unknown-%d", i), "k=v", 0)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	askers.Wait()
	names, sum := 0, uint64(0)
	for name, n := range r.counted() {
		if strings.HasSuffix(name, ".domain_not_found") {
			names, sum = names+1, sum+n
		}
	}
	if names > 1001 || sum != all {
		t.Errorf("%d names with %d requests in all, want 1001 with %d", names, sum, all)
	}
	if _, _, text := get(t, http.MethodGet, r.MetricsAddr().String(), "/metrics", ""); strings.Count(text, "domain_not_found{") > 1001 {
		t.Errorf("Prometheus has %d series of them", strings.Count(text, "domain_not_found{"))
	}
	if log := r.log.String(); strings.Count(log, "\n") > 20 {
		t.Errorf("the log has %d lines: %.1000s", strings.Count(log, "\n"), log)
	}
}

// Clients that say nothing, or a byte now and then, hold nobody else up, and their goroutines
// end with them.
func TestHostile_SlowClients(t *testing.T) {
	r := start(t, environ(tree(t, perMinute))...)
	before := runtime.NumGoroutine()
	var slow []net.Conn
	for _, address := range []string{r.GRPCAddr(), r.HTTPAddr(), r.DebugAddr()} {
		for i := range 100 {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			slow = append(slow, conn)
			_, _ = io.WriteString(conn, "POST /json HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n"[:i%50])
		}
	}
	conn := r.connect(insecure.NewCredentials())
	for range 500 {
		silent(t, conn)
	}
	r.says(r.client(), request("d", "user=x", 0), "OK: OK 1 of 2 per MINUTE")
	if !r.healthy() {
		t.Error("it is not healthy")
	}
	for _, conn := range slow {
		conn.Close()
	}
	conn.Close()
	partstest.Eventually(t, 10*time.Second, "the goroutines end", func() bool { return runtime.NumGoroutine() < before+50 })
}

// What clients send stands in no line of the log but escaped, at any level.
func TestHostile_TheLogHasOneLineForEachRecord(t *testing.T) {
	for _, form := range []string{"text", "json"} {
		r := start(t, environ(tree(t, perMinute), "LOG_LEVEL=trace", "LOG_FORMAT="+form)...)
		forged := "d\n{\"level\":\"fatal\"}\x1b[31m"
		_, _ = r.client().ShouldRateLimit(t.Context(), request(forged, forged+"="+forged, 0))
		_, _, _ = get(t, http.MethodPost, r.HTTPAddr(), "/json", forged)
		if conn, err := net.Dial("tcp", r.HTTPAddr()); err == nil {
			_, _ = io.WriteString(conn, "GET /\x00"+forged+" HTTP/1.1\r\n\r\n")
			_, _ = io.Copy(io.Discard, conn)
			conn.Close()
		}
		for line := range strings.Lines(r.log.String()) {
			begins := map[string]string{"text": "time=", "json": `{"@timestamp":`}[form]
			if !strings.HasPrefix(line, begins) || bytes.ContainsAny([]byte(line), "\x1b\x00") {
				t.Errorf("%s: a line is %q", form, line)
			}
		}
	}
}

// Calls that come while the program ends are answered or told that nobody is there; none is
// lost in between.
func TestHostile_StopUnderLoad(t *testing.T) {
	r := start(t, environ(tree(t, perMinute), "WEIR_DRAIN_DELAY=50ms")...)
	var answered, refused atomic.Int64
	var askers sync.WaitGroup
	stopped := make(chan struct{})
	for range 8 {
		conn, err := grpc.NewClient(r.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		c := rls.NewRateLimitServiceClient(conn)
		askers.Go(func() {
			for {
				select {
				case <-stopped:
					return
				default:
				}
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
				_, err := c.ShouldRateLimit(ctx, request("d", "user=u", 0))
				cancel()
				switch {
				case err == nil:
					answered.Add(1)
				case status.Code(err) == codes.Unavailable && strings.Contains(err.Error(), "connection refused"):
					refused.Add(1)
					return
				default:
					t.Errorf("a call ended with %v", err)
					return
				}
			}
		})
	}
	partstest.Eventually(t, 10*time.Second, "calls", func() bool { return answered.Load() > 200 })
	r.stop()
	if err := r.ended(); err != nil {
		t.Error(err)
	}
	time.Sleep(100 * time.Millisecond)
	close(stopped)
	askers.Wait()
	if refused.Load() == 0 {
		t.Error("nobody was refused after the end")
	}
}
