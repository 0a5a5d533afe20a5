package stage

import (
	"bytes"
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

func (s *Stage) start(e Example, o Options) (err error) {
	cast := o.cast(e)
	if o.Cast != nil {
		cast = *o.Cast
	}
	// What can be missing is looked for before anything starts.
	envoy, err := parts.Find(parts.Envoy)
	if err != nil {
		return err
	}
	bootstrap, err := os.ReadFile(cast.Envoy)
	if err != nil {
		return fmt.Errorf("%w: run the example in the root of the checkout, or name its files with -files", err)
	}
	if e.Platform == nil {
		if s.Rules, err = rulesOf(o.Files); err != nil {
			return err
		}
	}
	if s.Scratch, err = os.MkdirTemp("", "weir-"+e.Name+"-"); err != nil {
		return err
	}
	admin := "127.0.0.1:0"
	if e.EnvoyAdmin != "" {
		if admin, err = s.nameAdmin(e.EnvoyAdmin); err != nil {
			return err
		}
	}
	if err := s.startBackends(e, o, cast.Server); err != nil {
		return err
	}
	if e.Platform != nil {
		bootstrap, err = s.startPlatform(e, o, bootstrap, cast.Envoys)
	} else {
		err = s.startWeirs(o, cast)
	}
	if err != nil {
		return err
	}
	for i := range cast.Envoys {
		if err := s.startEnvoy(envoy, bootstrap, admin, o.Port, i); err != nil {
			return err
		}
		admin = "127.0.0.1:0"
	}
	return nil
}

func (s *Stage) startWeirs(o Options, cast Cast) error {
	var redisURL string
	if s.Redis != nil {
		redisURL = s.Redis.URL
	}
	for i, args := range cast.Weirs(s.Rules, redisURL) {
		if i == 0 && o.HTTP != 0 {
			args = s.listenForHTTP(slices.Clone(args), o.HTTP)
		}
		if err := s.startWeir(o.Weir, args); err != nil {
			return err
		}
	}
	return nil
}

// startBackends starts what weir and Envoy need: the upstreams, and Redis.
func (s *Stage) startBackends(e Example, o Options, server parts.Part) error {
	for _, u := range e.Upstreams {
		started, err := startUpstream(u, "127.0.0.1:0")
		if err != nil {
			return err
		}
		s.Upstreams = append(s.Upstreams, started)
		s.Screen.part("upstream", started.Addr)
	}
	if o.Store != "redis" {
		return nil
	}
	binary, err := parts.Find(server)
	if err != nil {
		return err
	}
	if s.Redis, err = parts.StartRedis(binary); err != nil {
		return err
	}
	s.Screen.part("redis", s.Redis.Addr)
	return nil
}

// nameAdmin chooses the first Envoy's admin address, and lets weir serve a copy of
// the rules that names it: weir starts before Envoy does.
func (s *Stage) nameAdmin(stated string) (string, error) {
	admin, err := parts.FreeAddr()
	if err != nil {
		return "", err
	}
	renamed := filepath.Join(s.Scratch, "rules")
	if err := os.Mkdir(renamed, 0o700); err != nil {
		return "", err
	}
	err = filepath.WalkDir(s.Rules, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(renamed, entry.Name()), bytes.ReplaceAll(text, []byte(stated), []byte(admin)), 0o600)
	})
	s.Rules = renamed
	return admin, err
}

// listenForHTTP are the arguments with the port, if it is free.
func (s *Stage) listenForHTTP(args []string, port int) []string {
	if at := slices.Index(args, "--http-listen"); at >= 0 && at+1 < len(args) {
		args[at+1] = s.free("dashboard", port)
	}
	return args
}

func (s *Stage) startWeir(binary string, args []string) error {
	weir, err := parts.StartWeir(binary, args...)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: build it with `make build`", err)
	}
	if err != nil {
		return err
	}
	s.Weirs = append(s.Weirs, weir)
	s.Screen.part("weir", weir.GRPC+", dashboard http://"+weir.HTTP+"/dashboard")
	s.Screen.note(filepath.Base(binary) + " serve " + strings.Join(args, " "))
	return nil
}

// startEnvoy runs the example's Envoy file in front of all replicas of weir.
func (s *Stage) startEnvoy(binary string, bootstrap []byte, admin string, port, nth int) error {
	to := parts.Addresses{Admin: admin, Listeners: map[string]string{}, Clusters: map[string][]string{}}
	stated, err := parts.Stated(bootstrap)
	if err != nil {
		return err
	}
	above, err := offsets(stated.Listeners)
	if err != nil {
		return err
	}
	for name, offset := range above {
		to.Listeners[name] = "127.0.0.1:0"
		if port != 0 {
			to.Listeners[name] = s.free("Envoy", port+nth+offset)
		}
	}
	cluster := "weir"
	if s.platform != nil {
		cluster = s.platform.Cluster
	}
	for _, weir := range s.Weirs {
		to.Clusters[cluster] = append(to.Clusters[cluster], weir.GRPC)
	}
	for _, u := range s.Upstreams {
		to.Clusters[u.Cluster] = append(to.Clusters[u.Cluster], u.Addr)
	}
	if bootstrap, err = parts.Readdress(bootstrap, to); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(s.Scratch, "envoy-")
	if err != nil {
		return err
	}
	envoy, err := parts.StartEnvoy(binary, bootstrap, dir)
	if err != nil {
		return err
	}
	s.Envoys = append(s.Envoys, envoy)
	for name := range above {
		s.Screen.part("envoy", "http://"+envoy.Listener(name))
	}
	return nil
}

// offsets are how far the listeners' ports are above the lowest of them.
func offsets(listeners map[string]string) (map[string]int, error) {
	ports, lowest := map[string]int{}, 1<<16
	for name, addr := range listeners {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		if ports[name], err = strconv.Atoi(port); err != nil {
			return nil, err
		}
		lowest = min(lowest, ports[name])
	}
	for name := range ports {
		ports[name] -= lowest
	}
	return ports, nil
}

// free is the port on loopback, or any other where it is taken.
func (s *Stage) free(whose string, port int) string {
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	listener, err := net.Listen("tcp", addr)
	if err == nil {
		err = listener.Close()
	}
	if err != nil {
		s.Screen.note(addr + " is taken: this " + whose + " has another port")
		return "127.0.0.1:0"
	}
	return addr
}
