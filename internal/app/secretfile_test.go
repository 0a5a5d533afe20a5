package app

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/internal/files"
	"github.com/weir-rls/weir/internal/telemetry"
)

func secretOf(letter string) string { return strings.Repeat(letter, 32) }

// door is that of a file of secrets, and the log.
func door(t *testing.T, file string) (*doorkeeper, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	a := &App{settings: config.Settings{GRPCSecretFile: file}, log: slog.New(slog.NewJSONHandler(&log, nil)), metrics: telemetry.NewMetrics("test")}
	d, err := a.doorkeeper()
	if err != nil {
		t.Fatal(err)
	}
	return d, &log
}

func (d *doorkeeper) opensFor(secret string) bool {
	ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs(secretMetadata, secret))
	ctx = peer.NewContext(ctx, &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 4711}})
	return d.admit(ctx, "/any/Method") == nil
}

// Secrets are rotated while calls come: old and new side by side, then the new one alone. A
// file with a mistake locks no Envoy out.
func TestGRPCSecret_AReplacedFileCountsAndABadOneDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "secrets")
		write := func(lines ...string) {
			t.Helper()
			if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
				t.Fatal(err)
			}
			time.Sleep(files.Every)
		}
		write(secretOf("a"))
		d, log := door(t, file)
		expect := func(want string) {
			t.Helper()
			for _, letter := range []string{"a", "b", "c"} {
				if got := d.opensFor(secretOf(letter)); got != strings.Contains(want, letter) {
					t.Errorf("%s opens: %v, want %s alone to", letter, got, want)
				}
			}
		}
		expect("a")
		write(secretOf("a"), secretOf("b"))
		expect("ab")
		write("# the next", secretOf("b"))
		expect("b")
		write(secretOf("b"), secretOf("c"), "hush")
		expect("b")
		if told := file + ":3: "; !strings.Contains(log.String(), told) || strings.Contains(log.String(), "hush") {
			t.Errorf("the log must name %s and nothing of the line:\n%s", told, log)
		}
		write("# none")
		expect("b")
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		time.Sleep(files.Every)
		expect("b")
		write(secretOf("c"))
		expect("c")
		if strings.Contains(log.String(), secretOf("b")) {
			t.Errorf("a secret is in the log:\n%s", log)
		}
	})
}

// A bad file at the start is an error that names the place, not a port that is open or shut
// for all.
func TestGRPCSecret_ABadFileIsAnErrorAtTheStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secrets")
	var many strings.Builder
	for i := range maxSecrets + 1 {
		fmt.Fprintf(&many, "%032d\n", i)
	}
	for want, text := range map[string]string{
		file + ":2: a secret has 32 to 256":  "# x\n" + secretOf("a")[1:],
		file + ":1: a secret has 32 to 256":  strings.Repeat("a", 257),
		file + ":3: a secret has 32 to 256":  "\n\n" + secretOf("a") + " " + secretOf("b"),
		file + ":4: a secret has 32 to 256":  "\n\n\n" + secretOf("a") + "%",
		file + ":3: the secret stands there": secretOf("a") + "\n" + secretOf("b") + "\n" + secretOf("a"),
		file + ":17: there are more than 16": many.String(),
		file + ": there is no secret in it":  "# " + secretOf("a") + "\n",
		file + ": the file has more than":    strings.Repeat("#", maxSecretsFile+1),
		"no such file":                       "",
	} {
		os.Remove(file)
		if text != "" {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := New(config.Settings{GRPCSecretFile: file, GRPCListen: "127.0.0.1:0", HTTPListen: "127.0.0.1:0", Store: config.StoreMemory}, Options{Log: slog.New(slog.DiscardHandler)})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--grpc-secret-file") || strings.Contains(err.Error(), secretOf("a")[1:]) {
			t.Errorf("%v, want %s and the setting, and no secret", err, want)
		}
	}
}

// Whoever tries secrets must not fill the log, and is in it.
func TestGRPCSecret_AFloodOfRefusedCallsIsALineNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "secrets")
		if err := os.WriteFile(file, []byte(secretOf("a")), 0o600); err != nil {
			t.Fatal(err)
		}
		d, log := door(t, file)
		for range 3500 {
			if d.opensFor("x\n\"y") {
				t.Fatal("a wrong secret opens")
			}
			time.Sleep(10 * time.Millisecond)
		}
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 4 || !strings.Contains(lines[0], `"why":"the secret is wrong","from":"10.0.0.7"`) || !strings.Contains(lines[1], `"others_since_the_last_line":999`) {
			t.Errorf("35 s of a flood left %d lines:\n%s", len(lines), log)
		}
	})
}
