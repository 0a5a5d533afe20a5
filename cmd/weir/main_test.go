package main

import (
	"bufio"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The test binary is weir where this variable says so: the process under test
// is the real main, without a build.
const actAsWeir = "TEST_ACT_AS_WEIR"

func TestMain(m *testing.M) {
	if os.Getenv(actAsWeir) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// start runs weir serve as a process until its log says that it listens.
func start(t *testing.T, args ...string) (weir *exec.Cmd, log *bufio.Scanner) {
	t.Helper()
	rules := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(rules, []byte("domain: d\ndescriptors:\n  - {key: a, limits: [{rate: 1/s}]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	weir = exec.Command(os.Args[0], append([]string{"serve", "--rules", rules, "--grpc-listen=127.0.0.1:0", "--http-listen=127.0.0.1:0"}, args...)...)
	weir.Env = append(os.Environ(), actAsWeir+"=1")
	stderr, err := weir.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := weir.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(time.Minute, func() { _ = weir.Process.Kill() }) // which ends a log that is waited for
	t.Cleanup(func() {
		late.Stop()
		_ = weir.Process.Kill()
	})
	log = bufio.NewScanner(stderr)
	await(t, log, `"listening"`)
	return weir, log
}

// await reads the log up to a line with text in it.
func await(t *testing.T, log *bufio.Scanner, text string) {
	t.Helper()
	for log.Scan() {
		if strings.Contains(log.Text(), text) {
			return
		}
	}
	t.Fatalf("the log ends without %s", text)
}

func ended(weir *exec.Cmd, log *bufio.Scanner) <-chan *os.ProcessState {
	done := make(chan *os.ProcessState, 1)
	go func() {
		for log.Scan() {
		}
		_ = weir.Wait()
		done <- weir.ProcessState
	}()
	return done
}

func TestSIGTERM_DrainsAndExitsWithZero(t *testing.T) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP) // what nohup has ignored for these tests is not for the processes that they start
	defer signal.Stop(hangup)
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt, syscall.SIGHUP} {
		weir, log := start(t, "--drain-delay=0s")
		if err := weir.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		await(t, log, `"draining"`)
		select {
		case state := <-ended(weir, log):
			if state.ExitCode() != 0 {
				t.Errorf("%v: %v", signal, state)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("weir does not end after %v", signal)
		}
	}
}

// nohup has what it starts live on when its terminal is closed.
func TestSIGHUP_IsIgnoredUnderNohup(t *testing.T) {
	signal.Ignore(syscall.SIGHUP)
	defer signal.Reset(syscall.SIGHUP)
	weir, log := start(t, "--drain-delay=0s")
	if err := weir.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	done := ended(weir, log)
	select {
	case state := <-done:
		t.Fatalf("ended: %v", state)
	case <-time.After(300 * time.Millisecond): // a process that does not ignore it has ended within 70 ms
	}
	if err := weir.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if state := <-done; state.ExitCode() != 0 {
		t.Errorf("%v", state)
	}
}

// Whoever presses Ctrl-C twice does not want to wait for the drain.
func TestSecondSignal_EndsTheDrainAtOnce(t *testing.T) {
	weir, log := start(t, "--drain-delay=1h")
	if err := weir.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	await(t, log, `"draining"`)
	done := ended(weir, log)
	again := time.NewTicker(20 * time.Millisecond) // the drain is logged before the first signal is quite done with
	defer again.Stop()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case state := <-done:
			if status := state.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGTERM {
				t.Errorf("%v", state)
			}
			return
		case <-again.C:
			_ = weir.Process.Signal(syscall.SIGTERM)
		case <-deadline:
			t.Fatal("a second signal does not end weir")
		}
	}
}

// Whoever swaps the image of envoyproxy/ratelimit starts /bin/ratelimit.
func TestName_DecidesWhatIsStarted(t *testing.T) {
	dropIn := exec.Command(os.Args[0])
	dropIn.Args = []string{"/bin/ratelimit", "--unknown"}
	dropIn.Env = append(os.Environ(), actAsWeir+"=1", "BACKEND_TYPE=memcache")
	text, err := dropIn.CombinedOutput()
	if dropIn.ProcessState.ExitCode() != 1 || !strings.HasPrefix(string(text), "weir: BACKEND_TYPE: ") {
		t.Errorf("%v: %s", err, text)
	}
}
