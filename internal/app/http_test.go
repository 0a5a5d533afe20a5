package app

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/admin"
	"github.com/weir-rls/weir/traffic"
)

// pipes is a listener in memory, on the time of a test.
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.accepted:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error   { close(p.closed); return nil }
func (p pipes) Addr() net.Addr { return &net.IPAddr{} }

// onPipes serves pages in a bubble, to each connection that the test dials.
func onPipes(t *testing.T, test func(t *testing.T, dial func() net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		pages := admin.New(admin.Guard{Tokens: func() admin.Tokens { return admin.Tokens{admin.NewToken(admin.Viewer, "v", viewerText)} }})
		admin.API{Traffic: traffic.New(traffic.Options{})}.Add(pages)
		pages.AddHealth(func() string { return "" })
		pages.Add(admin.Everyone, "GET", "/body", "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
			}
		}))
		server, listener := newHTTPServer(pages, slog.New(slog.DiscardHandler)), pipes{make(chan net.Conn), make(chan struct{})}
		done := make(chan error)
		go func() { done <- server.Serve(listener) }()
		test(t, func() net.Conn {
			client, served := net.Pipe()
			listener.accepted <- served
			return client
		})
		server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// viewerText is the token of who may look at what is served on pipes.
const viewerText = "weir_of-a-viewer-on-pipes"

// A stream lasts longer than a request and an answer may take, as long as its reader
// reads; one who does not is cut off.
func TestAStreamOutlastsTheTimeOutsOfAnswers(t *testing.T) {
	const ask = "GET /api/v1/traffic/stream HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + viewerText + "\r\n\r\n"
	onPipes(t, func(t *testing.T, dial func() net.Conn) {
		begun, conn := time.Now(), dial()
		go func() { _, _ = io.WriteString(conn, ask) }()
		all, _ := io.ReadAll(conn)
		if took := time.Since(begun); took < 10*time.Minute || strings.Count(string(all), ": nothing new") < 39 {
			t.Errorf("it lasted %v: %.300s", took, all)
		}
		deaf := dial()
		if _, err := io.WriteString(deaf, ask); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // reads nothing
		if all, _ := io.ReadAll(deaf); len(all) > 0 {
			t.Errorf("who did not read for a minute is told %q", all)
		}
	})
}

// drip sends what it has, a byte in each second, until the server closes or all is
// sent, and answers how long that took and what the server said.
func drip(conn net.Conn, head, rest string) (took time.Duration, said string) {
	begun := time.Now()
	read := make(chan string)
	go func() {
		all, _ := io.ReadAll(conn)
		read <- string(all)
	}()
	_, err := io.WriteString(conn, head)
	for i := 0; err == nil && i < len(rest); i++ {
		time.Sleep(time.Second)
		_, err = io.WriteString(conn, rest[i:i+1])
	}
	said = <-read
	return time.Since(begun), said
}

// Connections that say next to nothing, many of which would use up the server, are
// ended in a bounded time.
func TestASlowClientIsCutOff(t *testing.T) {
	slow := strings.Repeat("x", 600)
	for name, c := range map[string]struct {
		head, rest string
		within     time.Duration
	}{
		"a header byte by byte": {"GET /livez HTTP/1.1\r\n", "X: " + slow, 6 * time.Second},
		"nothing at all":        {"", "", 6 * time.Second},
		"a body byte by byte":   {"GET /body HTTP/1.1\r\nHost: h\r\nContent-Length: 600\r\n\r\n", slow, 12 * time.Second},
		"a connection kept":     {"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n", "", 61 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			onPipes(t, func(t *testing.T, dial func() net.Conn) {
				if took, _ := drip(dial(), c.head, c.rest); took > c.within {
					t.Errorf("cut off after %v, want %v", took, c.within)
				}
			})
		})
	}
}

// What a client sends is not held beyond a bound, whatever it asks for.
func TestALargeRequestIsRefused(t *testing.T) {
	onPipes(t, func(t *testing.T, dial func() net.Conn) {
		for name, c := range map[string]struct {
			head, unit string
			n          int
			want       string
		}{
			"a header": {"GET /livez HTTP/1.1\r\nHost: h\r\nX: ", "x", 1 << 20, "HTTP/1.1 431"},
			"a path":   {"GET /", "x", 1 << 20, "HTTP/1.1 431"},
			"headers":  {"GET /livez HTTP/1.1\r\nHost: h\r\n", "X: y\r\n", 1 << 17, "HTTP/1.1 431"},
			"a body":   {"GET /body HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", "10000\r\n" + strings.Repeat("x", 1<<16) + "\r\n", 64, "HTTP/1.1 400"},
		} {
			conn := dial()
			answer := make(chan string, 1)
			go func() {
				line, _ := bufio.NewReader(conn).ReadString('\r')
				answer <- line
				_, _ = io.Copy(io.Discard, conn)
			}()
			sent, err := io.WriteString(conn, c.head)
			for i := 0; err == nil && i < c.n; i++ {
				n := 0
				n, err = io.WriteString(conn, c.unit)
				sent += n
			}
			conn.Close()
			if got := <-answer; !strings.HasPrefix(got, c.want) || err == nil || sent > 2<<20 {
				t.Errorf("%s: %q after %d bytes (%v), want %s", name, got, sent, err, c.want)
			}
		}
	})
}
