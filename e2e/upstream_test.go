package e2e

import (
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// upstream is a backend that limits nothing and does what a request tells it:
// X-Status is the status of its answer; X-Tokens what it says in a header that it
// used, and X-Usage in the last event of a stream; X-Hold keeps it from answering
// until the test lets go, before the answer begins (answer) or in the middle of
// it (body).
type upstream struct {
	served  atomic.Int64  // requests that reached it
	held    atomic.Int64  // of those, how many it holds
	release chan struct{} // each value lets go of one
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.served.Add(1)
	hold := r.Header.Get("X-Hold")
	if hold == "answer" && !u.hold(r) {
		return
	}
	if tokens := r.Header.Get("X-Tokens"); tokens != "" {
		w.Header().Set("X-Tokens", tokens)
	}
	usage := r.Header.Get("X-Usage")
	if usage != "" {
		w.Header().Set("Content-Type", "text/event-stream")
	}
	if status, err := strconv.Atoi(r.Header.Get("X-Status")); err == nil {
		w.WriteHeader(status)
	}
	if hold == "body" {
		_ = http.NewResponseController(w).Flush()
		u.hold(r)
	}
	if usage != "" {
		_, _ = fmt.Fprintf(w, "data: {\"choices\":[{\"delta\":{}}]}\n\ndata: {\"choices\":[],\"usage\":{\"total_tokens\":%s}}\n\ndata: [DONE]\n\n", usage)
	}
}

// hold tells whether it was let go before its caller left.
func (u *upstream) hold(r *http.Request) bool {
	u.held.Add(1)
	defer u.held.Add(-1)
	select {
	case <-u.release:
		return true
	case <-r.Context().Done():
		return false
	}
}

// letGo answers n of the held requests.
func (u *upstream) letGo(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		select {
		case u.release <- struct{}{}:
		case <-time.After(20 * time.Second):
			t.Fatalf("the upstream holds %d requests, want %d more", u.held.Load(), n-i)
		}
	}
}

// holds waits until exactly n requests are held.
func (u *upstream) holds(t *testing.T, n int64) {
	t.Helper()
	eventually(t, strconv.FormatInt(n, 10)+" requests are held", func() bool { return u.held.Load() == n })
}
