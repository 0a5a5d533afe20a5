package cli

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// ready serves /readyz on loopback and answers the address.
func ready(t *testing.T, status int, body string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			status = http.StatusNotFound
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func TestHealth_IsZeroOnlyIfReady(t *testing.T) {
	address := ready(t, http.StatusOK, "")
	if got := weir(t, nil, "health", "--http-listen", address); got != (result{exitOK, "ready\n", ""}) {
		t.Errorf("%+v", got)
	}
	address = ready(t, http.StatusServiceUnavailable, "no rules\x1b[31m\nwere loaded\n")
	got := weir(t, nil, "health", "--http-listen", address)
	if got.code != exitFailure || got.stdout != "" || got.stderr != "weir: not ready: http://"+address+"/readyz answered 503 Service Unavailable: no rules?[31m were loaded\n" {
		t.Errorf("%+v", got)
	}
}

// A weir that listens on all addresses is asked on loopback, at the address
// that its settings name, and never through a proxy.
func TestHealth_AsksWhereWeirListens(t *testing.T) {
	_, port, err := net.SplitHostPort(ready(t, http.StatusOK, ""))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	for _, address := range []string{":" + port, "0.0.0.0:" + port, "127.0.0.1:" + port} {
		if got := weir(t, []string{"WEIR_HTTP_LISTEN=" + address}, "health"); got.code != exitOK {
			t.Errorf("%s: %+v", address, got)
		}
	}
	for listen, ask := range map[string]string{":80": "127.0.0.1:80", "0.0.0.0:80": "127.0.0.1:80", "[::]:80": "[::1]:80", "10.0.0.1:80": "10.0.0.1:80"} {
		if got, err := reachable(listen); got != ask || err != nil {
			t.Errorf("%s: %s %v, want %s", listen, got, err, ask)
		}
	}
}

func TestHealth_NobodyThereIsOneLine(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	got := weir(t, nil, "health", "--http-listen", address)
	if got.code != exitFailure || !strings.HasPrefix(got.stderr, "weir: no answer: is weir serving on "+address+"? dial tcp") || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("%+v", got)
	}
}

// A server that accepts and says nothing must not hold a container's check.
func TestHealth_GivesUpOnSilence(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	got := weir(t, nil, "health", "--http-listen", listener.Addr().String())
	if got.code != exitFailure || !strings.Contains(got.stderr, "deadline exceeded") {
		t.Errorf("%+v", got)
	}
}
