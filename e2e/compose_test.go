package e2e

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

func loadCompose(t *testing.T) *types.Project {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	options, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yaml")}, cli.WithWorkingDirectory(root))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestCompose_NamesFilesAndStagesThatExist(t *testing.T) {
	project := loadCompose(t)
	names := project.ServiceNames()
	slices.Sort(names)
	if want := []string{"envoy", "upstream", "valkey", "weir-1", "weir-2"}; !slices.Equal(names, want) {
		t.Fatalf("services %v, want %v", names, want)
	}
	dockerfile, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range project.Services {
		if service.Build != nil && !strings.Contains(string(dockerfile), " AS "+service.Build.Target+"\n") {
			t.Errorf("%s: the Dockerfile has no stage %q", service.Name, service.Build.Target)
		}
		for _, volume := range service.Volumes {
			if _, err := os.Stat(volume.Source); err != nil {
				t.Errorf("%s: %v", service.Name, err)
			}
		}
	}
	if got, want := mounted(t, project, "weir-1", "/rules"), abs(t, "../examples/demo/rules"); got != want {
		t.Errorf("weir serves %s, want the rules of make demo, %s", got, want)
	}
	if ports := project.Services["envoy"].Ports; len(ports) == 0 || ports[0].Published != "10000" || ports[0].HostIP != "127.0.0.1" {
		t.Errorf("Envoy's ports are %+v", ports)
	}
}

// The two Envoy files of the demo are one file but for addresses: with the same
// addresses they are equal, and Envoy loads both.
func TestCompose_EnvoyFileDiffersInAddressesAlone(t *testing.T) {
	project := loadCompose(t)
	same := parts.Addresses{
		Admin: "127.0.0.1:1", Listeners: map[string]string{"front": "127.0.0.1:2"},
		Clusters: map[string][]string{"upstream": {"127.0.0.1:3"}, "weir": {"127.0.0.1:4"}},
	}
	var texts []string
	for _, path := range []string{"../examples/demo/envoy.yaml", mounted(t, project, "envoy", "/etc/envoy/envoy.yaml")} {
		text := read(t, path)
		if err := parts.ValidateEnvoy(partstest.Binary(t, parts.Envoy), text, t.TempDir()); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		readdressed, err := parts.Readdress(text, same)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		texts = append(texts, string(readdressed))
	}
	if texts[0] != texts[1] {
		t.Errorf("the files differ in more than addresses:\n%s\n%s", texts[0], texts[1])
	}
	compose := string(read(t, mounted(t, project, "envoy", "/etc/envoy/envoy.yaml")))
	for _, endpoint := range []string{"address: weir-1, port_value: 8081", "address: weir-2, port_value: 8081", "address: upstream, port_value: 9000"} {
		if !strings.Contains(compose, endpoint) {
			t.Errorf("Envoy has no endpoint %q", endpoint)
		}
	}
}

// The topology of the compose file, each container as a process: its commands,
// its files, and other addresses.
func TestCompose_TopologyLimits(t *testing.T) {
	project := loadCompose(t)
	valkey := partstest.Redis(t, parts.ValkeyServer)
	top := &topology{}
	upstream := top.startUpstream(t)
	for _, name := range []string{"weir-1", "weir-2"} {
		command := []string(project.Services[name].Command)
		if len(command) == 0 || command[0] != "serve" {
			t.Fatalf("%s runs %q, want serve", name, command)
		}
		args := replace(t, command[1:], map[string]string{
			"--rules=/rules":                    "--rules=" + mounted(t, project, name, "/rules"),
			"--grpc-listen=0.0.0.0:8081":        "--grpc-listen=127.0.0.1:0",
			"--http-listen=0.0.0.0:8080":        "--http-listen=127.0.0.1:0",
			"--drain-delay=2s":                  "--drain-delay=0s",
			"--redis-url=redis://valkey:6379/0": "--redis-url=" + valkey.URL,
		})
		top.weirs = append(top.weirs, partstest.Weir(t, weirBinary, args...))
	}
	text, err := parts.Readdress(read(t, mounted(t, project, "envoy", "/etc/envoy/envoy.yaml")), parts.Addresses{
		Admin: "127.0.0.1:0", Listeners: map[string]string{"front": "127.0.0.1:0"},
		Clusters: map[string][]string{"upstream": {upstream}, "weir": {top.weirs[0].GRPC, top.weirs[1].GRPC}},
	})
	if err != nil {
		t.Fatal(err)
	}
	top.addEnvoy(partstest.Envoy(t, text))
	top.fronts[0] += "/api/c"
	got, took := top.burst(t, 100, nil)
	if most := (100 + refilled(10, took)) / 3; got[200] < 33 || got[200] > most {
		t.Errorf("%v in %v, want 33 to %d of weight 3 passed", got, took, most)
	}
	top.judged(t, got)
}

// mounted is the file or directory that a service sees at target.
func mounted(t *testing.T, project *types.Project, service, target string) string {
	t.Helper()
	for _, volume := range project.Services[service].Volumes {
		if volume.Target == target && volume.ReadOnly {
			return volume.Source
		}
	}
	t.Fatalf("%s mounts nothing read-only at %s", service, target)
	return ""
}

// replace is args with some of them replaced, each of which must be there.
func replace(t *testing.T, args []string, by map[string]string) []string {
	t.Helper()
	args = slices.Clone(args)
	for old, replacement := range by {
		i := slices.Index(args, old)
		if i < 0 {
			t.Fatalf("%q lacks %q", args, old)
		}
		args[i] = replacement
	}
	return args
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func abs(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
