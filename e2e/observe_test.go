package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/weir-rls/weir/internal/parts/partstest"
)

// Each command of the page runs: weir with its flags, curl against that weir, and what needs a
// cluster names a file that is there. Its decision log is what the page shows.
func TestObservePage_ItsCommandsRun(t *testing.T) {
	collector := partstest.NewCollector(t)
	rules := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(rules, []byte("domain: shop\ndescriptors: [{key: user, limits: [{name: per-user, rate: 1/hour}]}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, b := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(read(t, "../docs/how-to/observe.md")), -1) {
		for command := range strings.Lines(b[1]) {
			words := strings.Fields(command)
			switch {
			case strings.HasPrefix(command, "export OTEL_EXPORTER_OTLP_ENDPOINT="):
				t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+collector.Addr)
			case strings.HasPrefix(command, "weir serve --rules rules.yaml"):
				flags, _, _ := strings.Cut(strings.TrimPrefix(command, "weir serve --rules rules.yaml"), " 2>&1")
				servesAsShown(t, rules, strings.Fields(flags))
			case words[0] == "curl":
				weir := partstest.Weir(t, weirBinary, append(anywhere, "--rules", rules)...)
				shell := exec.Command("sh", "-c", strings.ReplaceAll(command, "localhost:8080", weir.HTTP))
				if output, err := shell.Output(); err != nil || !strings.Contains(string(output), "weir_build_info") {
					t.Errorf("%s%v: %.200s", command, err, output)
				}
			case words[0] == "kubectl":
				for _, file := range regexp.MustCompile(`--from-file=(\S+)`).FindAllStringSubmatch(command, -1) {
					if _, err := os.Stat("../" + file[1]); err != nil {
						t.Error(err)
					}
				}
			default:
				t.Errorf("this test cannot run %s", command)
			}
			ran++
		}
	}
	if ran < 7 {
		t.Errorf("the page has only %d commands", ran)
	}
}

var anywhere = []string{"--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--drain-delay", "0s"}

// servesAsShown starts weir with flags, has it refuse a request, and looks for that in its
// decision log if it has one.
func servesAsShown(t *testing.T, rules string, flags []string) {
	t.Helper()
	weir := partstest.Weir(t, weirBinary, append(append(flags, anywhere...), "--rules", rules)...)
	status := 0
	for range 2 {
		answer, err := client(t, 1).Post("http://"+weir.HTTP+"/api/v1/check", "application/json", strings.NewReader(`{"domain":"shop","descriptors":[{"entries":[{"key":"user","value":"u1"}]}]}`))
		if err != nil {
			t.Fatal(err)
		}
		status = answer.StatusCode
		if err := answer.Body.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if status != http.StatusTooManyRequests {
		t.Errorf("%v: the second request got %d", flags, status)
	}
	if !strings.Contains(strings.Join(flags, " "), "--decision-log") {
		return
	}
	type decision struct {
		Kind, Domain, Limit string
		Decision            struct{ Verdict, Reason string }
	}
	want := decision{Kind: "decision", Domain: "shop", Limit: "per-user"}
	want.Decision.Verdict, want.Decision.Reason = "over_limit", "limit"
	eventually(t, "the decision log tells of the refusal", func() bool {
		for line := range strings.Lines(weir.Output()) {
			var got struct{ Event decision }
			if json.Unmarshal([]byte(line), &got) == nil && got.Event == want {
				return true
			}
		}
		return false
	})
}
