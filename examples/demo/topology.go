package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-rls/weir/internal/parts"
)

// topology is what runs: one weir and one Envoy, or with Redis two of each.
type topology struct {
	upstream *upstream
	redis    *parts.Redis // nil with the memory store
	weirs    []*parts.WeirProcess
	envoys   []*parts.EnvoyProcess
	rules    string // the directory of the rule files
	scratch  string // the directory of Envoy's files

	envoy     string // Envoy's binary
	bootstrap []byte // the demo's Envoy file
}

// start starts all parts and shows each; after an error nothing runs.
func start(o options, show *screen) (*topology, error) {
	t := &topology{rules: filepath.Join(o.files, "rules")}
	if err := t.start(o, show); err != nil {
		return nil, errors.Join(err, t.stop())
	}
	return t, nil
}

func (t *topology) start(o options, show *screen) (err error) {
	// What can be missing is looked for before anything starts.
	if t.envoy, err = parts.Find(parts.Envoy); err != nil {
		return err
	}
	if t.bootstrap, err = os.ReadFile(filepath.Join(o.files, "envoy.yaml")); err != nil {
		return fmt.Errorf("%w: run the demo in the root of the checkout, or name its files with -files", err)
	}
	if t.scratch, err = os.MkdirTemp("", "weir-demo-"); err != nil {
		return err
	}
	if t.upstream, err = startUpstream("127.0.0.1:0"); err != nil {
		return err
	}
	show.part("upstream", t.upstream.addr)
	replicas := 1
	storeArgs := []string{"--store", "memory"}
	if o.store == "redis" {
		replicas = 2
		if err := t.startRedis(show); err != nil {
			return err
		}
		storeArgs = []string{"--store", "redis", "--redis-url", t.redis.URL}
	}
	for range replicas {
		if err := t.startWeir(o.weir, storeArgs, show); err != nil {
			return err
		}
	}
	for i := range replicas {
		if err := t.startEnvoy(o.port+i, show); err != nil {
			return err
		}
	}
	return nil
}

func (t *topology) startRedis(show *screen) error {
	binary, err := parts.Find(parts.RedisServer)
	if err != nil {
		return err
	}
	if t.redis, err = parts.StartRedis(binary); err != nil {
		return err
	}
	show.part("redis", t.redis.Addr)
	return nil
}

func (t *topology) startWeir(binary string, storeArgs []string, show *screen) error {
	args := append([]string{
		"--rules", t.rules, "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
		"--store-timeout", "2s", "--drain-delay", "1s", "--headers", "legacy",
	}, storeArgs...)
	weir, err := parts.StartWeir(binary, args...)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: build it with `make build`", err)
	}
	if err != nil {
		return err
	}
	t.weirs = append(t.weirs, weir)
	show.part("weir", weir.GRPC)
	show.note(filepath.Base(binary) + " serve " + strings.Join(args, " "))
	return nil
}

// startEnvoy runs the demo's Envoy file on port, or a free one, in front of all
// replicas of weir.
func (t *topology) startEnvoy(port int, show *screen) error {
	var replicas []string
	for _, weir := range t.weirs {
		replicas = append(replicas, weir.GRPC)
	}
	listen := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if taken(listen) {
		show.note(listen + " is taken; this Envoy has another port")
		listen = "127.0.0.1:0"
	}
	bootstrap, err := parts.Readdress(t.bootstrap, parts.Addresses{
		Admin:     "127.0.0.1:0",
		Listeners: map[string]string{"front": listen},
		Clusters:  map[string][]string{"upstream": {t.upstream.addr}, "weir": replicas},
	})
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(t.scratch, "envoy-")
	if err != nil {
		return err
	}
	envoy, err := parts.StartEnvoy(t.envoy, bootstrap, dir)
	if err != nil {
		return err
	}
	t.envoys = append(t.envoys, envoy)
	show.part("envoy", "http://"+envoy.Listener("front"))
	return nil
}

func taken(addr string) bool {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return true
	}
	return listener.Close() != nil
}

// wait returns when ctx ends, and with an error when a part ends before it.
func (t *topology) wait(ctx context.Context) error {
	ended := make(chan string, 1)
	for _, p := range slices.Concat(t.stages()...) {
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

// stages are all parts that run, in the order in which they stop: who asks goes
// before who is asked.
func (t *topology) stages() [][]*parts.Process {
	var envoys, weirs, stores []*parts.Process
	for _, e := range t.envoys {
		envoys = append(envoys, e.Process)
	}
	for _, w := range t.weirs {
		weirs = append(weirs, w.Process)
	}
	if t.redis != nil {
		stores = append(stores, t.redis.Process)
	}
	return [][]*parts.Process{envoys, weirs, stores}
}

func (t *topology) stop() error {
	var errs []error
	for _, stage := range t.stages() {
		stopped := make(chan error)
		for _, p := range stage {
			go func() { stopped <- p.Stop() }() // at once: each weir drains for a while
		}
		for range stage {
			errs = append(errs, <-stopped)
		}
	}
	if t.upstream != nil {
		errs = append(errs, t.upstream.server.Close())
	}
	if t.scratch != "" {
		errs = append(errs, os.RemoveAll(t.scratch))
	}
	return errors.Join(errs...)
}
