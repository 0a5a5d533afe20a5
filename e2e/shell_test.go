package e2e

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weir-rls/weir/internal/browsertest"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

var update = flag.Bool("update", false, "write into the pages what their commands print")

// shell is a bash as a reader has it, in a directory of its own, with weir, Envoy and Redis on
// its PATH. What pages write as a well-known port is a free one here.
type shell struct {
	*testing.T
	dir   string
	in    io.Writer
	lines chan string
	ports map[string]string // by the one that pages have
}

// wellKnown are the ports of pages, with what tells that a number is a port.
var wellKnown = regexp.MustCompile(`(:|port_value: |--port )(6379|8080|8081|8090|8091|9901|10000|10001)\b`)

func newShell(t *testing.T) *shell {
	t.Helper()
	s := &shell{T: t, dir: t.TempDir(), lines: make(chan string, 1000), ports: map[string]string{}}
	bin := filepath.Join(s.dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"weir": weirBinary, "envoy": partstest.Binary(t, parts.Envoy), "redis-server": partstest.Binary(t, parts.RedisServer),
	} {
		if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, port := range []string{"6379", "8080", "8081", "8090", "8091", "9901", "10000", "10001"} {
		addr, err := parts.FreeAddr()
		if err != nil {
			t.Fatal(err)
		}
		s.ports[port] = addr[strings.LastIndex(addr, ":")+1:]
	}
	bash := exec.Command("bash", "--noprofile", "--norc")
	bash.Dir = s.dir
	bash.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "WEIR_DRAIN_DELAY=0s", "WEIR_STORE_TIMEOUT=2s",
		"WEIR_GRPC_LISTEN=127.0.0.1:"+s.ports["8081"], "WEIR_HTTP_LISTEN=127.0.0.1:"+s.ports["8080"])
	bash.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := bash.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, writes, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	bash.Stdout, bash.Stderr = writes, writes
	if err := bash.Start(); err != nil {
		t.Fatal(err)
	}
	writes.Close()
	s.in = in
	go func() {
		defer close(s.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			s.lines <- lines.Text()
		}
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-bash.Process.Pid, syscall.SIGKILL) // and all that it started
		_ = bash.Wait()
		for range s.lines { // until the last of them has let go of it
		}
		out.Close()
	})
	return s
}

func (s *shell) here(text string) string {
	return wellKnown.ReplaceAllStringFunc(text, func(found string) string {
		port := wellKnown.FindStringSubmatch(found)
		return port[1] + s.ports[port[2]]
	})
}

// asOnPages is what was printed here, with the ports that pages have.
func (s *shell) asOnPages(printed string) string {
	for port, here := range s.ports {
		printed = regexp.MustCompile(`\b`+here+`\b`).ReplaceAllString(printed, port)
	}
	return printed
}

// run runs commands and answers what they print, with the ports that the page has.
func (s *shell) run(commands string) string {
	s.Helper()
	const end = "--- the commands have ended: "
	fmt.Fprintf(s.in, "set -e\n%sset +e\nprintf '\\n%s%%s\\n' $?\n", s.here(commands), end)
	var said strings.Builder
	for deadline := time.After(60 * time.Second); ; {
		select {
		case line, more := <-s.lines:
			if !more {
				s.Fatalf("%sends the shell\n%s", commands, said.String())
			}
			if strings.HasPrefix(line, end) {
				return s.asOnPages(strings.TrimSuffix(said.String(), "\n"))
			}
			said.WriteString(line + "\n")
		case <-deadline:
			s.Fatalf("%sare not done in a minute\n%s", commands, said.String())
		}
	}
}

// block is commands of a page, and what it shows that they print; or a walk through the
// dashboard, a list of steps that ends at an empty line.
var block = regexp.MustCompile("(?s) *```sh\n(.*?)```(\n```text\n(.*?)```)?|<!-- walk -->\n(.*?\n)\n")

// changing is what differs each time: when, how long, how many bytes an address takes, and
// with them how wide a column is.
var changing = regexp.MustCompile(`\d{4}-\d\d-\d\dT[\d:.]+Z|\b[\d.]+(h|m|ms|µs|s)\b([\d.]+(m|s)\b)*|\b\d+h(\d+m)?([\d.]+s)?|\b\d+m[\d.]+s|after \d+ s|(?i:retry-after): \d+|(?m:^date: .*$)| +`)

func alike(one, other string) bool {
	return changing.ReplaceAllString(one, "~") == changing.ReplaceAllString(other, "~")
}

// follow runs the commands of a page in their order, but for those that are listed in notRun,
// and compares what they print with what the page shows. Its files are written to a directory of
// the shell; setup may add to them, and start what the page takes for granted.
func follow(t *testing.T, page, files string, setup func(*shell)) {
	t.Helper()
	s, text := newShell(t), string(read(t, page))
	s.dir = filepath.Join(s.dir, files)
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range readDocumented(t, page).files {
		s.write(name, content)
	}
	if setup != nil {
		setup(s)
	}
	var browser *browsertest.Page
	for _, b := range block.FindAllStringSubmatch(strings.Replace(text, section(text, seeIt), "", 1), -1) {
		if b[4] != "" {
			browser = s.walk(browser, b[4], func(*browsertest.Page, string) {})
			continue
		}
		var commands strings.Builder
		for _, command := range commandsOf(b[1]) {
			if _, listed := reasonNotToRun(command); !listed {
				commands.WriteString(command + "\n")
			}
		}
		if commands.Len() == 0 {
			continue
		}
		if browser != nil && strings.Contains(commands.String(), "kill ") {
			browser.Go("about:blank") // else it asks a weir that has gone
			browser = nil
		}
		printed := s.run(commands.String())
		if b[2] == "" {
			continue
		}
		if !alike(printed, b[3]) {
			t.Errorf("%sprints\n%s\nand is shown as\n%s", b[1], printed, b[3])
		}
		text = strings.Replace(text, b[0], strings.Replace(b[0], b[2], "\n```text\n"+printed+"```", 1), 1)
	}
	if *update {
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// write writes a file into the shell's directory.
func (s *shell) write(name, content string) {
	s.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(s.here(content)), 0o600); err != nil {
		s.Fatal(err)
	}
}

// serve starts a weir with the rules, which is what most pages take for granted.
func (s *shell) serve(rules string) {
	s.Helper()
	s.write("rules.yaml", rules)
	s.run("weir serve --rules rules.yaml > weir.log 2>&1 &\nuntil weir health 2> health.log; do sleep 0.1; done\n")
}
