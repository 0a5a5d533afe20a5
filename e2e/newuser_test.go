package e2e

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weir-rls/weir/internal/browsertest"
)

// seeIt is the part of the README that a new user follows once the demo runs.
const seeIt = "## See it"

// Who knows nothing but the README starts the demo, is refused, finds the dashboard by the address
// that the demo prints, changes the limit by its form, passes, undoes it, and is refused again.
func TestNewUser_FromTheReadmeToALimitChangedInTheBrowser(t *testing.T) {
	readme := string(read(t, "../README.md"))
	see := section(readme, seeIt)
	s := newShell(t)
	told := &transcript{began: time.Now(), shell: s}
	d := startDemo(s, told, commandsOf(block.FindStringSubmatch(section(readme, "## Try it"))[1])[0])
	if address := s.here("http://127.0.0.1:8080/dashboard"); !strings.Contains(d.printed, "open "+address+" in a browser") || !strings.Contains(see, "`http://127.0.0.1:8080/dashboard`") {
		t.Errorf("the demo does not print the address that the README has, %s:\n%s", address, d.printed)
	}
	var p *browsertest.Page
	for _, b := range block.FindAllStringSubmatch(see, -1) {
		if b[4] != "" {
			p = s.walk(p, b[4], func(p *browsertest.Page, step string) {
				told.step("> " + step)
				if step == "follow Limits" { // it has seen the overview
					picture(t, p)
				}
			})
			continue
		}
		told.step("$ " + strings.TrimSpace(b[1]))
		printed := s.run(b[1])
		told.output(printed)
		likeShown(t, b[1], printed, b[3])
	}
	d.interrupt(told)
	told.keep(t)
}

// likeShown tells whether statuses are as the page shows them: who is refused at the end there is
// refused at the end here, and nobody is who is not there. How many passed before is a matter of time.
func likeShown(t *testing.T, command, printed, shown string) {
	t.Helper()
	is, should := strings.Fields(printed), strings.Fields(shown)
	if len(is) == 0 || len(is) != len(should) || is[len(is)-1] != should[len(should)-1] || slices.Contains(is, "429") != slices.Contains(should, "429") {
		t.Errorf("%sprints\n%s\nand is shown as\n%s", command, printed, shown)
	}
	for _, status := range is {
		if status != "200" && status != "429" {
			t.Errorf("%sprints\n%s", command, printed)
		}
	}
}

// demo is a `make demo` that waits for Ctrl-C.
type demo struct {
	*shell
	cmd     *exec.Cmd
	lines   chan string
	printed string // until it waited
}

// startDemo runs the command in the checkout, with the shell's ports, and returns when the demo has
// told its story.
func startDemo(s *shell, told *transcript, command string) *demo {
	s.Helper()
	command, _, _ = strings.Cut(command, " #")
	d := &demo{shell: s, cmd: exec.Command("bash", "-c", command), lines: make(chan string, 1000)}
	d.cmd.Dir = ".."
	// The tests may run below another make, whose variables are none of a new user.
	d.cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS") }),
		"PORT="+s.ports["10000"], "HTTP_PORT="+s.ports["8080"])
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, writes, err := os.Pipe()
	if err != nil {
		s.Fatal(err)
	}
	d.cmd.Stdout, d.cmd.Stderr = writes, writes
	told.step("$ " + strings.TrimSpace(command))
	if err := d.cmd.Start(); err != nil {
		s.Fatal(err)
	}
	writes.Close()
	go func() {
		defer close(d.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			d.lines <- lines.Text()
		}
	}()
	s.Cleanup(func() {
		_ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL) // if it runs still; what it started ends with it
		_ = d.cmd.Wait()
		for range d.lines { // until the last of them has let go of it
		}
		out.Close()
	})
	d.printed = d.until(told, "Running until Ctrl-C.")
	return d
}

// until tells what the demo prints up to a line, or with "" up to its end.
func (d *demo) until(told *transcript, last string) string {
	d.Helper()
	var printed strings.Builder
	for deadline := time.After(2 * time.Minute); ; { // it may have to be built, on a busy machine
		select {
		case line, more := <-d.lines:
			if !more && last != "" {
				d.Fatalf("the demo ends early:\n%s", printed.String())
			}
			if !more {
				return printed.String()
			}
			printed.WriteString(line + "\n")
			told.output(line)
			if last != "" && line == last {
				return printed.String()
			}
		case <-deadline:
			d.Fatalf("the demo takes more than two minutes; it has printed\n%s", printed.String())
		}
	}
}

// interrupt presses Ctrl-C, which a terminal tells make and the demo: both end, without a complaint,
// and leave nobody who listens.
func (d *demo) interrupt(told *transcript) {
	d.Helper()
	told.step("$ ^C")
	if err := syscall.Kill(-d.cmd.Process.Pid, syscall.SIGINT); err != nil {
		d.Fatal(err)
	}
	if printed := d.until(told, ""); strings.TrimSpace(printed) != "Stopping." {
		d.Errorf("after Ctrl-C it prints\n%s", printed)
	}
	for _, addr := range regexp.MustCompile(`127\.0\.0\.1:\d{2,5}`).FindAllString(d.printed, -1) {
		if conn, err := net.Dial("tcp", addr); err == nil {
			_ = conn.Close()
			d.Errorf("somebody still listens on %s", addr)
		}
	}
}

// picture keeps what the overview shows, once it shows what happens, and with -update as the picture of
// the pages.
func picture(t *testing.T, p *browsertest.Page) {
	t.Helper()
	p.Await("it is live, with its charts", `document.querySelector("#live").dataset.state === "on" && document.querySelectorAll("canvas").length === 2`)
	p.Screenshot("new-user-overview")
	const pictures = "../docs/how-to/pictures"
	if *update {
		browsertest.Eval[string](p, `document.querySelector(".version").textContent = ""`) // is another one tomorrow
		t.Setenv("WEIR_SCREENSHOTS", pictures)
		p.Screenshot("overview")
	}
	if info, err := os.Stat(pictures + "/overview.png"); err != nil || info.Size() > 150_000 {
		t.Errorf("the picture of the overview: %v, %v; it should have at most 150 kB: make transcript", info, err)
	}
}
