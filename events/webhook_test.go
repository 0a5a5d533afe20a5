package events

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-rls/weir/internal/parts/partstest"
)

// hook is a webhook's server that keeps what it took.
type hook struct {
	mu     sync.Mutex
	took   []Event
	posts  int
	faults []string
}

// take keeps the events of a post.
func (h *hook) take(r *http.Request) {
	var events []Event
	body, err := io.ReadAll(r.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.posts++
	if err != nil || json.Unmarshal(body, &events) != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
		h.faults = append(h.faults, r.Method+" "+r.Header.Get("Content-Type")+" "+string(body))
	}
	h.took = append(h.took, events...)
}

func (h *hook) seen() (posts, events int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.posts, len(h.took)
}

// serve answers posts with a handler, until the test ends.
func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s
}

// hurried are options whose pauses and time-outs are short.
func hurried(c *counts, url string) Options {
	o := Options{Sinks: []Sink{Webhook(url)}, Backoff: time.Millisecond, Timeout: time.Minute, Queue: 50}
	c.into(&o)
	return o
}

// Events reach the log, the webhook and the stream, each of them all, in order.
func TestG23_EventsReachAllSubscribers(t *testing.T) {
	var c counts
	var h hook
	var log partstest.Log
	var mu sync.Mutex
	var stream []map[string]string
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) { h.take(r) })
	o := hurried(&c, server.URL+"/hook?token=x")
	o.Sinks = append(o.Sinks, Log(slog.New(slog.NewJSONHandler(&log, nil))), Stream("weir:events", func(_ context.Context, name string, fields map[string]string) error {
		mu.Lock()
		defer mu.Unlock()
		if name != "weir:events" {
			t.Errorf("stream %q", name)
		}
		stream = append(stream, fields)
		return nil
	}))
	b, stop := start(t, o)
	b.Tell(Event{Kind: LimitHit, Domain: "d", Limit: "per-user", Text: "said \"no\"\n", Entries: []Entry{{"user", "u1"}}})
	b.Tell(Event{Kind: BreakerMoved, Domain: "d", Limit: "service:breaker", Fields: map[string]string{"to": "open"}})
	stop()
	if posts, _ := h.seen(); posts == 0 || len(h.took) != 2 || h.took[0].Entries[0].Value != "u1" || h.took[1].Kind != BreakerMoved || len(h.faults) > 0 {
		t.Errorf("the webhook took %+v, %q", h.took, h.faults)
	}
	var event Event
	if len(stream) != 2 || stream[1]["kind"] != "breaker_moved" || json.Unmarshal([]byte(stream[0]["event"]), &event) != nil || event.Limit != "per-user" {
		t.Errorf("the stream has %v", stream)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	var line struct{ Event Event }
	if len(lines) != 2 || json.Unmarshal([]byte(lines[0]), &line) != nil || line.Event.Text != "said \"no\"\n" || line.Event.Entries[0].Value != "u1" {
		t.Errorf("the log reads\n%s", log.String())
	}
	for _, sink := range []string{"log", "webhook", "stream"} {
		if sent, dropped := c.of(sink); sent != 2 || dropped != 0 {
			t.Errorf("%s: %d sent, %d dropped", sink, sent, dropped)
		}
	}
}

// A webhook that is slow delays nobody who tells, and takes what it can in batches;
// what does not fit in the queue is counted.
func TestG23_ASlowWebhookDelaysNobody(t *testing.T) {
	var c counts
	var h hook
	slow := make(chan struct{})
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		h.take(r)
		<-slow
	})
	b, stop := start(t, hurried(&c, server.URL))
	b.Tell(told(0))
	eventually(t, "the first post arrives", func() bool { posts, _ := h.seen(); return posts == 1 })
	const floods = 20_000
	before := time.Now()
	for i := range floods {
		b.Tell(told(i))
	}
	if took := time.Since(before); took > 2*time.Second {
		t.Errorf("telling %d events took %v", floods, took)
	}
	if _, dropped := c.of("webhook"); dropped != floods-50 {
		t.Errorf("%d dropped, want all but the queue's 50", dropped)
	}
	close(slow)
	stop()
	if sent, dropped := c.of("webhook"); sent != 51 || sent+dropped != floods+1 {
		t.Errorf("%d sent, %d dropped", sent, dropped)
	}
	if posts, events := h.seen(); posts != 2 || events != 51 {
		t.Errorf("%d events in %d posts", events, posts)
	}
}

// A post that is not answered in time, or with an error that may pass, is made
// again; one that is refused is not.
func TestG23_AWebhookThatFailsOrRefuses(t *testing.T) {
	for _, c := range []struct {
		answers []int // 0: none in time, -1: the connection is cut
		sent    int
		posts   int
	}{
		{[]int{500, 503, 429, 408, 204}, 1, 5},
		{[]int{-1, -1, 200}, 1, 3},
		{[]int{0, 202}, 1, 2},
		{[]int{500, 500, 500, 500, 500, 500, 200}, 0, 6},
		{[]int{400, 200}, 0, 1},
		{[]int{401, 200}, 0, 1},
		{[]int{307, 200}, 0, 1},
		{[]int{301, 200}, 0, 1},
	} {
		var n counts
		var h hook
		server := serve(t, func(w http.ResponseWriter, r *http.Request) {
			h.take(r)
			posts, _ := h.seen()
			switch answer := c.answers[posts-1]; answer {
			case 0:
				<-r.Context().Done()
			case -1:
				panic(http.ErrAbortHandler)
			default:
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(answer)
				_, _ = io.WriteString(w, strings.Repeat("x", 1000))
			}
		})
		o := hurried(&n, server.URL)
		o.Timeout = time.Second
		b, stop := start(t, o)
		b.Tell(told(7))
		eventually(t, "the event is sent or dropped", func() bool { sent, dropped := n.of("webhook"); return sent+dropped == 1 })
		stop()
		posts, _ := h.seen()
		if sent, _ := n.of("webhook"); sent != c.sent || posts != c.posts || h.took[posts-1].Text != "7" {
			t.Errorf("answered %v: %d sent in %d posts: %+v", c.answers, sent, posts, h.took)
		}
	}
}

// A webhook that dies is found again on its address when it is back, and nothing
// of its URL is logged, which may hold a password.
func TestG23_AWebhookThatDiesIsFoundAgain(t *testing.T) {
	var c counts
	var h hook
	var log partstest.Log
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { h.take(r) })
	server := httptest.NewServer(handler)
	address := server.Listener.Addr().String()
	o := hurried(&c, "http://user:secret@"+address+"/path?token=secret")
	o.Backoff, o.Log = 300*time.Millisecond, slog.New(slog.NewJSONHandler(&log, nil))
	b, _ := start(t, o)
	b.Tell(told(0))
	eventually(t, "the first event arrives", func() bool { _, events := h.seen(); return events == 1 })
	server.CloseClientConnections()
	server.Close()
	b.Tell(told(1))
	eventually(t, "the failure is logged", func() bool { return strings.Contains(log.String(), "cannot be delivered") })
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	again := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler}}
	again.Start()
	defer again.Close()
	eventually(t, "the second event arrives", func() bool { _, events := h.seen(); return events == 2 })
	eventually(t, "that is logged", func() bool { return strings.Contains(log.String(), "delivered again") })
	if strings.Contains(log.String(), "secret") || strings.Contains(log.String(), "path") {
		t.Errorf("the log tells the URL:\n%s", log.String())
	}
}

// What is no URL at all is refused, without telling it.
func TestAWebhookThatIsNoURLIsRefused(t *testing.T) {
	_, err := Webhook("http://user:secret@%zz").Send(t.Context(), []Event{{}})
	if !errors.Is(err, ErrRefused) || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}

// A stream that fails in the middle goes on from there.
func TestG23_AStreamGoesOnWhereItFailed(t *testing.T) {
	var got []string
	failed := false
	sink := Stream("s", func(_ context.Context, _ string, fields map[string]string) error {
		var e Event
		if err := json.Unmarshal([]byte(fields["event"]), &e); err != nil {
			t.Error(err)
		}
		if e.Text == "2" && !failed {
			failed = true
			return errAway
		}
		got = append(got, e.Text)
		return nil
	})
	o := Options{Sinks: []Sink{sink}, Backoff: time.Millisecond}
	var c counts
	c.into(&o)
	b, stop := start(t, o)
	for i := range 5 {
		b.Tell(told(i))
	}
	eventually(t, "all are sent", func() bool { sent, _ := c.of("stream"); return sent == 5 })
	stop()
	if strings.Join(got, " ") != "0 1 2 3 4" {
		t.Errorf("%q", got)
	}
}
