package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"
)

// event is a line of the log.
type event struct {
	Level, Msg, Warning, HTTP string
}

// serving runs weir serve with args until a line of the log says msg, and
// answers the lines so far and what stops it and gives its exit code.
func serving(t *testing.T, environ []string, msg string, args ...string) (events []event, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- Run(ctx, World{Args: append([]string{"serve"}, args...), Environ: environ, Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: writer})
		writer.Close()
	}()
	lines := bufio.NewScanner(reader)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Errorf("no JSON in the log: %s", lines.Text())
		}
		events = append(events, e)
		if e.Msg == msg {
			break
		}
	}
	go func() { _, _ = io.Copy(io.Discard, reader) }()
	return events, func() int {
		cancel()
		select {
		case code := <-done:
			return code
		case <-time.After(10 * time.Second):
			t.Fatal("weir serve does not end when its context does")
			return -1
		}
	}
}

func TestServe_RunsUntilItsContextEnds(t *testing.T) {
	inFiles(t, map[string]string{"good.yaml": goodRules})
	events, stop := serving(t, nil, "listening", "--rules=good.yaml", "--grpc-listen=127.0.0.1:0", "--http-listen=127.0.0.1:0", "--drain-delay=0s")
	address := events[len(events)-1].HTTP
	if got := weirHere(t, nil, "health", "--http-listen", address); got.code != exitOK {
		t.Errorf("health at %q: %+v", address, got)
	}
	if code := stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestServe_WarnsOnceOfUnknownVariables(t *testing.T) {
	inFiles(t, map[string]string{"good.yaml": goodRules})
	events, stop := serving(t, []string{"WEIR_RULES=good.yaml", "WEIR_RULEZ=x", "WEIR_PORT=tcp://10.0.0.1:1"}, "listening",
		"--grpc-listen=127.0.0.1:0", "--http-listen=127.0.0.1:0", "--drain-delay=0s")
	stop()
	var warnings []string
	for _, e := range events {
		if e.Level == "WARN" {
			warnings = append(warnings, e.Warning)
		}
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], `"WEIR_RULEZ"`) || !strings.Contains(warnings[0], "did you mean WEIR_RULES?") {
		t.Errorf("%q", warnings)
	}
}

// The settings are right and the world is not: that is no wrong usage.
func TestServe_ThatCannotStartExitsWithOne(t *testing.T) {
	inFiles(t, map[string]string{"good.yaml": goodRules})
	taken := ready(t, 200, "")
	got := weirHere(t, nil, "serve", "--rules=good.yaml", "--http-listen="+taken, "--grpc-listen=127.0.0.1:0")
	if got.code != exitFailure || !strings.Contains(got.stderr, "\nweir: ") && !strings.HasPrefix(got.stderr, "weir: ") || !strings.Contains(got.stderr, "address already in use") {
		t.Errorf("%+v", got)
	}
}
