package stagetest

import (
	"cmp"
	"context"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
	"github.com/weir-rls/weir/internal/stage"
)

// composed is a compose file and what its services are.
type composed struct {
	project *types.Project
	weirs   []types.ServiceConfig // one for each replica
	envoy   types.ServiceConfig
	ports   map[string][]string // where each service listens
	redis   bool
}

// Compose checks that what a compose file names is there and fits, and tells the
// example's story on its topology: each container as a process with its command
// and its files, and other addresses.
func Compose(t *testing.T, example func() stage.Example, file string) {
	t.Helper()
	e := example()
	c := loadCompose(t, file, e)
	bootstrap := mounted(t, c.envoy, "/etc/envoy/envoy.yaml")
	c.checkEnvoy(t, bootstrap)
	o := stage.Options{Store: "memory", Cast: &stage.Cast{
		Server: parts.ValkeyServer, Envoys: 1, Envoy: bootstrap,
		Weirs: func(rules, redisURL string) (all [][]string) {
			for _, weir := range c.weirs {
				all = append(all, onLoopback(t, weir, rules, redisURL))
			}
			return all
		},
	}}
	if c.redis {
		o.Store = "redis"
	}
	if err := e.Story(t.Context(), start(t, e, o)); err != nil {
		t.Error(err)
	}
}

func loadCompose(t *testing.T, file string, e stage.Example) composed {
	t.Helper()
	path := abs(t, file)
	options, err := cli.NewProjectOptions([]string{path}, cli.WithWorkingDirectory(filepath.Dir(path)))
	if err != nil {
		t.Fatal(err)
	}
	c := composed{ports: map[string][]string{}}
	if c.project, err = options.LoadProject(context.Background()); err != nil {
		t.Fatal(err)
	}
	dockerfile, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(c.project.Services)) {
		service := c.project.Services[name]
		if service.Build != nil && !strings.Contains(string(dockerfile), " AS "+service.Build.Target+"\n") {
			t.Errorf("%s: the Dockerfile has no stage %q", name, service.Build.Target)
		}
		for _, volume := range service.Volumes {
			if _, err := os.Stat(volume.Source); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is open to other machines", name, port.Published)
			}
		}
		c.cast(t, name, service, e)
	}
	if len(c.weirs) == 0 || c.envoy.Name == "" {
		t.Fatalf("%s runs %d weirs and Envoy as %q", file, len(c.weirs), c.envoy.Name)
	}
	return c
}

// cast tells what a service is, and where it listens.
func (c *composed) cast(t *testing.T, name string, service types.ServiceConfig, e stage.Example) {
	t.Helper()
	switch {
	case len(service.Command) > 0 && service.Command[0] == "serve":
		for _, arg := range service.Command {
			if flag, addr, stated := strings.Cut(arg, "="); stated && strings.HasSuffix(flag, "-listen") {
				c.ports[name] = append(c.ports[name], portOf(t, addr))
			}
		}
		for range service.GetScale() {
			c.weirs = append(c.weirs, service)
		}
	case service.Build != nil && service.Build.Target == "upstream":
		entrypoint := []string(service.Entrypoint)
		if len(entrypoint) == 0 { // the Dockerfile's
			entrypoint = []string{"/demo", "-upstream", "0.0.0.0:9000"}
		}
		if len(entrypoint) != 3 || entrypoint[0] != "/"+e.Name || entrypoint[1] != "-upstream" {
			t.Errorf("%s runs %q, want /%s -upstream HOST:PORT", name, entrypoint, e.Name)
			return
		}
		_, addr, named := strings.Cut(entrypoint[2], "=")
		if !named {
			addr = entrypoint[2]
		}
		c.ports[name] = []string{portOf(t, addr)}
	case strings.HasPrefix(service.Image, "envoyproxy/envoy:"):
		c.envoy = service
	case strings.HasPrefix(service.Image, "valkey/valkey:"):
		c.redis = true
		if !slices.Contains(service.Command, "noeviction") {
			t.Errorf("%s may evict a bucket, which would refill it", name)
		}
	}
}

// checkEnvoy lets Envoy load its file, whose endpoints are services, at ports
// where those listen.
func (c *composed) checkEnvoy(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := parts.ValidateEnvoy(partstest.Binary(t, parts.Envoy), text, t.TempDir()); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	stated, err := parts.Stated(text)
	if err != nil {
		t.Fatal(err)
	}
	for cluster, endpoints := range stated.Clusters {
		for _, endpoint := range endpoints {
			host, port, err := net.SplitHostPort(endpoint)
			if err != nil || !slices.Contains(c.ports[host], port) {
				t.Errorf("%s: cluster %s has the endpoint %s, but services listen at %v", file, cluster, endpoint, c.ports)
			}
		}
	}
	for _, port := range c.envoy.Ports {
		published := func(addr string) bool { return addr == net.JoinHostPort("0.0.0.0", port.Published) }
		if stated.Admin != net.JoinHostPort("0.0.0.0", port.Published) && !slices.ContainsFunc(slices.Collect(maps.Values(stated.Listeners)), published) {
			t.Errorf("%s: nothing listens at the published port %s", file, port.Published)
		}
	}
}

// onLoopback are the arguments of a replica's `weir serve`, with addresses and
// paths that exist on this machine.
func onLoopback(t *testing.T, weir types.ServiceConfig, rules, redisURL string) (args []string) {
	t.Helper()
	for _, arg := range weir.Command[1:] {
		flag, value, valued := strings.Cut(arg, "=")
		switch {
		case !valued:
			args = append(args, arg)
			continue
		case flag == "--rules":
			if source := mounted(t, weir, value); source != abs(t, filepath.Base(source)) {
				t.Errorf("%s serves %s, want the example's rules", weir.Name, source)
			}
			value = rules
		case strings.HasSuffix(flag, "-listen"):
			value = "127.0.0.1:0"
		case flag == "--redis-url":
			value = cmp.Or(redisURL, value)
		case flag == "--drain-delay":
			value = "0s"
		}
		args = append(args, flag+"="+value)
	}
	return args
}

// mounted is the file or directory that a service sees at target.
func mounted(t *testing.T, service types.ServiceConfig, target string) string {
	t.Helper()
	for _, volume := range service.Volumes {
		if volume.Target == target && volume.ReadOnly {
			return volume.Source
		}
	}
	t.Fatalf("%s mounts nothing read-only at %s", service.Name, target)
	return ""
}

func abs(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func portOf(t *testing.T, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return port
}
