package weir

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v4"

	"github.com/weir-rls/weir/internal/config"
)

const image = "ghcr.io/weir-rls/weir"

// goreleaser has the fields of .goreleaser.yaml that are used: a misspelt one is
// ignored by nobody.
type goreleaser struct {
	Version int
	Project string `yaml:"project_name"`
	Builds  []struct {
		ID, Main, Binary                  string
		Env, Goos, Goarch, Flags, Ldflags []string
		Timestamp                         string `yaml:"mod_timestamp"`
	}
	Archives []struct {
		Formats []string
		Name    string `yaml:"name_template"`
		Files   []string
	}
	Checksum struct {
		Name      string `yaml:"name_template"`
		Algorithm string
	}
	Sboms []struct{ Artifacts string }
	Signs []struct {
		Cmd, Artifacts, Signature string
		Args                      []string
		Output                    bool
	}
	Changelog struct{ Disable bool }
	Release   struct{ Prerelease, Footer string }
}

// workflow has the fields of a GitHub workflow that are used.
type workflow struct {
	Name        string
	On          map[string]map[string][]string
	Permissions map[string]string
	Concurrency struct {
		Group  string
		Cancel bool `yaml:"cancel-in-progress"`
	}
	Jobs map[string]struct {
		Needs       string
		Runs        string `yaml:"runs-on"`
		Timeout     int    `yaml:"timeout-minutes"`
		Permissions map[string]string
		Steps       []step
	}
}

type step struct {
	ID, Name, Uses, Run string
	With, Env           map[string]string
}

func strictly(t *testing.T, name string, into any) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Load(content, into, yaml.WithKnownFields()); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return string(content)
}

// A version that the linker puts nowhere is (devel) for ever, and says so only to
// who looks.
func TestRelease_TheLinkerFindsTheVersion(t *testing.T) {
	const flag = "-X github.com/weir-rls/weir/internal/cli.version="
	for _, name := range []string{"Makefile", "Dockerfile", ".goreleaser.yaml"} {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if found := regexp.MustCompile(`-X \S+=`).FindAllString(string(content), -1); !slices.Equal(found, []string{flag}) {
			t.Errorf("%s has %q, want %q", name, found, flag)
		}
	}
	files, err := filepath.Glob("internal/cli/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, declared := range file.Decls {
			variables, ok := declared.(*ast.GenDecl)
			if !ok || variables.Tok != token.VAR {
				continue
			}
			for _, spec := range variables.Specs {
				if v := spec.(*ast.ValueSpec); v.Names[0].Name == "version" && len(v.Values) == 0 {
					return
				}
			}
		}
	}
	t.Error("internal/cli has no variable version that the linker could set")
}

func TestRelease_BinariesOfAllMachinesSignedAndTakenApart(t *testing.T) {
	var g goreleaser
	strictly(t, ".goreleaser.yaml", &g)
	if g.Version != 2 || len(g.Builds) != 1 || len(g.Archives) != 1 || len(g.Sboms) != 1 || len(g.Signs) != 1 {
		t.Fatalf("%+v", g)
	}
	b := g.Builds[0]
	if !slices.Equal(b.Goos, []string{"linux", "darwin"}) || !slices.Equal(b.Goarch, []string{"amd64", "arm64"}) || !slices.Contains(b.Env, "CGO_ENABLED=0") || !slices.Contains(b.Flags, "-trimpath") {
		t.Errorf("%+v", b)
	}
	for _, needed := range append(g.Archives[0].Files, b.Main) {
		if _, err := os.Stat(needed); err != nil {
			t.Error(err)
		}
	}
	if !slices.Contains(g.Archives[0].Files, "LICENSE") {
		t.Error("the licence is not with the binary")
	}
	sign := strings.Join(g.Signs[0].Args, " ")
	if g.Signs[0].Cmd != "cosign" || g.Signs[0].Artifacts != "checksum" || !strings.Contains(sign, "--bundle=${signature}") || strings.Contains(sign, "--key") {
		t.Errorf("%+v", g.Signs)
	}
	if !strings.Contains(g.Release.Footer, image+":{{ .Tag }}") {
		t.Errorf("the release does not name the image: %s", g.Release.Footer)
	}
}

// Who can change a step, or what a step uses, can do what the job may do and no
// more.
func TestRelease_JobsMayDoNoMoreThanTheyNeed(t *testing.T) {
	var w workflow
	content := strictly(t, ".github/workflows/release.yaml", &w)
	if len(w.Permissions) > 0 || !slices.Equal(w.On["push"]["tags"], []string{"v*"}) || len(w.On) != 1 {
		t.Errorf("on %v, permissions %v", w.On, w.Permissions)
	}
	for name, want := range map[string]map[string]string{
		"checks":   {"contents": "read"},
		"binaries": {"contents": "write", "id-token": "write"},
		"image":    {"contents": "read", "packages": "write", "id-token": "write"},
	} {
		if job := w.Jobs[name]; !maps.Equal(job.Permissions, want) || job.Timeout == 0 || (name != "checks" && job.Needs != "checks") {
			t.Errorf("%s: %+v, want permissions %v", name, job, want)
		}
	}
	if len(w.Jobs) != 3 {
		t.Errorf("%d jobs", len(w.Jobs))
	}
	pinned := regexp.MustCompile(`^[\w.-]+/[\w./-]+@(v\d+(\.\d+)*|[0-9a-f]{40})$`)
	for name, job := range w.Jobs {
		for _, s := range job.Steps {
			if s.Uses != "" && !pinned.MatchString(s.Uses) {
				t.Errorf("%s: %s is not pinned to a version", name, s.Uses)
			}
			if strings.HasPrefix(s.Uses, "actions/checkout@") && s.With["persist-credentials"] != "false" {
				t.Errorf("%s: checkout leaves its token to all later steps", name)
			}
			if strings.Contains(s.Run, "${{") {
				t.Errorf("%s: %q pastes text into a shell: hand it over in env", name, s.Run)
			}
		}
	}
	for _, secret := range regexp.MustCompile(`secrets\.\w+`).FindAllString(content, -1) {
		if secret != "secrets.GITHUB_TOKEN" {
			t.Errorf("the workflow needs %s: it signs without keys", secret)
		}
	}
}

// The image is built from a stage that is there, for both kinds of machines, and
// comes with where it is from and what is in it.
func TestRelease_TheImage(t *testing.T) {
	var w workflow
	strictly(t, ".github/workflows/release.yaml", &w)
	dockerfile, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	var build, signed step
	for _, s := range w.Jobs["image"].Steps {
		if strings.HasPrefix(s.Uses, "docker/build-push-action@") {
			build = s
		}
		if strings.HasPrefix(s.Run, "cosign sign ") {
			signed = s
		}
	}
	stages := regexp.MustCompile(`(?m)^FROM .* AS (\w+)$`).FindAllStringSubmatch(string(dockerfile), -1)
	if !slices.ContainsFunc(stages, func(m []string) bool { return m[1] == build.With["target"] }) {
		t.Errorf("the Dockerfile has no stage %q", build.With["target"])
	}
	argument, _, _ := strings.Cut(build.With["build-args"], "=")
	if !regexp.MustCompile(`(?m)^ARG .*\b`+argument+`\b`).Match(dockerfile) || argument == "" {
		t.Errorf("the Dockerfile takes no %q", argument)
	}
	for name, want := range map[string]string{"platforms": "linux/amd64,linux/arm64", "provenance": "mode=max", "sbom": "true", "push": "true"} {
		if build.With[name] != want {
			t.Errorf("%s is %q, want %q", name, build.With[name], want)
		}
	}
	if !strings.Contains(string(dockerfile), "--platform=$BUILDPLATFORM") || !strings.Contains(string(dockerfile), "GOARCH=$TARGETARCH") {
		t.Error("the Dockerfile does not cross-compile: one machine's build would be emulated")
	}
	if !strings.Contains(signed.Run, image+"@${DIGEST}") || signed.Env["DIGEST"] != "${{ steps."+build.ID+".outputs.digest }}" {
		t.Errorf("what is signed is not what was pushed: %+v", signed)
	}
	for _, name := range []string{"charts/weir/values.yaml", "docs/how-to/install.md"} {
		if content, err := os.ReadFile(name); err != nil || !strings.Contains(string(content), image) {
			t.Errorf("%s does not name the image %s: %v", name, image, err)
		}
	}
}

// block is what stands under a marker of the install page.
func block(t *testing.T, page []byte, file string) string {
	t.Helper()
	found := regexp.MustCompile("(?s)<!-- file: " + regexp.QuoteMeta(file) + " -->\n```\\w+\n(.*?)```").FindSubmatch(page)
	if found == nil {
		t.Fatalf("docs/how-to/install.md has no %s", file)
	}
	return string(found[1])
}

// The unit starts weir with settings that it takes, and gives it the time to drain.
func TestInstallPage_TheUnitFitsItsSettings(t *testing.T) {
	page, err := os.ReadFile("docs/how-to/install.md")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "weir.yaml")
	if err := os.WriteFile(path, []byte(block(t, page, "weir.yaml")), 0o600); err != nil {
		t.Fatal(err)
	}
	settings, warnings, err := config.Load(pflag.NewFlagSet("serve", pflag.ContinueOnError), []string{"WEIR_CONFIG=" + path}, "rules")
	if err == nil {
		err = settings.Consistent()
	}
	if err != nil || len(warnings) > 0 {
		t.Errorf("%v %q", err, warnings)
	}
	unit := block(t, page, "weir.service")
	stop := regexp.MustCompile(`(?m)^TimeoutStopSec=(\d+)$`).FindStringSubmatch(unit)
	if stop == nil {
		t.Fatalf("no time to stop in\n%s", unit)
	}
	if time, _ := time.ParseDuration(stop[1] + "s"); time <= settings.DrainDelay+settings.DrainTimeout {
		t.Errorf("systemd kills after %v, weir drains for %v", time, settings.DrainDelay+settings.DrainTimeout)
	}
	if !strings.Contains(unit, "\nStateDirectory="+strings.TrimPrefix(settings.StateDir, "/var/lib/")+"\n") || !strings.Contains(unit, "serve --config /etc/weir/weir.yaml\n") {
		t.Errorf("the unit is not of the settings:\n%s", unit)
	}
}

// The commands of a guide are of weir: its flags, variables and files exist.
func TestInstallPage_NamesWhatIsThere(t *testing.T) {
	page, err := os.ReadFile("docs/how-to/install.md")
	if err != nil {
		t.Fatal(err)
	}
	settings, err := os.ReadFile("docs/reference/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`WEIR_[A-Z_]+|--(?:rules|store|redis|drain|headers|admin|grpc|http|state)[a-z-]*`).FindAllString(string(page), -1) {
		if !strings.Contains(string(settings), "`"+name+"`") && !strings.Contains(string(settings), "`"+name+" ") {
			t.Errorf("docs/how-to/install.md names %s, which is no setting", name)
		}
	}
	hosts := regexp.MustCompile(`https?://([\w.-]+)`)
	for _, found := range hosts.FindAllStringSubmatch(string(page), -1) {
		if !slices.Contains([]string{"127.0.0.1", "localhost", "github.com", "token.actions.githubusercontent.com"}, found[1]) {
			t.Errorf("docs/how-to/install.md sends readers to %s", found[1])
		}
	}
}
