package weir

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
)

// What ships has no shell, runs as nobody, and is built from images that are named.
func TestDockerfile_WhatShipsIsAStaticBinaryAndRunsAsNobody(t *testing.T) {
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	instruction := regexp.MustCompile(`^([A-Z]+)\s+(.*)$`)
	execForm := regexp.MustCompile(`\[("[^"]*"(, )?)+\]$`)
	stages := map[string]map[string]string{} // by name: the last of each instruction
	name := ""
	for line := range strings.Lines(string(text)) {
		found := instruction.FindStringSubmatch(strings.TrimSpace(line))
		if found == nil {
			continue
		}
		what, rest := found[1], found[2]
		if what == "FROM" {
			image, stage, named := strings.Cut(rest, " AS ")
			if _, tag, tagged := strings.Cut(image, ":"); !named || !tagged || tag == "latest" {
				t.Errorf("FROM %s: name the stage, and the image by tag or digest", rest)
			}
			name, stages[stage] = stage, map[string]string{}
		}
		stages[name][what] = rest
	}
	for _, shipped := range []string{"weir", "upstream"} {
		stage := stages[shipped]
		if !strings.HasPrefix(stage["FROM"], "gcr.io/distroless/static-") || !strings.Contains(stage["FROM"], ":nonroot") {
			t.Errorf("%s is built from %s, want distroless static nonroot", shipped, stage["FROM"])
		}
		// Kubernetes' runAsNonRoot cannot tell who a name is.
		if !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(stage["USER"]) {
			t.Errorf("%s runs as %q, want numbers that are not root's", shipped, stage["USER"])
		}
		for _, what := range []string{"ENTRYPOINT", "CMD", "HEALTHCHECK"} {
			if stated := stage[what]; stated != "" && !execForm.MatchString(stated) {
				t.Errorf("%s: %s %s wants a shell, which is not there", shipped, what, stated)
			}
		}
		if stage["ENTRYPOINT"] == "" || stage["RUN"] != "" || stage["ADD"] != "" {
			t.Errorf("%s: want an entry point, and nothing that runs or is fetched in it: %v", shipped, stage)
		}
	}
	// Deployments of envoyproxy/ratelimit start /bin/ratelimit.
	if !strings.Contains(string(text), "ln -s ../weir /out/bin/ratelimit\n") || !strings.Contains(string(text), "\nCOPY --from=build /out/bin/ /bin/\n") {
		t.Error("the image has no /bin/ratelimit")
	}
	if name != "weir" {
		t.Errorf("the last stage is %s, which a build without --target makes", name)
	}
}

// A weir that is taken over can write nothing, and gains no rights.
func TestCompose_OurContainersMayNothing(t *testing.T) {
	files, err := filepath.Glob("examples/*/docker-compose.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range append(files, "docker-compose.yaml") {
		options, err := cli.NewProjectOptions([]string{file}, cli.WithWorkingDirectory(filepath.Dir(file)))
		if err != nil {
			t.Fatal(err)
		}
		project, err := options.LoadProject(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		ours := 0
		for name, s := range project.Services {
			if s.Privileged || len(s.CapAdd) > 0 || len(s.Devices) > 0 || s.NetworkMode == "host" || s.Pid == "host" {
				t.Errorf("%s: %s has more than a container's rights", file, name)
			}
			if s.Build == nil {
				continue
			}
			ours++
			if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") || s.User != "" || len(s.Tmpfs) > 0 {
				t.Errorf("%s: %s: want read_only, cap_drop: [ALL], no-new-privileges and the image's user", file, name)
			}
			for _, volume := range s.Volumes {
				if !volume.ReadOnly {
					t.Errorf("%s: %s may write to %s", file, name, volume.Target)
				}
			}
		}
		if ours < 2 {
			t.Errorf("%s: %d services are ours", file, ours)
		}
	}
}

// A machine without the network must not fail a change; a finding must, also one beside
// trouble with the network.
func TestVulncheck_OnlyADatabaseThatIsOutOfReachIsNoFailure(t *testing.T) {
	const unreachable = `govulncheck: fetching vulnerabilities: Get "https://vuln.go.dev/index/modules.json.gz": dial tcp: lookup vuln.go.dev: no such host`
	for name, c := range map[string]struct {
		says   string
		status string
		passes bool
		warns  bool
	}{
		"nothing found":               {"No vulnerabilities found.", "0", true, false},
		"unreachable":                 {unreachable, "1", true, true},
		"found":                       {"Vulnerability #1: GO-2026-0001", "3", false, false},
		"found, and unreachable":      {"Vulnerability #1: GO-2026-0001\n" + unreachable, "3", false, false},
		"does not compile":            {"govulncheck: loading packages: there are errors", "1", false, false},
		"an error of the database":    {"govulncheck: fetching vulnerabilities: HTTP GET /index/modules.json.gz returned unexpected status: 500", "1", false, false},
		"unreachable, then an error":  {unreachable + "\ngovulncheck: loading packages: there are errors", "1", false, false},
		"killed":                      {"", "137", false, false},
		"unreachable by a crash only": {unreachable, "2", false, false},
	} {
		dir := t.TempDir()
		program(t, dir, "govulncheck", "cat <<'END'\n"+c.says+"\nEND\nexit "+c.status)
		output, err := exec.Command("tools/vulncheck.sh", filepath.Join(dir, "govulncheck")).CombinedOutput()
		if (err == nil) != c.passes || strings.Contains(string(output), "NOT CHECKED") != c.warns || !strings.Contains(string(output), c.says) {
			t.Errorf("%s: %v\n%s", name, err, output)
		}
	}
}
