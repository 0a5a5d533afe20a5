package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/stage/stagetest"
)

func TestMain(m *testing.M) { stagetest.Main(m) }

// demoBinary is the demo, built once for all tests beside weir.
var demoBinary = sync.OnceValue(func() string {
	binary := filepath.Join(filepath.Dir(stagetest.Weir), "demo")
	if err := stagetest.Build(binary, "."); err != nil {
		panic(err)
	}
	return binary
})

// docker-compose.yaml of the checkout runs the demo.
func TestDemo_ComposeTellsItToo(t *testing.T) {
	stagetest.Compose(t, example, "../../docker-compose.yaml")
}

// The two Envoy files are one file but for addresses: with the same addresses
// they are equal.
func TestDemo_EnvoyFilesDifferInAddressesAlone(t *testing.T) {
	same := parts.Addresses{
		Admin: "127.0.0.1:1", Listeners: map[string]string{"front": "127.0.0.1:2"},
		Clusters: map[string][]string{"upstream": {"127.0.0.1:3"}, "weir": {"127.0.0.1:4"}},
	}
	var texts []string
	for _, path := range []string{"envoy.yaml", "envoy-compose.yaml"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
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
}

func TestDemo_TellsItsStoryAndLeavesNoProcess(t *testing.T) {
	for store, processes := range map[string]int{"memory": 2, "redis": 5} {
		t.Run(store, func(t *testing.T) {
			begin := time.Now()
			cmd := exec.Command(demoBinary(), "-store", store, "-weir", stagetest.Weir, "-files", ".")
			story := tellStory(t, cmd)
			checkStory(t, story, time.Since(begin))

			children := childrenOf(cmd.Process.Pid)
			if runtime.GOOS == "linux" && len(children) != processes {
				t.Errorf("%d processes run, want %d", len(children), processes)
			}
			stop(t, cmd)
			for _, pid := range children {
				if syscall.Kill(pid, 0) == nil {
					t.Errorf("process %d was left behind", pid)
				}
			}
			for _, addr := range regexp.MustCompile(`127\.0\.0\.1:\d{2,5}`).FindAllString(story, -1) {
				if conn, err := net.Dial("tcp", addr); err == nil {
					_ = conn.Close()
					t.Errorf("somebody still listens on %s", addr)
				}
			}
		})
	}
}

func TestDemo_TakenPortIsReplacedAndTold(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	port := taken.Addr().(*net.TCPAddr).Port
	output, err := exec.Command(demoBinary(), "-once", "-weir", stagetest.Weir, "-files", ".", "-port", strconv.Itoa(port)).CombinedOutput()
	if err != nil || !strings.Contains(string(output), fmt.Sprintf("127.0.0.1:%d is taken", port)) {
		t.Errorf("%v\n%s", err, output)
	}
}

func TestDemo_MissingPartIsOneLine(t *testing.T) {
	cmd := exec.Command(demoBinary(), "-once", "-weir", stagetest.Weir, "-files", ".")
	cmd.Env = append(os.Environ(), "ENVOY="+filepath.Join(t.TempDir(), "absent"))
	var errors strings.Builder
	cmd.Stderr = &errors
	if err := cmd.Run(); err == nil {
		t.Fatal("the demo ran without Envoy")
	}
	if got := errors.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "make tools") {
		t.Errorf("the error is %q", got)
	}
}

// tellStory starts the demo and returns what it writes until it waits for Ctrl-C.
func tellStory(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	var story strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		story.WriteString(lines.Text() + "\n")
		if strings.HasPrefix(lines.Text(), "Running until Ctrl-C") {
			t.Log(story.String())
			return story.String()
		}
	}
	t.Fatalf("the demo ended early:\n%s", story.String())
	return ""
}

// stop presses Ctrl-C.
func stop(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
}

var (
	apiLine   = regexp.MustCompile(`/api/([abc]) costs (\d) +(\d+) sent +(\d+) passed +(\d+) refused +(\d+) tokens`)
	totalLine = regexp.MustCompile(`together (\d+) tokens in (\d+\.\d+) s`)
	groupLine = regexp.MustCompile(`/chat as (\w+) +8 sent +(\d) passed +(\d) refused`)
	endLine   = regexp.MustCompile(`The upstream served (\d+) requests: the (\d+) that passed`)
)

// checkStory holds the figures that the demo showed against the rules.
func checkStory(t *testing.T, story string, wall time.Duration) {
	t.Helper()
	total := totalLine.FindStringSubmatch(story)
	lines := apiLine.FindAllStringSubmatch(story, -1)
	groups := groupLine.FindAllStringSubmatch(story, -1)
	end := endLine.FindStringSubmatch(story)
	if total == nil || len(lines) != 6 || len(groups) != 2 || end == nil {
		t.Fatalf("the story lacks lines:\n%s", story)
	}
	seconds, err := strconv.ParseFloat(total[2], 64)
	if err != nil {
		t.Fatal(err)
	}
	if tokens := number(t, total[1]); tokens < 100 || float64(tokens) > 100+10*(seconds+0.01) {
		t.Errorf("%d tokens in %v s from a bucket of 100 with 10/s", tokens, seconds)
	}
	least := []int{17, 16, 16, 12, 6, 4} // 18, 17 and 16 in turn make 100; then 12 tokens come back for each
	all := 0
	for i, line := range lines {
		cost, sent, passed, refused, tokens := number(t, line[2]), number(t, line[3]), number(t, line[4]), number(t, line[5]), number(t, line[6])
		if passed < least[i] || passed*cost != tokens || passed+refused != sent {
			t.Errorf("line %d is %q", i+1, line[0])
		}
		all += tokens
	}
	if most := 100 + 10*wall.Seconds(); float64(all) > most {
		t.Errorf("%d tokens in all, at most %.1f came in %v", all, most, wall)
	}
	if groups[0][1] != "default" || groups[0][2] != "5" || groups[1][1] != "vip" || groups[1][2] != "8" {
		t.Errorf("groups: %v", groups)
	}
	if end[1] != end[2] {
		t.Errorf("upstream: %v", end[0])
	}
	for _, part := range []string{"HTTP/1.1 429 Too Many Requests", "content-type: application/json", "retry-after: ", "x-ratelimit-remaining: 0", `{"error":{`} {
		if !strings.Contains(story, part) {
			t.Errorf("the refusal lacks %q", part)
		}
	}
	if strings.Contains(story, "\x1b") {
		t.Error("colours without a terminal")
	}
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// childrenOf are the processes that pid started; Linux alone tells.
func childrenOf(pid int) []int {
	var children []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		// pid (name) state ppid ...: the name may hold anything.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			if child, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
				children = append(children, child)
			}
		}
	}
	return children
}
