package admin_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/admin"
	"github.com/weir-rls/weir/internal/parts/partstest"
	"github.com/weir-rls/weir/traffic"
)

// What is not there is refused by name, and a limit that several domains have is asked
// for.
func TestTraffic_OfLimitsAsTheRulesNameThem(t *testing.T) {
	w := alone(t)
	for _, target := range []string{
		"/api/v1/traffic", "/api/v1/traffic?domain=llm", "/api/v1/traffic/limits/vip", "/api/v1/traffic/limits/per-user?domain=shop",
		"/api/v1/traffic/limits/a", "/api/v1/traffic/limits/override?domain=llm", "/api/v1/traffic/limits//api/a",
	} {
		if a := w.ask("GET", target, ""); a.Code != 200 && target != "/api/v1/traffic/limits//api/a" {
			t.Errorf("%s: %d %s", target, a.Code, a.Body)
		}
	}
	if a := w.must(200, "GET", "/api/v1/traffic/limits/vip", ""); a.at("domain") != "llm" || a.at("keys", "top") == nil || a.at("seconds", "steps") == nil {
		t.Errorf("a limit that nobody met: %s", a.Body)
	}
	for target, want := range map[string]struct {
		status int
		field  string
	}{
		"/api/v1/traffic?domain=nix":                      {404, "domain"},
		"/api/v1/traffic?domain=llm&domain=shop":          {400, "domain"},
		"/api/v1/traffic?limit=vip":                       {400, "limit"},
		"/api/v1/traffic/limits/":                         {404, "limit"},
		"/api/v1/traffic/limits/nix":                      {404, "limit"},
		"/api/v1/traffic/limits/vip?domain=shop":          {404, "limit"},
		"/api/v1/traffic/limits/vip?domain=nix":           {404, "domain"},
		"/api/v1/traffic/limits/per-user":                 {400, "domain"},
		"/api/v1/traffic/limits/override":                 {400, "domain"},
		"/api/v1/traffic/stream?n=1":                      {400, "n"},
		"/api/v1/traffic/limits/%1B%5B31m?domain=llm":     {404, "limit"},
		"/api/v1/traffic/limits/vip?domain=" + long(3000): {404, "domain"},
	} {
		a := w.ask("GET", target, "")
		if a.Code != want.status || a.at("field") != want.field || a.at("remedy") == nil || a.Body.Len() > 1000 || strings.Contains(a.Body.String(), "\x1b") {
			t.Errorf("%s: %d %s, want %d and the field %s", target, a.Code, a.Body, want.status, want.field)
		}
	}
}

func long(n int) string { return strings.Repeat("x", n) }

// streaming is a replica that counts seconds, its pages on a server.
func streaming(t *testing.T) (*traffic.Traffic, *httptest.Server) {
	t.Helper()
	var seen *traffic.Traffic
	w := newWorld(t, inMemory(t), func(a *admin.API) { seen = a.Traffic })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		seen.Run(ctx)
	}()
	server := httptest.NewServer(w)
	t.Cleanup(func() {
		cancel()
		<-done
		server.Close()
	})
	return seen, server
}

func openStream(t *testing.T, method, url string) *http.Response {
	t.Helper()
	return openStreamOf(t, method, url+"/api/v1/traffic/stream")
}

func openStreamOf(t *testing.T, method, url string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return answer
}

// A stream tells each second. There are so many and no more: one that is left makes
// place for another, to look at its head takes none, and all end with the replica.
func TestTraffic_StreamsAreBoundedAndEndWithTheReplica(t *testing.T) {
	seen, server := streaming(t)
	for range traffic.MaxStreams + 5 {
		if a := openStream(t, "HEAD", server.URL); a.StatusCode != 200 || a.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatal(a.Status)
		}
	}
	var all []*http.Response
	for range traffic.MaxStreams {
		a := openStream(t, "GET", server.URL)
		if a.StatusCode != 200 {
			t.Fatal(a.Status)
		}
		all = append(all, a)
	}
	refused := openStream(t, "GET", server.URL)
	text, _ := io.ReadAll(refused.Body)
	if refused.StatusCode != 503 || refused.Header.Get("Retry-After") == "" || !strings.Contains(string(text), "32 streams") {
		t.Errorf("one too many: %d %s", refused.StatusCode, text)
	}
	lines := bufio.NewScanner(all[0].Body)
	for n := 0; n < 2; {
		if !lines.Scan() {
			t.Fatal(lines.Err())
		}
		if data, event := strings.CutPrefix(lines.Text(), "data: "); event {
			if n++; !strings.HasPrefix(data, `{"time":"`) || !strings.HasSuffix(data, `"limits":[]}`) {
				t.Errorf("%s", data)
			}
		}
	}
	all[0].Body.Close()
	partstest.Eventually(t, 30*time.Second, "a stream that was left makes place", func() bool {
		again := openStream(t, "GET", server.URL)
		all[0] = again
		return again.StatusCode == 200
	})
	seen.EndStreams()
	for _, a := range all {
		if _, err := io.ReadAll(a.Body); err != nil {
			t.Errorf("a stream ends with %v", err)
		}
	}
	if a := openStream(t, "GET", server.URL); a.StatusCode != 503 {
		t.Errorf("a stream when all have ended: %s", a.Status)
	}
}

// writer is a reader of a stream, with a server's deadlines.
type writer struct {
	*httptest.ResponseRecorder
	deadline time.Time
}

func (w *writer) SetWriteDeadline(at time.Time) error {
	w.deadline = at
	return nil
}

// A stream in which nothing is told says that it is there, has a deadline for each
// write, and ends after ten minutes, so that who may not look any more does not.
func TestTraffic_AStreamLastsTenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pages := admin.New(admin.Guard{})
		admin.API{Traffic: traffic.New(traffic.Options{})}.Add(pages)
		began := time.Now()
		w := &writer{ResponseRecorder: httptest.NewRecorder()}
		pages.ServeHTTP(w, request("GET", "/api/v1/traffic/stream", ""))
		if lasted := time.Since(began); lasted != 10*time.Minute {
			t.Errorf("it lasts %v", lasted)
		}
		if told := strings.Count(w.Body.String(), ": nothing new\n\n"); told < 39 {
			t.Errorf("%d heartbeats", told)
		}
		if left := w.deadline.Sub(began); left < 9*time.Minute || left > 11*time.Minute {
			t.Errorf("the last deadline is after %v", left)
		}
	})
}

// Who is not let in any more is told nothing more, though the stream that was opened
// before would last for minutes: a token that was taken away, or a session that has ended.
func TestTraffic_AStreamEndsWithTheRightToLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var known atomic.Pointer[admin.Tokens]
		known.Store(&admin.Tokens{ofViewer})
		pages := site(admin.Guard{Tokens: func() admin.Tokens { return *known.Load() }})
		admin.API{Traffic: traffic.New(traffic.Options{})}.Add(pages)
		b := newBrowser(pages)
		lasts := func() time.Duration {
			began := time.Now()
			w := &writer{ResponseRecorder: httptest.NewRecorder()}
			r := httptest.NewRequest("GET", "/api/v1/traffic/stream", nil)
			for _, cookie := range b.cookies {
				r.AddCookie(cookie)
			}
			b.Pages.ServeHTTP(w, r)
			if w.Code != 200 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			return time.Since(began)
		}
		b.want(t, 200, "POST", "/login", "token=viewers")
		time.AfterFunc(time.Minute, func() { known.Store(new(admin.Tokens)) })
		if lasted := lasts(); lasted < time.Minute || lasted > time.Minute+5*time.Second {
			t.Errorf("it lasts %v, and the token a minute", lasted)
		}
		known.Store(&admin.Tokens{ofViewer})
		time.AfterFunc(time.Minute, func() { b.do("POST", "/logout", "") })
		if lasted := lasts(); lasted < time.Minute || lasted > time.Minute+5*time.Second {
			t.Errorf("it lasts %v, and the session a minute", lasted)
		}
	})
}
