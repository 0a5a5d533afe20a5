package events

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counts is what a bus tells of its sinks.
type counts struct {
	mu            sync.Mutex
	sent, dropped map[string]int
}

func (c *counts) into(o *Options) {
	c.sent, c.dropped = map[string]int{}, map[string]int{}
	o.Sent = func(sink string, n int) { c.add(c.sent, sink, n) }
	o.Dropped = func(sink string, n int) { c.add(c.dropped, sink, n) }
}

func (c *counts) add(to map[string]int, sink string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	to[sink] += n
}

func (c *counts) of(sink string) (sent, dropped int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent[sink], c.dropped[sink]
}

// start runs a bus until the test ends, or stop is called.
func start(t *testing.T, o Options) (b *Bus, stop func()) {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	b = New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		b.Run(ctx)
		close(done)
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return b, stop
}

// eventually waits for something that happens on another goroutine.
func eventually(t *testing.T, what string, happens func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !happens(); {
		if time.Now().After(deadline) {
			t.Fatalf("after 20 s not yet: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}
