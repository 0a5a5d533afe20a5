package app

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/admin"
	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/internal/files"
)

// A token is let in or out by replacing the file, without a restart; a file with a
// mistake neither locks everybody out nor is silent.
func TestAReplacedTokensFileCountsAndABadOneDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		file := filepath.Join(t.TempDir(), "tokens")
		write := func(text string) {
			t.Helper()
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			time.Sleep(files.Every)
		}
		ann, bob := admin.NewToken(admin.Operator, "ann", "a"), admin.NewToken(admin.Viewer, "bob", "b")
		fixed := admin.NewToken(admin.Operator, "", "the token of the settings")
		write(ann.Line())
		known, err := adminTokens(config.Settings{AdminTokensFile: file, AdminToken: "the token of the settings"}, slog.New(slog.NewJSONHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		expect := func(lines int, want ...admin.Token) {
			t.Helper()
			for range 3 {
				if got := known(); !slices.Equal(got, append(want, fixed)) {
					t.Errorf("known are %v, want %v", got, want)
				}
				time.Sleep(files.Every)
			}
			if got := strings.Count(log.String(), "\n"); got != lines {
				t.Errorf("%d lines, want %d:\n%s", got, lines, &log)
			}
		}
		expect(0, ann)
		write("# ann has left\n" + bob.Line())
		expect(1, bob)
		write(ann.Line() + "\nhush " + bob.Line())
		expect(2, bob)
		if !strings.Contains(log.String(), file+":2: ") || strings.Contains(log.String(), "hush") || strings.Contains(log.String(), "sha256:"+fmt.Sprintf("%x", bob.Hash[:4])) {
			t.Errorf("the log must name the place and nothing of the line:\n%s", &log)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		time.Sleep(files.Every)
		expect(3, bob)
		write("# ann has left\n" + bob.Line())
		expect(3, bob)
		write("# nobody\n")
		expect(4)
	})
}

// A bad file at the start is an error, not a port that is open or shut for all.
func TestABadTokensFileIsAnErrorAtTheStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	for want, text := range map[string]string{file + ":2: the role": "# x\nadmin ann sha256:00", "no such file": ""} {
		os.Remove(file)
		if text != "" {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := New(config.Settings{AdminTokensFile: file, GRPCListen: "127.0.0.1:0", HTTPListen: "127.0.0.1:0", Store: config.StoreMemory}, Options{Log: slog.New(slog.DiscardHandler)})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--admin-tokens-file") {
			t.Errorf("%v, want %s and the setting", err, want)
		}
	}
}

// Whoever tries tokens must not fill the log, and is in it.
func TestAFloodOfRefusedRequestsIsALineNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		r := &refusals{log: slog.New(slog.NewJSONHandler(&log, nil))}
		for range 3500 {
			r.note("10.0.0.7:4711", "why", "the token is wrong")
			time.Sleep(10 * time.Millisecond)
		}
		server := newHTTPServer(nil, r.log).ErrorLog
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		log.Reset()
		for i := range 3500 {
			server.Printf("http: TLS handshake error from 10.0.0.7:%d: bad certificate", i)
			time.Sleep(10 * time.Millisecond)
		}
		server.Print("http: panic serving")
		if got := strings.Split(strings.TrimSpace(log.String()), "\n"); len(got) != 5 || !strings.Contains(got[4], "panic") || !strings.Contains(got[3], ":999") {
			t.Errorf("35 s of bad certificates and a panic left %d lines:\n%s", len(got), &log)
		}
		if len(lines) != 4 || !strings.Contains(lines[0], `"from":"10.0.0.7"`) || !strings.Contains(lines[1], `"others_since_the_last_line":999`) {
			t.Errorf("35 s of a flood left %d lines:\n%s", len(lines), &log)
		}
	})
}
