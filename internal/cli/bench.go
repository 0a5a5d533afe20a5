package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weir-rls/weir/internal/bench"
	"github.com/weir-rls/weir/internal/config"
)

// benchFlags are the flags of weir bench.
type benchFlags struct {
	load     bench.Load
	bound    bench.Bound
	warmup   time.Duration
	pid      int
	redisURL string
	json     bool
}

func newBench(world World) *cobra.Command {
	command := &cobra.Command{
		Use:   "bench",
		Short: "Load a rate limit service and measure what it costs",
		Long: `Load a rate limit service with requests and report how many it answered, how
fast, and with which verdicts. Any server of Envoy's RateLimitService can be the
target. Of a server on this machine CPU time and memory are reported too, and of
its Redis CPU time and commands. Ctrl-C ends the load early, with a report.

With --rate the loop is open: requests are sent when they are due, whether or
not earlier ones were answered, and a request that had to wait for them counts
from when it was due. Without, each answer is followed by the next request.

The target's rules should know the domain and descriptors that are sent, such as

  domain: bench
  descriptors: [{key: user, rate_limit: {unit: second, requests_per_unit: 100}}]`,
		Example: `  weir bench --target 127.0.0.1:8081
  weir bench --keys 1 --rate 2000 --duration 30s --redis-url redis://127.0.0.1:6379
  weir bench --descriptor tenant=t%{10},user=u%d --descriptor path=/%d --json`,
		Args: noArguments,
	}
	var flags benchFlags
	flags.define(command.Flags())
	command.RunE = func(command *cobra.Command, _ []string) error {
		if err := flags.check(); err != nil {
			return err
		}
		var probe bench.Probe
		if flags.redisURL != "" {
			var err error
			if probe.Redis, err = bench.OpenRedis(flags.redisURL); err != nil {
				return err
			}
			defer probe.Redis.Close()
		}
		report, err := flags.run(command.Context(), world, probe)
		if err != nil {
			return failureError{err}
		}
		text := report.Text()
		if flags.json {
			encoded, err := json.MarshalIndent(report, "", "  ")
			if err != nil {
				return failureError{err}
			}
			text = string(encoded) + "\n"
		}
		if _, err := fmt.Fprint(world.Stdout, text); err != nil {
			return failureError{err}
		}
		if report.Requests == 0 {
			return failureError{errors.New("no request was answered")}
		}
		return nil
	}
	command.AddCommand(newBenchFloor(world))
	return command
}

func (f *benchFlags) define(flags *pflag.FlagSet) {
	flags.SortFlags = false
	flags.StringVar(&f.load.Target, "target", "127.0.0.1:8081", "The service to load.")
	flags.StringVar(&f.load.Domain, "domain", "bench", "Domain of the requests.")
	flags.StringArrayVar(&f.load.Descriptors, "descriptor", []string{"user=%d"},
		"A descriptor of each request, given once for each; entries are parted by commas. %d in a value is the number of the key, %{10} that number modulo 10.")
	flags.Lookup("descriptor").DefValue = "user=%d" // pflag would show a list
	flags.IntVar(&f.load.Keys, "keys", 10_000, "Number of keys, of different requests.")
	flags.StringVar(&f.load.Distribution, "distribution", bench.Uniform,
		"How requests spread over the keys: alike, nine of ten for the first key, the key of rank k as often as 1/k^1.1, or one key after the other.")
	flags.Uint64Var(&f.load.Seed, "seed", 1, "Seed of the random choice of keys.")
	flags.Uint32Var(&f.load.Hits, "hits", 1, "Hits of each request (hits_addend).")
	config.GroupFlags(flags, "Requests", map[string]string{
		"target": "HOST:PORT", "domain": "TEXT", "descriptor": "KEY=VALUE,...", "keys": "N",
		"distribution": strings.Join(bench.Distributions, "|"), "seed": "N", "hits": "N",
	})
	flags.IntVar(&f.load.InFlight, "in-flight", 64, "Requests under way at the same moment, at most.")
	flags.IntVar(&f.load.Connections, "connections", 4, "Connections that they share.")
	flags.IntVar(&f.load.Rate, "rate", 0, "Requests a second; 0 is a closed loop, as fast as answers come.")
	flags.DurationVar(&f.bound.Duration, "duration", 10*time.Second, "How long to measure; 0s is until --requests.")
	flags.Int64Var(&f.bound.Requests, "requests", 0, "How many requests to measure; 0 is until --duration.")
	flags.DurationVar(&f.warmup, "warmup", 2*time.Second, "How long to load before that, unmeasured.")
	flags.DurationVar(&f.load.Timeout, "timeout", time.Second, "Deadline of each request, sent with it.")
	config.GroupFlags(flags, "Load", map[string]string{
		"in-flight": "N", "connections": "N", "rate": "N", "duration": "DURATION", "requests": "N", "warmup": "DURATION", "timeout": "DURATION",
	})
	flags.IntVar(&f.pid, "pid", 0, "Process whose CPU time and memory to report; 0 is the one that listens on the target's port, if that is on this machine.")
	flags.StringVar(&f.redisURL, "redis-url", "", "Redis or Valkey whose CPU time, commands and memory to report: redis://[USER:PASSWORD@]HOST:PORT/DB.")
	flags.BoolVar(&f.json, "json", false, "Write the report as JSON.")
	config.GroupFlags(flags, "Report", map[string]string{"pid": "PID", "redis-url": "URL", "json": "bool"})
}

func (f *benchFlags) check() error {
	faults := []error{f.load.Check()}
	notBelow0 := func(flag string, value any, below bool) {
		if below {
			faults = append(faults, fmt.Errorf("--%s: %v is below 0", flag, value))
		}
	}
	notBelow0("duration", f.bound.Duration, f.bound.Duration < 0)
	notBelow0("requests", f.bound.Requests, f.bound.Requests < 0)
	notBelow0("warmup", f.warmup, f.warmup < 0)
	notBelow0("pid", f.pid, f.pid < 0)
	if f.bound == (bench.Bound{}) {
		faults = append(faults, errors.New("--duration and --requests are both 0, so that the load would not end: set one"))
	}
	return errors.Join(faults...)
}

// run warms the target up and measures it, and what probe has to look at.
func (f *benchFlags) run(ctx context.Context, world World, probe bench.Probe) (bench.Report, error) {
	var notes []string
	if probe.PID = f.pid; probe.PID == 0 && runtime.GOOS == "linux" {
		var err error
		if probe.PID, err = bench.ListenerOf(f.load.Target); err != nil {
			notes = append(notes, fmt.Sprintf("the server's CPU time is not measured: %v: --pid names its process", err))
		}
	}
	generator, err := bench.Open(ctx, f.load)
	if err != nil {
		return bench.Report{}, err
	}
	defer generator.Close()
	if f.warmup > 0 {
		progress := startProgress(world.Stderr, "warm-up", towards(bench.Bound{Duration: f.warmup}), generator.Sent)
		generator.Run(ctx, bench.Bound{Duration: f.warmup})
		progress.stop()
	}
	if ctx.Err() != nil {
		return bench.Report{}, errors.New("stopped before anything was measured")
	}
	progress := startProgress(world.Stderr, "measure", towards(f.bound), generator.Sent)
	report, err := probe.Run(ctx, generator, f.bound)
	progress.stop()
	report.Notes = notes
	return report, err
}

func newBenchFloor(world World) *cobra.Command {
	command := &cobra.Command{
		Use:   "floor",
		Short: "Serve a RateLimitService that does nothing, to compare with",
		Long: `Serve a RateLimitService that answers OK and does nothing else: what gRPC itself
costs, and so the least that a rate limit service in Go can cost. It prints its
address, and ends with Ctrl-C.`,
		Example: `  weir bench floor --listen 127.0.0.1:8091`,
		Args:    noArguments,
	}
	command.Flags().SortFlags = false
	address := command.Flags().String("listen", "127.0.0.1:0", "Where to listen; port 0 is any free one.")
	config.GroupFlags(command.Flags(), "Addresses", map[string]string{"listen": "HOST:PORT"})
	command.RunE = func(command *cobra.Command, _ []string) error {
		if _, _, err := net.SplitHostPort(*address); err != nil {
			return fmt.Errorf("--listen: %q is not HOST:PORT", *address)
		}
		listener, err := net.Listen("tcp", *address)
		if err != nil {
			return failureError{fmt.Errorf("--listen: %w", err)}
		}
		if _, err := fmt.Fprintln(world.Stdout, listener.Addr()); err != nil {
			return failureError{err}
		}
		if err := bench.Floor(command.Context(), listener); err != nil {
			return failureError{err}
		}
		return nil
	}
	return command
}
