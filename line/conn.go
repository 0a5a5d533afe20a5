package line

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/weir-rls/weir/named"
)

const (
	// maxLine is the longest line, in bytes with its end.
	maxLine = 1024

	// maxInFlight is how many CHECKs of one connection wait. Further lines are read
	// when one of them was answered.
	maxInFlight = 1024

	// writeTimeout is how long a client may take none of an answer.
	writeTimeout = 10 * time.Second
)

// connection is one client's. Its lines are read one after another, and a line is
// read when the one before it has its place among those who wait: so lines are
// served in their order.
type connection struct {
	server *Server
	conn   net.Conn
	ctx    context.Context // ends when the client leaves
	leave  context.CancelFunc

	inFlight chan struct{}
	handlers sync.WaitGroup
	idle     *time.Timer

	writing sync.Mutex // of answers

	mu      sync.Mutex
	turns   map[string]chan struct{} // by bucket, closed when its latest CHECK was answered
	waiting int                      // lines in flight
}

// serve reads lines until the client stops, leaves or is idle, or the server is
// shut down: then those who wait are answered before the connection is closed, else
// they leave the queue.
func (c *connection) serve() {
	defer func() { _ = c.conn.Close() }()
	defer c.leave()
	c.mu.Lock()
	c.idle = time.AfterFunc(c.server.o.IdleTimeout, c.endIfIdle)
	c.mu.Unlock()
	defer c.idle.Stop()
	lines := bufio.NewReaderSize(c.conn, maxLine)
	for c.ctx.Err() == nil {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			c.answer(unknown, Failed, "a line is longer than 1024 bytes")
		}
		if err != nil || !c.handle(string(line[:len(line)-1])) {
			break
		}
	}
	if !c.server.shuttingDown() {
		c.leave()
	}
	c.handlers.Wait()
}

// handle serves one line, and tells whether another is to be read.
func (c *connection) handle(line string) bool {
	c.idle.Reset(c.server.o.IdleTimeout)
	r, fault := parse(line)
	switch {
	case fault != "":
		c.answer(r.verb, Failed, fault)
	case r.verb == stop:
		return false
	case r.verb == initBucket:
		c.initBucket(r)
	default:
		c.startCheck(r)
	}
	return true
}

// endIfIdle ends the reading of a connection on which nothing happens.
func (c *connection) endIfIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting == 0 {
		_ = c.conn.SetReadDeadline(time.Unix(1, 0))
		return
	}
	c.idle.Reset(c.server.o.IdleTimeout)
}

// answer writes one line. A client who does not take it has left.
func (c *connection) answer(v verb, result Result, text string) {
	c.server.o.Answered(string(v), result)
	c.writing.Lock()
	defer c.writing.Unlock()
	_ = c.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := c.conn.Write([]byte(text + "\n")); err != nil {
		c.leave()
		_ = c.conn.Close()
	}
}

func (c *connection) initBucket(r request) {
	defer c.recover(r)
	_, _, err := c.server.o.Buckets.Create(c.ctx, named.Drip(r.bucket, r.maxTokens, r.refillMillis))
	if err != nil {
		c.refuse(r, err)
		return
	}
	c.answer(r.verb, Done, r.id+": DONE")
}

// startCheck takes a token in the background, and returns when the request has its
// place among those who wait, or its answer.
func (c *connection) startCheck(r request) {
	select {
	case c.inFlight <- struct{}{}:
	case <-c.ctx.Done():
		return
	}
	if !c.server.enter() {
		<-c.inFlight
		c.answer(r.verb, Refused, failed(r.id, "too many requests wait on this server"))
		return
	}
	placed := make(chan struct{})
	queued := sync.OnceFunc(func() { close(placed) })
	before, turn := c.begin(r.bucket)
	c.handlers.Go(func() {
		defer c.end(r.bucket, before, turn)
		defer queued() // before the end, which may have to wait for its turn
		defer c.recover(r)
		c.check(r, before, queued)
	})
	<-placed
}

// begin counts a line in flight. Its answer follows that of the line for the same
// bucket before it.
func (c *connection) begin(bucket string) (before <-chan struct{}, turn chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting++
	before, turn = c.turns[bucket], make(chan struct{})
	c.turns[bucket] = turn
	return before, turn
}

// end is that of a line in flight, in its turn.
func (c *connection) end(bucket string, before <-chan struct{}, turn chan struct{}) {
	c.idle.Reset(c.server.o.IdleTimeout)
	c.server.exit()
	<-c.inFlight
	await(before)
	close(turn)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting--
	if c.turns[bucket] == turn {
		delete(c.turns, bucket)
	}
}

func await(before <-chan struct{}) {
	if before != nil {
		<-before
	}
}

func (c *connection) check(r request, before <-chan struct{}, queued func()) {
	a, err := c.server.o.Buckets.TakeInTurn(c.ctx, r.bucket, 1, math.MaxInt64, queued)
	switch {
	case c.ctx.Err() != nil && err != nil: // nobody is there to be told
	case err != nil:
		c.refuse(r, err)
	case a.Admitted:
		await(before)
		c.answer(r.verb, Done, r.id+": AVAILABLE")
	default:
		retry := (a.Delay + time.Millisecond - 1) / time.Millisecond
		c.answer(r.verb, Refused, failed(r.id, fmt.Sprintf("nobody more can wait for bucket %s, retry in %d ms", r.bucket, retry)))
	}
}

// refuse answers an error. What the store says of itself is for the log alone.
func (c *connection) refuse(r request, err error) {
	var fault named.Fault
	switch {
	case errors.Is(err, named.ErrUnknown):
		c.answer(r.verb, Failed, err.Error())
	case errors.As(err, &fault):
		c.answer(r.verb, Failed, failed(r.id, fault.Message+": "+fault.Remedy))
	default:
		c.server.warn(r, err)
		c.answer(r.verb, Failed, failed(r.id, "the bucket cannot be asked now"))
	}
}

// recover makes a panic the error of one line. It must be deferred.
func (c *connection) recover(r request) {
	if cause := recover(); cause != nil {
		c.server.o.Panicked()
		c.server.o.Log.Error("a line panicked", "verb", string(r.verb), "panic", cause, "stack", string(debug.Stack()))
		c.answer(r.verb, Failed, failed(r.id, "internal error"))
	}
}
