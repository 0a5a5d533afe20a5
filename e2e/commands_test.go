package e2e

import (
	"io/fs"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// shop are the rules that pages of the API and the runbook have in mind.
const shop = "domain: shop\ndescriptors:\n- {key: user, limits: [{name: per-user, rate: 60/min, burst: 100}]}\n"

// followed are the pages whose commands TestPages_EveryCommandRuns runs, by what it needs beside
// the page's own files.
var followed = map[string]func(*shell){
	"README.md": func(s *shell) {
		page := readDocumented(s.T, "../README.md")
		s.write("envoy.yaml", string(bootstrap(s.T, page.part(s.T, "route.yaml"), page.part(s.T, "cluster.yaml"), page.part(s.T, "filter.yaml"))))
		s.write("mapping.yaml", "keys:\n  pool: {value: backend}\n  api: {path: {a: /api/a, b: /api/b, c: /api/c}}\n  user: {header: x-user}\n")
		s.write("access.log", `{"start_time":"2026-03-01T09:00:00.012Z","response_code":200,"duration":12,"x_user":"alice"}`+"\n")
		s.serve(page.files["rules.yaml"])
	},
	"docs/tutorial/first-limit.md": nil,
	"docs/how-to/balance.md": func(s *shell) {
		s.serve(shop)
		s.run("curl -sS localhost:8080/api/v1/check --json '{\"domain\": \"shop\", \"descriptors\": [{\"entries\": [{\"key\": \"user\", \"value\": \"u\"}]}]}' > asked.txt\n")
	},
	"docs/how-to/changing-limits.md": func(s *shell) { s.serve(shop) },
	"docs/how-to/migrate.md":         nil,
	"docs/how-to/named-buckets.md":   func(s *shell) { s.serve(shop) },
	"docs/how-to/observe.md":         func(s *shell) { s.serve(shop) },
	"docs/how-to/runbook.md":         func(s *shell) { s.serve(shop) },
	"docs/reference/checking.md": func(s *shell) {
		page := readDocumented(s.T, "../README.md")
		s.write("envoy.yaml", string(bootstrap(s.T, page.part(s.T, "route.yaml"), page.part(s.T, "cluster.yaml"), page.part(s.T, "filter.yaml"))))
		s.write("rules/shop.yaml", page.files["rules.yaml"])
	},
}

// elsewhere are the pages whose commands another test runs, all of them.
var elsewhere = map[string]string{
	"docs/reference/api.md":           "TestTheCommandsOfThePageRun",
	"docs/how-to/explain.md":          "TestDocumentedCommands_PrintWhatThePageShows",
	"docs/how-to/testing-rules.md":    "TestDocumentedCommands_PrintWhatThePageShows",
	"docs/how-to/generate-envoy.md":   "TestGeneratePage_EveryCommandDoesWhatItSays",
	"docs/how-to/simulate.md":         "TestDocumentedCommands_PrintWhatThePageShows",
	"docs/explanation/performance.md": "TestBench_DocumentedCommandsRun",
}

// notRun are commands that no test runs as they stand, by how they begin, each with the reason
// and with what is tested instead. A command that is neither here nor on one of the pages above
// fails the test.
var notRun = map[string]string{
	"make demo":              "TestNewUser_FromTheReadmeToALimitChangedInTheBrowser does, for the first one; each example's own test starts the same program",
	"make test":              "this test is a part of it",
	"make build":             "TestMain builds weir the same way",
	"export PATH=\"$PWD/bin": "the shell has what make build and make tools install on its PATH",
	"make bench":             "takes minutes: TestBench of tools/bench does the short one",
	"bin/weir serve":         "does not end: it is started before the others of its page, with the same rules",
	"weir bench floor":       "does not end: TestBench_DocumentedCommandsRun has one running",
	"weir serve --rules rules.yaml --store redis --redis-url rediss://": "needs a Redis with the certificates of its reader: TestRedisOverTLS has one of its own; the flags are looked up",
	"weir serve --rules rules.yaml --tracing":                           "does not end: TestTraces_GoOnWhereEnvoysEnded starts one; the flags are looked up",
	"weir serve --rules rules.yaml --decision-log":                      "does not end: the flags are looked up",
	"weir serve --rules-ads":                                            "needs a control plane: TestRulesOverADS starts one with its own certificates; the flags are looked up",
	"BACKEND_TYPE=memory USE_STATSD=false":                              "does not end: TestRatelimit_IsStartedByItsNameOrByTheCommand starts it so",
	"kubectl ":                                                          "needs a cluster: the tests of deploy read the dashboard",
	"docker compose up":                                                 "needs Docker: the tests of the examples read each docker-compose.yaml and start the same processes",
	"docker run":                                                        "needs Docker and a release: release_test.go reads the image's name, the Dockerfile and the settings",
	"cosign ":                                                           "needs a release: release_test.go holds the identity against the workflow that signs",
	"sha256sum --check":                                                 "needs a release",
	"tar xzf weir_":                                                     "needs a release: release_test.go holds the name against .goreleaser.yaml",
	"weir version":                                                      "stands behind the installation of a release; TestVersion_IsTheLinkersElseWhatTheToolRecorded runs it",
	"weir check /etc/weir/rules":                                        "needs systemd: TestInstallPage_TheUnitFitsItsSettings reads the unit and its settings",
	"helm install":                                                      "needs a cluster: the tests of charts render the chart by the library of Helm, with these values",
	"go get github.com/weir-rls":                                        "needs the network: limiter/example_test.go is such a program",
	"go test ./buckets/redis -run ":                                     "takes minutes: go vet compiles the benchmark",
	"redis-cli XREAD BLOCK":                                             "waits for ever: TestAStreamKeepsItsLatestEntries reads such a stream",
	"openssl x509":                                                      "is not a part that tests install; what it reads is a certificate like any other",
}

// reasonNotToRun is the reason of the list, if a command begins as one of it.
func reasonNotToRun(command string) (beginning string, listed bool) {
	for beginning := range notRun {
		if strings.HasPrefix(command, beginning) {
			return beginning, true
		}
	}
	return "", false
}

// commandsOf are the commands of a block, a line that goes on in the next one with it.
func commandsOf(block string) (commands []string) {
	for _, command := range regexp.MustCompile(`(?:[^\\\n]|\\[^\n]|\\\n)+`).FindAllString(block, -1) {
		commands = append(commands, strings.TrimSpace(command))
	}
	return commands
}

func TestPages_EveryCommandRuns(t *testing.T) {
	for page, setup := range followed {
		t.Run(page, func(t *testing.T) {
			files := ""
			if page == "docs/tutorial/first-limit.md" {
				files = "first-limit" // the reader makes it
			}
			follow(t, "../"+page, files, setup)
		})
	}
}

// No command stands in a page that nobody has run, or of which it is not said why.
func TestPages_EveryCommandIsRunOrListedWithAReason(t *testing.T) {
	tests, used := allTests(t), map[string]bool{}
	for _, page := range allPages(t) {
		name, _ := filepath.Rel("..", page)
		_, runs := followed[name]
		test, ran := elsewhere[name]
		if ran && !strings.Contains(tests, "func "+test+"(") {
			t.Errorf("%s: there is no test %s", name, test)
		}
		for _, b := range block.FindAllStringSubmatch(string(read(t, page)), -1) {
			used[name] = true
			if b[4] != "" && !runs {
				t.Errorf("%s: nobody walks %q: add the page to those that are followed", name, b[4])
			}
			for _, command := range commandsOf(b[1]) {
				beginning, listed := reasonNotToRun(command)
				used[beginning] = true
				if !listed && !runs && !ran {
					t.Errorf("%s: nobody runs %q: add the page to those that are followed, or the command to the list, with the reason", name, command)
				}
				if listed {
					possible(t, name, command)
				}
			}
		}
	}
	for beginning, reason := range notRun {
		if !used[beginning] {
			t.Errorf("no page has %q any more: take it off the list", beginning)
		}
		for _, name := range regexp.MustCompile(`Test\w+`).FindAllString(reason, -1) {
			if !strings.Contains(tests, "func "+name) {
				t.Errorf("%q: there is no test %s", beginning, name)
			}
		}
	}
	for page := range followed {
		if !used[page] {
			t.Errorf("%s has no commands any more", page)
		}
	}
}

// possible tells whether a command that is not run could be: its make target is there, and
// weir has its flags.
func possible(t *testing.T, page, command string) {
	t.Helper()
	command = regexp.MustCompile(` (?:#|&&) `).Split(command, 2)[0]
	words := strings.Fields(command)
	switch strings.TrimPrefix(words[0], "bin/") {
	case "make":
		for _, target := range words[1:] {
			if !strings.Contains(target, "=") && !strings.Contains(string(read(t, "../Makefile")), "\n"+target+":") {
				t.Errorf("%s: %s: there is no such target", page, command)
			}
		}
	case "weir":
		help, err := exec.Command(weirBinary, words[1], "--help").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, help)
		}
		for _, flag := range regexp.MustCompile(` --[a-z-]+`).FindAllString(command, -1) {
			if !strings.Contains(string(help), flag[1:]) && words[1] != "bench" {
				t.Errorf("%s: weir %s has no %s", page, words[1], flag)
			}
		}
	}
}

// allPages are the Markdown files of the project.
func allPages(t *testing.T) []string {
	t.Helper()
	return walk(t, ".md")
}

// allTests is the text of all tests.
func allTests(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, path := range walk(t, "_test.go") {
		all.Write(read(t, path))
	}
	return all.String()
}

func walk(t *testing.T, suffix string) (found []string) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != ".." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || entry.Name() == "node_modules"):
			return filepath.SkipDir
		case strings.HasSuffix(path, suffix):
			found = append(found, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
