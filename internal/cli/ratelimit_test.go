package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startUntil runs the command line until its log has a text, and ends it then.
func startUntil(t *testing.T, text string, world World) (code int, log string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var seen bytes.Buffer
	world.Stdin, world.Stdout = strings.NewReader(""), &bytes.Buffer{}
	world.Stderr = writer(func(p []byte) {
		if seen.Write(p); strings.Contains(seen.String(), text) {
			cancel()
		}
	})
	return Run(ctx, world), seen.String()
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }

func dropInEnviron(t *testing.T) []string {
	t.Helper()
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "config"), 0o700); err != nil {
		t.Fatal(err)
	}
	return []string{
		"BACKEND_TYPE=memory", "USE_STATSD=false", "RUNTIME_ROOT=" + root, "LOG_LEVEL=info", "HOST=127.0.0.1", "PORT=0", "GRPC_HOST=127.0.0.1", "GRPC_PORT=0",
		"DEBUG_HOST=127.0.0.1", "DEBUG_PORT=0", "WEIR_DRAIN_DELAY=0s", "GOGC=100",
	}
}

// Deployments of the reference start /bin/ratelimit, some with arguments that it ignores.
func TestRatelimit_IsStartedByItsNameOrByTheCommand(t *testing.T) {
	for name, world := range map[string]World{
		"/bin/ratelimit":        {Name: "/bin/ratelimit"},
		"ratelimit":             {Name: "ratelimit", Args: []string{"--quotaRateLimitServiceAddr=a:1", "serve", "--help"}},
		"weir ratelimit":        {Name: "/weir", Args: []string{"ratelimit"}},
		"weir ratelimit --flag": {Name: "weir", Args: []string{"ratelimit", "--flag", "x"}},
	} {
		world.Environ = dropInEnviron(t)
		code, log := startUntil(t, "msg=listening", world)
		if code != exitOK || !strings.Contains(log, "msg=stopped") {
			t.Errorf("%s: exit code %d, log\n%s", name, code, log)
		}
		given := strings.TrimSpace(strings.TrimPrefix(strings.Join(world.Args, " "), "ratelimit"))
		if told := strings.Count(log, "level=info msg=\"arguments have no effect"); (told == 1) != (given != "") || !strings.Contains(log, given) {
			t.Errorf("%s: that %q has no effect is told %d times:\n%s", name, given, told, log)
		}
	}
}

func TestRatelimit_WrongSettingsAreOneLineEachAndExitCode1(t *testing.T) {
	for environ, want := range map[string]string{
		"BACKEND_TYPE=memcache": "weir: BACKEND_TYPE: there is no memcached backend, whose counts are lost when calls meet: set redis and REDIS_URL, or, for one replica, memory, which needs nothing else\n",
		"PORT=http":             "weir: PORT: \"http\" is not a whole number\n",
		"DEBUG_HOST=192.0.2.1":  "weir: open the debug port (DEBUG_HOST, DEBUG_PORT): ",
	} {
		got := weir(t, append(dropInEnviron(t), environ, "LOG_LEVEL=error"), "ratelimit")
		if got.code != exitFailure || !strings.HasPrefix(got.stderr, want) || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("%s: %+v, want %s", environ, got, want)
		}
	}
}
