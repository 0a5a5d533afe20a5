package cli

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// result is what a run left behind.
type result struct {
	code           int
	stdout, stderr string
}

// weir runs the command line in an empty working directory.
func weir(t *testing.T, environ []string, args ...string) result {
	t.Helper()
	t.Chdir(t.TempDir())
	return weirHere(t, environ, args...)
}

func weirHere(t *testing.T, environ []string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := Run(t.Context(), World{Args: args, Environ: environ, Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr})
	return result{code, stdout.String(), stderr.String()}
}

// The help is a promise: a changed name or default shows here.
func TestServeHelp_IsTheGoldenFile(t *testing.T) { isTheGoldenHelp(t, "serve") }

func TestBenchHelp_IsTheGoldenFile(t *testing.T) { isTheGoldenHelp(t, "bench") }

func isTheGoldenHelp(t *testing.T, command string) {
	t.Helper()
	golden, err := filepath.Abs("testdata/" + command + "-help.golden")
	if err != nil {
		t.Fatal(err)
	}
	got := weir(t, nil, command, "--help")
	if got.code != exitOK || got.stderr != "" {
		t.Errorf("exit code %d, stderr %q", got.code, got.stderr)
	}
	if *update {
		if err := os.WriteFile(golden, []byte(got.stdout), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.stdout != string(want) {
		t.Errorf("weir %s --help has changed; if that is meant: go test ./internal/cli -run GoldenFile -update\n%s", command, got.stdout)
	}
}

func TestHelp_FitsEightyOrSoColumnsAndNamesEveryFlag(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"help"}, {"serve", "-h"}, {"ratelimit", "-h"}, {"check", "-h"}, {"explain", "-h"}, {"test", "-h"}, {"simulate", "-h"}, {"rules", "-h"}, {"migrate", "-h"}, {"health", "-h"}, {"bench", "-h"}, {"bench", "floor", "-h"}, {"token", "-h"}, {"schema", "-h"}, {"completion", "-h"}, {"version", "-h"}} {
		got := weir(t, nil, args...)
		if got.code != exitOK || got.stderr != "" || !strings.Contains(got.stdout, "\nUsage:\n  weir") || !strings.Contains(got.stdout, "--help") {
			t.Errorf("%v: %+v", args, got)
		}
		for line := range strings.Lines(got.stdout) {
			if len(strings.TrimRight(line, "\n")) > columns || strings.HasSuffix(line, " \n") {
				t.Errorf("%v: too long, or a blank at its end: %q", args, line)
			}
		}
	}
}

// Whoever mistypes is told in one line what is wrong and what to do, and gets
// exit code 2.
func TestWrongUsage_IsOneLineWithTheRemedy(t *testing.T) {
	for line, want := range map[string]string{
		"":                                       "no command given: weir --help lists them, weir serve starts the service",
		"serv":                                   `unknown command "serv": did you mean serve?`,
		"frobnicate":                             `unknown command "frobnicate": the commands are bench, check, completion, envoy, explain,`,
		"serve --rulse x":                        "unknown flag: --rulse: did you mean --rules?",
		"serve --frobnicate":                     "unknown flag: --frobnicate: weir serve --help lists the flags",
		"serve --rules":                          "flag needs an argument: --rules",
		"serve -z":                               "unknown shorthand flag: 'z' in -z",
		"serve":                                  "--rules is not set: give it, or set WEIR_RULES",
		"serve x":                                `weir serve takes no argument, got "x"`,
		"serve --rules x --store=":               `--store: "" is none of memory, redis`,
		"version 1":                              `weir version takes no argument, got "1"`,
		"health --http-listen=x":                 `--http-listen: "x" is not an address to listen on`,
		"health --store=redis":                   "unknown flag: --store",
		"check":                                  "no rule file given: write weir check FILE",
		"check -":                                "weir check reads no standard input: name a rule file",
		"rules":                                  "no rule file given: write weir rules FILE",
		"check x --config none":                  "none: the settings file cannot be read: no such file",
		"explain":                                "no rule file given: write weir explain FILE, or --server URL",
		"explain x":                              "no descriptor given: write -d KEY=VALUE",
		"explain x --server=y":                   `both rule files ("x") and --server are given`,
		"explain x -d user":                      `-d: "user" is not KEY=VALUE,KEY=VALUE`,
		"explain x -d a=b,":                      `-d: "a=b," is not KEY=VALUE,KEY=VALUE`,
		"explain x -d a=b --hits=0":              "--hits: 0 is not from 1 to 4294967295",
		"explain x -d a=b --hits=-1":             `--hits: "-1" is not N`,
		"explain x -d a=b --format=xml":          `--format: "xml" is neither text nor json`,
		"explain x -d a=b --token-file=t":        "--token-file means nothing without --server",
		"explain --server=http://h:1 -d a=b":     "--domain is not set: a running weir is asked about one domain",
		"explain --server=h:1 --domain=d -d=a=b": `--server: "h:1" is no http://HOST:PORT`,
		"test":                                   "no rule file given: write weir test FILE",
		"simulate":                               "no rule file given: write weir simulate FILE",
		"test x --format=xml":                    `--format: "xml" is none of text, json, junit`,
		"bench x":                                `weir bench takes no argument, got "x"`,
		"bench --in-flight=0":                    "--in-flight: 0 is not from 1 to 10000",
		"bench --rate x":                         `--rate: "x" is not N`,
		"bench --duration 5":                     `--duration: "5" is not DURATION, such as 500ms or 10s`,
		"bench --duration 0s":                    "--duration and --requests are both 0, so that the load would not end: set one",
		"bench --duration -1s":                   "--duration: -1s is below 0",
		"bench --keys 9000000":                   "--keys: 9000000 is not from 1 to 8000000",
		"bench --redis-url=x":                    "--redis-url: it is no redis://",
		"bench --descriptor=user":                `--descriptor: "user" is not KEY=VALUE: write user=u%d`,
		"bench --conections=1":                   "unknown flag: --conections: did you mean --connections?",
		"bench floor --listen x":                 `--listen: "x" is not HOST:PORT`,
		"token":                                  "weir token takes one name, got 0: write weir token NAME",
		"token a/b":                              `"a/b" is no name of a token: a name has 1 to 64 letters`,
		"token a --role admin":                   `--role: "admin" is neither viewer nor operator`,
		"completion":                             "weir completion takes one shell, got 0: write weir completion bash",
		"completion tcsh":                        `"tcsh" is no shell that weir knows: the shells are bash, zsh, fish, powershell`,
		"schema x":                               `weir schema takes no argument, got "x"`,
		"serve --rules \x1b[31m x":               `weir serve takes no argument, got "x"`,
	} {
		got := weir(t, nil, strings.Fields(line)...)
		if got.code != exitUsage || got.stdout != "" || !strings.HasPrefix(got.stderr, "weir: "+want) || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("weir %s: %+v", line, got)
		}
	}
}

func TestSeveralFaults_AreOneLineEach(t *testing.T) {
	got := weir(t, []string{"WEIR_STORE=mysql"}, "serve", "--drain-delay=5", "--log-level=loud", "--rules=x")
	lines := strings.Split(strings.TrimSuffix(got.stderr, "\n"), "\n")
	if got.code != exitUsage || len(lines) != 3 {
		t.Errorf("%+v", got)
	}
	for _, line := range lines {
		if !strings.HasPrefix(line, "weir: ") {
			t.Errorf("%q", line)
		}
	}
}

// What a faulty file holds must not steer the terminal that shows the fault.
func TestErrors_HoldNoControlCharacters(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("weir.yaml", []byte("a: \"\x1b[31m\"\nb\x1b: 1\n\"\\e[31m\": 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := weirHere(t, nil, "serve", "--rules", "x")
	if got.code != exitUsage || strings.ContainsAny(got.stderr, "\x1b\r\t") {
		t.Errorf("%+v", got)
	}
}

func TestVersion_IsTheLinkersElseWhatTheToolRecorded(t *testing.T) {
	suffix := " " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH + "\n"
	if got := weir(t, nil, "version"); got.code != exitOK || !strings.HasPrefix(got.stdout, "weir ") || !strings.HasSuffix(got.stdout, suffix) || len(got.stdout) < len("weir x")+len(suffix) {
		t.Errorf("%+v", got)
	}
	defer func(before string) { version = before }(version)
	version = "v1.2.3"
	if got := weir(t, nil, "version"); got.stdout != "weir v1.2.3"+suffix {
		t.Errorf("%+v", got)
	}
}
