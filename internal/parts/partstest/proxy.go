package partstest

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Faulty is a way to a server that fails on demand: what goes through it can be delayed, lost
// or cut off.
type Faulty struct {
	Addr string // host:port on loopback

	server   atomic.Pointer[string] // of the next connections
	delay    atomic.Int64           // nanoseconds that each reply is held back
	swallows atomic.Bool
	loses    atomic.Bool // the next reply
	closed   atomic.Bool

	mu    sync.Mutex
	conns map[net.Conn]bool
}

// Way opens a way to the server at addr, for the time of the test.
func Way(t testing.TB, addr string) *Faulty {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	w := &Faulty{Addr: listener.Addr().String(), conns: map[net.Conn]bool{}}
	w.Lead(addr)
	var open sync.WaitGroup
	t.Cleanup(func() {
		_ = listener.Close()
		w.Close(true)
		open.Wait()
	})
	open.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", *w.server.Load())
			if err != nil || !w.hold(client, server) {
				_ = client.Close()
				if err == nil {
					_ = server.Close()
				}
				continue
			}
			open.Go(func() { w.forward(server, client, false) })
			open.Go(func() { w.forward(client, server, true) })
		}
	})
	return w
}

// Lead leads the next connections to another server, as a name does that means it now.
func (w *Faulty) Lead(addr string) { w.server.Store(&addr) }

// Delay holds back each reply for d.
func (w *Faulty) Delay(d time.Duration) { w.delay.Store(int64(d)) }

// Swallow loses all replies, while what is asked goes through.
func (w *Faulty) Swallow(swallows bool) { w.swallows.Store(swallows) }

// LoseNext loses the next reply and ends its connection.
func (w *Faulty) LoseNext() { w.loses.Store(true) }

// Cut ends all connections. New ones may be made at once.
func (w *Faulty) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for conn := range w.conns {
		_ = conn.Close()
	}
	clear(w.conns)
}

// Close ends all connections, and new ones at once, until it is opened again.
func (w *Faulty) Close(closed bool) {
	w.closed.Store(closed)
	if closed {
		w.Cut()
	}
}

// hold tells whether the connections may be, which are then ended with the others.
func (w *Faulty) hold(conns ...net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed.Load() {
		return false
	}
	for _, conn := range conns {
		w.conns[conn] = true
	}
	return true
}

// piece is what came at once.
type piece struct {
	data []byte
	due  time.Time
}

// forward passes on what from says to to. Replies wait their time side by side, as on a
// long way, not one after another.
func (w *Faulty) forward(to, from net.Conn, replies bool) {
	pieces := make(chan piece, 1024)
	var writer sync.WaitGroup
	writer.Go(func() {
		defer func() { _ = from.Close() }()
		for p := range pieces {
			if wait := time.Until(p.due); wait > 0 {
				<-time.After(wait)
			}
			if _, err := to.Write(p.data); err != nil {
				_ = from.Close()
			}
		}
	})
	for {
		data := make([]byte, 4096)
		n, err := from.Read(data)
		if err != nil {
			break
		}
		switch {
		case !replies:
		case w.loses.CompareAndSwap(true, false):
			_ = from.Close()
			continue
		case w.swallows.Load():
			continue
		}
		p := piece{data: data[:n]}
		if delay := w.delay.Load(); replies && delay > 0 {
			p.due = time.Now().Add(time.Duration(delay))
		}
		pieces <- p
	}
	close(pieces)
	writer.Wait()
	_ = to.Close()
	w.mu.Lock()
	delete(w.conns, to)
	delete(w.conns, from)
	w.mu.Unlock()
}
