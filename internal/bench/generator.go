package bench

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

const (
	connectWithin = 5 * time.Second
	// pauseAfterError keeps a load from hammering a server that refuses its calls.
	pauseAfterError = 10 * time.Millisecond
)

// Generator sends a load, in as many runs as are wanted, over connections that
// stay open between them.
type Generator struct {
	load        Load
	requests    requests
	choose      []func(issued int64) int // for each worker, going on from run to run
	connections []*grpc.ClientConn
	sent        atomic.Int64 // of the present run
}

// Open checks the load, makes its requests and connects.
func Open(ctx context.Context, load Load) (*Generator, error) {
	return openWith(ctx, load)
}

func openWith(ctx context.Context, load Load, options ...grpc.DialOption) (*Generator, error) {
	if err := load.Check(); err != nil {
		return nil, err
	}
	g := &Generator{load: load, choose: make([]func(int64) int, load.InFlight)}
	var err error
	if g.requests, err = encode(load); err != nil {
		return nil, err
	}
	for worker := range g.choose {
		if g.choose[worker], err = keyChooser(load.Distribution, load.Keys, load.Seed, worker); err != nil {
			return nil, err
		}
	}
	for range min(load.Connections, load.InFlight) {
		all := append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy()}, options...)
		connection, err := grpc.NewClient(load.Target, all...)
		if err != nil {
			g.Close()
			return nil, fmt.Errorf("--target: %w", err)
		}
		g.connections = append(g.connections, connection)
		if err := connected(ctx, connection); err != nil {
			g.Close()
			if ctx.Err() != nil { // which is not the server's fault
				return nil, fmt.Errorf("stopped before %s was connected: %w", load.Target, ctx.Err())
			}
			return nil, fmt.Errorf("no gRPC server answers on %s (%w): is it running? --target names its address", load.Target, err)
		}
	}
	return g, nil
}

// connected waits until a connection stands.
func connected(ctx context.Context, connection *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	for {
		connection.Connect()
		state := connection.GetState()
		if state == connectivity.Ready {
			return nil
		}
		if state == connectivity.TransientFailure || !connection.WaitForStateChange(ctx, state) {
			return fmt.Errorf("the connection is in the state %s", strings.ToLower(state.String()))
		}
	}
}

// Close ends the connections.
func (g *Generator) Close() {
	for _, connection := range g.connections {
		_ = connection.Close() // nothing is left to be sent
	}
}

// Sent is how many requests of the present run have been sent.
func (g *Generator) Sent() int64 { return g.sent.Load() }

// Bound ends a run at whichever comes first; 0 is no bound.
type Bound struct {
	Duration time.Duration
	Requests int64
}

// Run sends requests until the bound or until ctx ends, waits for their
// answers, and tells what became of them.
func (g *Generator) Run(ctx context.Context, bound Bound) Run {
	if bound.Requests == 0 {
		bound.Requests = math.MaxInt64
	}
	if bound.Duration == 0 {
		bound.Duration = math.MaxInt64
	}
	g.sent.Store(0)
	tallies := make([]*tally, len(g.connections))
	for i := range tallies {
		tallies[i] = newTally()
	}
	r := &run{Generator: g, bound: bound, start: time.Now()}
	var workers sync.WaitGroup
	for worker := range g.load.InFlight {
		i := worker % len(g.connections)
		workers.Go(func() { r.work(ctx, g.connections[i], g.choose[worker], tallies[i]) })
	}
	workers.Wait()
	result := Run{Elapsed: time.Since(r.start), tally: newTally()}
	for _, t := range tallies {
		result.tally.add(t)
	}
	if g.load.Rate > 0 {
		due := min(int64(float64(g.load.Rate)*min(result.Elapsed, bound.Duration).Seconds()), bound.Requests)
		result.Unsent = max(0, due-g.sent.Load())
	}
	return result
}

// run is a run under way.
type run struct {
	*Generator
	bound  Bound
	start  time.Time
	issued atomic.Int64
}

// work sends one request after the other.
func (r *run) work(ctx context.Context, connection *grpc.ClientConn, choose func(int64) int, t *tally) {
	for {
		number := r.issued.Add(1) - 1
		if number >= r.bound.Requests {
			return
		}
		began, ok := r.begin(ctx, number)
		if !ok {
			return
		}
		r.sent.Add(1)
		verdict, err := r.ask(ctx, connection, r.requests.of(choose(number)))
		after := time.Since(began)
		if err != nil {
			code := status.Code(err)
			t.failed(code.String(), code == codes.DeadlineExceeded, after)
			time.Sleep(pauseAfterError)
			continue
		}
		t.answered(verdict, after)
	}
}

// begin waits until a request is due and answers since when its latency counts;
// false where the run has ended.
//
// In an open loop a request is due whether or not earlier ones have been
// answered. A worker that comes late, because the server kept it, counts from
// when the request was due: the callers of a stalled server do not wait for one
// another (this is what is called coordinated omission). A worker that was there
// in time counts from when its timer let it go, up to 1 ms late, for that is not
// the server's doing.
func (r *run) begin(ctx context.Context, number int64) (began time.Time, ok bool) {
	now := time.Now()
	if r.load.Rate == 0 {
		return now, now.Sub(r.start) < r.bound.Duration && ctx.Err() == nil
	}
	due := r.start.Add(time.Duration(float64(number) / float64(r.load.Rate) * float64(time.Second)))
	if max(now.Sub(r.start), due.Sub(r.start)) >= r.bound.Duration || ctx.Err() != nil {
		return due, false
	}
	wait := due.Sub(now)
	if wait <= 0 {
		return due, true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return due, false
	case <-timer.C:
		return time.Now(), true
	}
}

// ask sends one request. A run that ends early still waits for its answer.
func (r *run) ask(ctx context.Context, connection *grpc.ClientConn, request []byte) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.load.Timeout)
	defer cancel()
	var code rlsv3.RateLimitResponse_Code
	err := connection.Invoke(ctx, rlsv3.RateLimitService_ShouldRateLimit_FullMethodName, &request, &code, grpc.ForceCodecV2(wire{}))
	return verdictName(code), err
}

func verdictName(code rlsv3.RateLimitResponse_Code) string {
	switch code {
	case rlsv3.RateLimitResponse_OK:
		return "ok"
	case rlsv3.RateLimitResponse_OVER_LIMIT:
		return "over_limit"
	}
	return "unknown"
}
