package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/weir-rls/weir/internal/bench"
	"github.com/weir-rls/weir/internal/parts"
)

// house is where servers are started and what they share.
type house struct {
	binary      string // weir
	redisBinary string
	dir         string // of rule files
	floor       *server
}

// server is a running rate limit service.
type server struct {
	*parts.Process
	grpc string
	weir *parts.WeirProcess // nil for the floor
}

func open(binary string) (*house, error) {
	redisBinary, err := parts.Find(parts.RedisServer)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return nil, err
	}
	h := &house{binary: binary, redisBinary: redisBinary, dir: dir}
	if h.floor, err = startFloor(binary); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

func (h *house) close() error {
	var err error
	if h.floor != nil {
		err = h.floor.Stop()
	}
	return errors.Join(err, os.RemoveAll(h.dir))
}

// startFloor starts the server that does nothing. What comes before its command
// may be env with variables.
func startFloor(command ...string) (*server, error) {
	process, err := parts.Start(command[0], "", append(command[1:], "bench", "floor", "--listen", "127.0.0.1:0")...)
	if err != nil {
		return nil, err
	}
	const attempts, pause = 500, 10 * time.Millisecond
	for range attempts {
		if address, complete := strings.CutSuffix(process.Output(), "\n"); complete {
			return &server{Process: process, grpc: address}, nil
		}
		select {
		case <-process.Done():
			return nil, fmt.Errorf("the floor ended before it listened: %s", process.Output())
		case <-time.After(pause):
		}
	}
	return nil, errors.Join(errors.New("the floor does not tell its address"), process.Kill())
}

// startWeir starts a weir with rules, on the Redis of the URL or in memory
// where that is empty.
func (h *house) startWeir(rules, redisURL string, args ...string) (*server, error) {
	file, err := os.CreateTemp(h.dir, "rules-*.yaml")
	if err != nil {
		return nil, err
	}
	if _, err := file.WriteString(rules); err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	return h.startWeirOn(file.Name(), redisURL, args...)
}

func (h *house) startWeirOn(file, redisURL string, args ...string) (*server, error) {
	all := []string{"--rules", file, "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--drain-delay", "0s"}
	if redisURL != "" {
		// A busy machine keeps calls longer than the 10 ms after which each limit's
		// on_store_error decides, and then something else would be measured.
		all = append(all, "--store", "redis", "--redis-url", redisURL, "--store-timeout", "2s")
	}
	weir, err := parts.StartWeir(h.binary, append(all, args...)...)
	if err != nil {
		return nil, err
	}
	return &server{Process: weir.Process, grpc: weir.GRPC, weir: weir}, nil
}

// startRedis starts a Redis and opens its counters.
func (h *house) startRedis() (*parts.Redis, *bench.Redis, error) {
	server, err := parts.StartRedis(h.redisBinary)
	if err != nil {
		return nil, nil, err
	}
	counters, err := bench.OpenRedis(server.URL)
	if err != nil {
		return nil, nil, errors.Join(err, server.Stop())
	}
	return server, counters, nil
}

// side is a server with the load that it gets.
type side struct {
	server    *server
	generator *bench.Generator
	probe     bench.Probe
}

// against connects a load to a server and warms it up.
func against(ctx context.Context, p plan, s *server, l bench.Load, redis *bench.Redis) (*side, error) {
	l.Target, l.Seed, l.Hits, l.Timeout = s.grpc, 1, 1, 5*time.Second
	generator, err := bench.Open(ctx, l)
	if err != nil {
		return nil, err
	}
	generator.Run(ctx, bench.Bound{Duration: p.warmup})
	return &side{s, generator, bench.Probe{PID: s.Pid(), Redis: redis}}, nil
}

// measure loads a server for one slice and takes no answer but verdict: a server
// that fails is fast and cheap.
func (s *side) measure(ctx context.Context, p plan, verdict string) (bench.Report, error) {
	report, err := s.probe.Run(ctx, s.generator, bench.Bound{Duration: p.slice})
	if err != nil {
		return report, err
	}
	if err := ctx.Err(); err != nil {
		return report, err
	}
	return report, judged(report, verdict)
}

func judged(report bench.Report, verdict string) error {
	if len(report.Errors) > 0 || report.Requests == 0 || report.Verdicts[verdict] != report.Requests {
		return fmt.Errorf("not every answer is %s: %v, errors %v", verdict, report.Verdicts, report.Errors)
	}
	return nil
}

// storeErrors are the calls that a weir's Redis failed: what on_store_error
// decided was not measured on Redis.
func (s *server) storeErrors() error {
	for _, kind := range []string{"timeout", "error", "busy"} {
		n, err := s.weir.Metric(`weir_store_errors_total{kind="` + kind + `"}`)
		if err != nil {
			return err
		}
		if n > 0 {
			return fmt.Errorf("%d calls of the store ended in %s: the machine is too busy to measure", n, kind)
		}
	}
	return nil
}

// ruleFile writes a rule file and answers its name.
func (h *house) ruleFile(name, rules string) (string, error) {
	path := filepath.Join(h.dir, name)
	return path, os.WriteFile(path, []byte(rules), 0o600)
}
