package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"

	"github.com/weir-rls/weir/internal/bench"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// startFloor runs weir bench floor for the time of the test and answers its
// address.
func startFloor(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- Run(ctx, World{Args: []string{"bench", "floor"}, Stdin: strings.NewReader(""), Stdout: writer, Stderr: io.Discard})
		writer.Close()
	}()
	address, err := bufio.NewReader(reader).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if code := <-done; code != exitOK {
			t.Errorf("the floor ended with %d", code)
		}
	})
	return strings.TrimSpace(address)
}

// The JSON has the report's fields and no others, and counts what was sent.
func TestBench_ReportsWhatItSentToTheFloor(t *testing.T) {
	floor := startFloor(t)
	got := weir(t, nil, "bench", "--target", floor, "--requests=300", "--duration=0s", "--warmup=0s", "--in-flight=2", "--json")
	var report bench.Report
	decoder := json.NewDecoder(strings.NewReader(got.stdout))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&report); err != nil || got.code != exitOK || got.stderr != "" {
		t.Fatalf("%v: %+v", err, got)
	}
	if report.Requests != 300 || report.Verdicts["ok"] != 300 || len(report.Errors) != 0 || report.Connections != 2 ||
		report.PerSecond <= 0 || report.Latency.P50 <= 0 || report.Latency.P50 > report.Latency.P999 || report.Latency.P999 > report.Latency.Max {
		t.Errorf("%+v", report)
	}
	if report.ServerProcess == nil || report.ServerProcess.PID != os.Getpid() {
		t.Errorf("the process is %+v, not %d", report.ServerProcess, os.Getpid())
	}
	text := weir(t, nil, "bench", "--target", floor, "--requests=300", "--duration=0s", "--warmup=1ms", "--rate=100000")
	for _, line := range []string{
		"target       " + floor + "\n", "open loop, 100000/s, at most 64 in flight, 4 connections, 10000 keys (uniform), 1 descriptor\n",
		"\nrequests     300 in ", "\nlatency      p50 ", "\nverdicts     ok 300 (100.0 %)\n", " us CPU per decision (",
	} {
		if !strings.Contains(text.stdout, line) || text.code != exitOK || text.stderr != "" {
			t.Errorf("no %q in %+v", line, text)
		}
	}
}

// interrupting answers OK, and calls back at its hundredth request.
type interrupting struct {
	rlsv3.UnimplementedRateLimitServiceServer
	asked *atomic.Int64
	call  func()
}

func (i interrupting) ShouldRateLimit(context.Context, *rlsv3.RateLimitRequest) (*rlsv3.RateLimitResponse, error) {
	if i.asked.Add(1) == 100 {
		i.call()
	}
	return &rlsv3.RateLimitResponse{OverallCode: rlsv3.RateLimitResponse_OK}, nil
}

// Ctrl-C ends the load, not the report.
func TestBench_ThatIsInterruptedReports(t *testing.T) {
	for warmup, want := range map[string]string{"0s": "\nverdicts     ok ", "1h": "stopped before anything was measured"} {
		ctx, cancel := context.WithCancel(t.Context())
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := grpc.NewServer()
		rlsv3.RegisterRateLimitServiceServer(server, interrupting{asked: new(atomic.Int64), call: cancel})
		go func() { _ = server.Serve(listener) }()
		var stdout, stderr bytes.Buffer
		code := Run(ctx, World{
			Args:  []string{"bench", "--target", listener.Addr().String(), "--duration", "1h", "--warmup", warmup},
			Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr,
		})
		server.Stop()
		if !strings.Contains(stdout.String()+stderr.String(), want) || (code == exitOK) != (warmup == "0s") {
			t.Errorf("warm-up of %s: exit code %d\n%s%s", warmup, code, &stdout, &stderr)
		}
	}
}

func TestBench_WithoutAServerIsAFailureInOneLine(t *testing.T) {
	got := weir(t, nil, "bench", "--target", "127.0.0.1:1")
	if got.code != exitFailure || got.stdout != "" || !strings.HasPrefix(got.stderr, "weir: no gRPC server answers on 127.0.0.1:1 (") || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("%+v", got)
	}
}

// What the page and the help tell to type does what they say, with a server and
// a Redis in the places of those named there.
func TestBench_DocumentedCommandsRun(t *testing.T) {
	page, err := os.ReadFile("../../docs/explanation/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	help := weirHere(t, nil, "bench", "--help")
	places := strings.NewReplacer("127.0.0.1:8081", startFloor(t), "redis://127.0.0.1:6379", partstest.Redis(t, parts.RedisServer).URL)
	commands := regexp.MustCompile(`(?m)^ *weir (bench --.*?)(?:  +#.*)?$`).FindAllStringSubmatch(string(page)+help.stdout, -1)
	if len(commands) < 5 {
		t.Errorf("only %d commands found: %q", len(commands), commands)
	}
	for _, command := range commands {
		text := command[1]
		if !strings.Contains(text, "--target") {
			text += " --target 127.0.0.1:8081" // the default
		}
		args := strings.Fields(strings.ReplaceAll(places.Replace(text), "'", ""))
		got := weirHere(t, nil, append(args, "--duration=50ms", "--warmup=0s")...)
		if got.code != exitOK || got.stderr != "" {
			t.Errorf("weir %s: %+v", command[1], got)
		}
		if strings.Contains(text, "redis-url") && !strings.Contains(got.stdout, "Redis ") {
			t.Errorf("weir %s: nothing of Redis\n%s", command[1], got.stdout)
		}
	}
}

func TestProgress_IsALineOnATerminalOnly(t *testing.T) {
	var out bytes.Buffer
	bar := startProgress(&out, "measure", towards(bench.Bound{Duration: time.Hour}), func() int64 { return 1 })
	bar.stop()
	if out.Len() > 0 {
		t.Errorf("%q where nobody looks", out.String())
	}
	for share, bound := range map[string]bench.Bound{
		" 25 %  ": {Duration: 40 * time.Second}, " 50 %  ": {Requests: 200}, "100 %  ": {Duration: 5 * time.Second, Requests: 200},
	} {
		line := progressBar("measure", towards(bound)(10*time.Second, 100), 10*time.Second, 100)
		if !strings.Contains(line, share) || !strings.Contains(line, "100 requests, 10/s") || strings.Contains(line, " left") == (share == "100 %  ") || len([]rune(line)) > 80 {
			t.Errorf("%+v: %q", bound, line)
		}
	}
}
