package admin_test

import (
	"bufio"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weir-rls/weir/admin"
	"github.com/weir-rls/weir/events"
)

// What happened is told at once and as it comes, to so many and no more, until the
// replica ends.
func TestEvents_AreToldAndTheirStreamsAreBounded(t *testing.T) {
	feed := events.NewFeed(10)
	happens := func(text string) {
		if _, err := feed.Sink().Send(t.Context(), []events.Event{{Kind: events.LimitHit, Text: text}}); err != nil {
			t.Fatal(err)
		}
	}
	w := newWorld(t, inMemory(t), func(a *admin.API) { a.Events = feed })
	server := httptest.NewServer(w)
	defer server.Close()
	if got := w.ask("GET", "/api/v1/events", "").Body.String(); got != `{"events":[]}`+"\n" {
		t.Errorf("before anything happens: %s", got)
	}
	happens("<b>early</b>")
	if got := w.ask("GET", "/api/v1/events", "").Body.String(); !strings.Contains(got, `"kind":"limit_hit"`) || !strings.Contains(got, `\u003cb\u003eearly`) {
		t.Errorf("it tells %s", got)
	}
	stream := server.URL + "/api/v1/events/stream"
	for range events.MaxReaders + 5 {
		if a := openStreamOf(t, "HEAD", stream); a.StatusCode != 200 || a.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatal(a.Status)
		}
	}
	first := openStreamOf(t, "GET", stream)
	for range events.MaxReaders - 1 {
		if a := openStreamOf(t, "GET", stream); a.StatusCode != 200 {
			t.Fatal(a.Status)
		}
	}
	refused := openStreamOf(t, "GET", stream)
	if text, _ := io.ReadAll(refused.Body); refused.StatusCode != 503 || refused.Header.Get("Retry-After") == "" || !strings.Contains(string(text), "32 streams") {
		t.Errorf("one too many: %d %s", refused.StatusCode, text)
	}
	happens("late")
	lines := bufio.NewScanner(first.Body)
	for _, want := range []string{`{"begin":true,"events":[{`, `"text":"late"`} {
		for lines.Scan() {
			if data, told := strings.CutPrefix(lines.Text(), "data: "); told {
				if !strings.Contains(data, want) {
					t.Errorf("it tells %s, want %s", data, want)
				}
				break
			}
		}
	}
	feed.End()
	if _, err := io.ReadAll(first.Body); err != nil {
		t.Errorf("a stream ends with %v", err)
	}
	if a := openStreamOf(t, "GET", stream); a.StatusCode != 503 {
		t.Errorf("a stream when all have ended: %s", a.Status)
	}
}
