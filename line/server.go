// Package line serves named buckets over TCP in the line protocol of the rlimit
// server, so that its clients keep working:
//
//	INIT <request> <bucket> <maxTokens> <refillMillis>   <request>: DONE
//	CHECK <request> <bucket>                             <request>: AVAILABLE
//	STOP                                                 the connection is closed
//
// Answers carry the request's id and may come out of order. docs/how-to/named-buckets.md
// is its reference.
package line

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-rls/weir/named"
)

const (
	defaultMaxConnections = 1024
	defaultIdleTimeout    = 10 * time.Minute

	// maxWaiting is how many CHECKs of all connections are in flight: they hold some
	// 4 KB each.
	maxWaiting = 65_536

	// quiet is how long nothing more is logged of lines that cannot be served.
	quiet = 5 * time.Second
)

// Result is what became of a line.
type Result string

const (
	Done    Result = "done"    // the bucket is there, or the token
	Refused Result = "refused" // no token could be waited for
	Failed  Result = "failed"  // the line was faulty, or the store did not answer
)

// Options are a server's settings. Only Buckets is required.
type Options struct {
	Buckets        *named.Registry
	MaxConnections int           // clients at a time, 0: 1024
	IdleTimeout    time.Duration // a connection on which nobody asks or waits for so long is closed, 0: 10 minutes

	Log      *slog.Logger
	Answered func(verb string, result Result) // is told of every answer; verb is INIT, CHECK or other
	Panicked func()
}

// Server serves lines.
type Server struct {
	o       Options
	closing chan struct{} // closed by Shutdown
	waiting atomic.Int64  // CHECKs in flight
	warned  atomic.Int64  // when, in nanoseconds since the epoch

	mu          sync.Mutex
	listeners   map[net.Listener]bool
	connections map[*connection]bool
	served      sync.WaitGroup
}

// New returns a server.
func New(o Options) *Server {
	if o.MaxConnections <= 0 {
		o.MaxConnections = defaultMaxConnections
	}
	if o.IdleTimeout <= 0 {
		o.IdleTimeout = defaultIdleTimeout
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Answered == nil {
		o.Answered = func(string, Result) {}
	}
	if o.Panicked == nil {
		o.Panicked = func() {}
	}
	return &Server{o: o, closing: make(chan struct{}), listeners: map[net.Listener]bool{}, connections: map[*connection]bool{}}
}

// Connections is how many clients there are.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.connections)
}

// Serve accepts clients until the listener fails, or the server is shut down: then
// it answers nil.
func (s *Server) Serve(listener net.Listener) error {
	s.mu.Lock()
	s.listeners[listener] = true
	s.mu.Unlock()
	defer func() { _ = listener.Close() }()
	for pause := time.Duration(0); ; {
		if s.shuttingDown() {
			return nil
		}
		conn, err := listener.Accept()
		switch {
		case err == nil:
			pause = 0
			s.welcome(conn)
		case s.shuttingDown():
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default: // as when no file descriptor is left
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.o.Log.Warn("a client of the line protocol was not accepted", "error", err.Error(), "pause", pause.String())
			select {
			case <-time.After(pause):
			case <-s.closing:
			}
		}
	}
}

// welcome serves a client in the background, unless there are too many.
func (s *Server) welcome(conn net.Conn) {
	c := &connection{server: s, conn: conn, inFlight: make(chan struct{}, maxInFlight), turns: map[string]chan struct{}{}}
	c.ctx, c.leave = context.WithCancel(context.Background())
	if !s.admit(c) {
		c.answer(unknown, Refused, "ERROR - too many connections") // which fits the buffer of any socket
		c.leave()
		_ = conn.Close()
		return
	}
	go func() {
		defer s.served.Done()
		defer s.forget(c)
		c.serve()
	}()
}

func (s *Server) admit(c *connection) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shuttingDown() || len(s.connections) >= s.o.MaxConnections {
		return false
	}
	s.connections[c] = true
	s.served.Add(1)
	return true
}

func (s *Server) forget(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.connections, c)
}

// enter counts a CHECK in flight, if there is a place.
func (s *Server) enter() bool {
	if s.waiting.Add(1) > maxWaiting {
		s.waiting.Add(-1)
		return false
	}
	return true
}

func (s *Server) exit() { s.waiting.Add(-1) }

// warn logs an error of the store, now and then.
func (s *Server) warn(r request, err error) {
	now, last := time.Now().UnixNano(), s.warned.Load()
	if now-last > quiet.Nanoseconds() && s.warned.CompareAndSwap(last, now) {
		s.o.Log.Warn("a line cannot be served", "verb", string(r.verb), "bucket", r.bucket, "error", err.Error())
	}
}

func (s *Server) shuttingDown() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// Shutdown accepts and reads no more, lets who waits have his answer, and closes
// the connections: at the latest when ctx ends, with its error. Whoever is still in
// the queue then leaves it. It is called once, and last: the room where callers
// wait, which answers them, is to be drained before.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	close(s.closing)
	for listener := range s.listeners {
		_ = listener.Close()
	}
	for c := range s.connections {
		_ = c.conn.SetReadDeadline(time.Unix(1, 0))
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.served.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for c := range s.connections {
		c.leave()
		_ = c.conn.Close()
	}
	s.mu.Unlock()
	<-done
	return ctx.Err()
}
