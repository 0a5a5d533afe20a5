package stage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

	"github.com/weir-rls/weir/internal/parts"
)

// Stage is a running example.
type Stage struct {
	Screen    *Screen
	Upstreams []*UpstreamServer // in the order of the example's
	Redis     *parts.Redis      // nil with the memory store
	Weirs     []*parts.WeirProcess
	Envoys    []*parts.EnvoyProcess
	Rules     string // the file or directory that `weir serve` serves

	Files   string // the directory of the example's files
	Scratch string // one for what it writes, removed at the end

	client   *http.Client
	sent     atomic.Uint64
	lost     []*parts.Process
	platform *Platform // nil where weir is itself
}

// Start starts all parts of an example and shows each; after an error nothing
// runs.
func Start(e Example, o Options, screen *Screen) (*Stage, error) {
	s := &Stage{Screen: screen, Files: o.Files, client: &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 1000},
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if err := s.start(e, o); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// Front is the URL of a listener of the first Envoy.
func (s *Stage) Front(listener string) string { return "http://" + s.Envoys[0].Listener(listener) }

// Dashboard is the URL of the first weir's dashboard.
func (s *Stage) Dashboard() string { return "http://" + s.Weirs[0].HTTP + "/dashboard" }

// Metric is the sum of a series over the replicas of weir that run.
func (s *Stage) Metric(series string) (int64, error) {
	var sum int64
	for _, w := range s.Weirs {
		if slices.Contains(s.lost, w.Process) {
			continue
		}
		n, err := w.Metric(series)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// Redeemed is of how many requests the weirs were told by a receipt how they ended.
func (s *Stage) Redeemed() (int64, error) { return s.Metric(`weir_receipts_total{result="redeemed"}`) }

// Lose ends a part as a power cut would, and does not miss it.
func (s *Stage) Lose(p *parts.Process) error {
	s.lost = append(s.lost, p)
	return p.Kill()
}

// RestoreRedis starts an empty Redis where the lost one was.
func (s *Stage) RestoreRedis() error {
	binary, err := parts.Find(parts.RedisServer)
	if err != nil {
		return err
	}
	restored, err := parts.StartRedisAt(binary, s.Redis.Addr)
	if err == nil {
		s.Redis = restored
	}
	return err
}

// Wait returns when ctx ends, and with an error when a part ends before it that
// was not given up by [Stage.Lose].
func (s *Stage) Wait(ctx context.Context) error {
	ended := make(chan string, 1)
	for _, p := range slices.Concat(s.acts()...) {
		if slices.Contains(s.lost, p) {
			continue
		}
		go func() {
			select {
			case <-p.Done():
				select {
				case ended <- p.Output():
				default: // another part was first
				}
			case <-ctx.Done():
			}
		}()
	}
	select {
	case output := <-ended:
		return fmt.Errorf("a part ended by itself; it wrote:\n%s", output)
	case <-ctx.Done():
		return nil
	}
}

// Parts are all processes that were started, but for those given up.
func (s *Stage) Parts() []*parts.Process {
	return slices.DeleteFunc(slices.Concat(s.acts()...), func(p *parts.Process) bool { return slices.Contains(s.lost, p) })
}

// acts are all parts in the order in which they stop: who asks goes before who
// is asked.
func (s *Stage) acts() [][]*parts.Process {
	var envoys, weirs, stores []*parts.Process
	for _, e := range s.Envoys {
		envoys = append(envoys, e.Process)
	}
	for _, w := range s.Weirs {
		weirs = append(weirs, w.Process)
	}
	if s.Redis != nil {
		stores = append(stores, s.Redis.Process)
	}
	return [][]*parts.Process{envoys, weirs, stores}
}

// Stop stops everything.
func (s *Stage) Stop() error {
	var errs []error
	s.client.CloseIdleConnections()
	for _, act := range s.acts() {
		stopped := make(chan error)
		for _, p := range act {
			go func() { stopped <- p.Stop() }() // at once: each weir drains for a while
		}
		for range act {
			errs = append(errs, <-stopped)
		}
	}
	for _, u := range s.Upstreams {
		errs = append(errs, u.Stop())
	}
	if s.platform != nil && s.platform.Stop != nil {
		s.platform.Stop()
	}
	if s.Scratch != "" {
		errs = append(errs, os.RemoveAll(s.Scratch))
	}
	return errors.Join(errs...)
}

// rulesOf is the file or directory of an example's rules.
func rulesOf(files string) (string, error) {
	for _, name := range []string{"rules.yaml", "rules"} {
		path := filepath.Join(files, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s has neither rules.yaml nor rules: run the example in the root of the checkout, or name its files with -files", files)
}
