package line_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/redis"
	"github.com/weir-rls/weir/buckets/waiting"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
	"github.com/weir-rls/weir/line"
	"github.com/weir-rls/weir/named"
	"github.com/weir-rls/weir/records"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(partstest.Suite{M: m}) }

// world is a server and what stands behind it.
type world struct {
	*testing.T
	*line.Server
	store buckets.Store
	room  *waiting.Room
	names *named.Registry
	dial  func() (net.Conn, error)
	ended chan error // of Serve
}

// serve starts a server on a listener.
func serve(t *testing.T, store buckets.Store, ledger records.Records, l net.Listener, o line.Options) *world {
	t.Helper()
	w := &world{T: t, store: store, room: waiting.New(waiting.Options{Store: store}), ended: make(chan error, 1)}
	w.names = named.New(named.Options{Records: records.Keep(ledger), Room: w.room})
	o.Buckets = w.names
	w.Server = line.New(o)
	w.dial = func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }
	go func() { w.ended <- w.Serve(l) }()
	return w
}

func inMemory(t *testing.T) records.Records {
	t.Helper()
	ledger, err := records.Open("")
	if err != nil {
		t.Fatal(err)
	}
	return ledger
}

// stop ends a server whose clients have all stopped.
func (w *world) stop() {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := w.Shutdown(ctx); err != nil {
		w.Errorf("clients are left: %v", err)
	}
	if err := <-w.ended; err != nil {
		w.Error(err)
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// onTCP runs a test over real connections, on the memory store, Redis and Valkey.
func onTCP(t *testing.T, test func(w *world)) {
	run := func(name string, open func(t *testing.T) (buckets.Store, records.Records)) {
		t.Run(name, func(t *testing.T) {
			store, ledger := open(t)
			w := serve(t, store, ledger, listen(t), line.Options{})
			defer w.stop()
			test(w)
		})
	}
	run("memory", func(t *testing.T) (buckets.Store, records.Records) { return memory.New(memory.Options{}), inMemory(t) })
	for _, part := range []parts.Part{parts.RedisServer, parts.ValkeyServer} {
		run(part.String(), func(t *testing.T) (buckets.Store, records.Records) {
			store, err := redis.Open(partstest.Redis(t, part).URL)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = store.Close() })
			return store, store.Records("weir:live")
		})
	}
}

// pipes is a listener in memory: sockets know no virtual time.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// inTime runs a test in virtual time, on the memory store.
func inTime(t *testing.T, o line.Options, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { inBubble(t, memory.New(memory.Options{}), o, test) })
}

func inBubble(t *testing.T, store buckets.Store, o line.Options, test func(w *world)) {
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	w := serve(t, store, inMemory(t), l, o)
	w.dial = func() (net.Conn, error) {
		mine, other := net.Pipe()
		l.conns <- other
		return mine, nil
	}
	defer w.stop()
	test(w)
}

// client speaks the protocol as it is documented.
type client struct {
	w       *world
	conn    net.Conn
	answers chan answer // closed when the server closes the connection
}

type answer struct {
	text string
	at   time.Time
}

func (w *world) connect() *client {
	w.Helper()
	conn, err := w.dial()
	if err != nil {
		w.Fatal(err)
	}
	c := &client{w: w, conn: conn, answers: make(chan answer, 10_000)}
	go func() {
		defer close(c.answers)
		lines := bufio.NewScanner(conn)
		for lines.Scan() {
			c.answers <- answer{lines.Text(), time.Now()}
		}
	}()
	return c
}

// send writes lines in one go.
func (c *client) send(lines ...string) {
	c.w.Helper()
	if _, err := fmt.Fprint(c.conn, strings.Join(lines, "\n")+"\n"); err != nil {
		c.w.Fatal(err)
	}
}

// expect wants the next answers.
func (c *client) expect(answers ...string) {
	c.w.Helper()
	for _, want := range answers {
		if got, open := <-c.answers; got.text != want || !open {
			c.w.Fatalf("answered %q (open %v), want %q", got.text, open, want)
		}
	}
}

// gone wants the connection closed, without another answer.
func (c *client) gone() {
	c.w.Helper()
	for answer := range c.answers {
		c.w.Errorf("answered %q, want the connection closed", answer.text)
	}
	_ = c.conn.Close()
}

func (c *client) stop() {
	c.w.Helper()
	c.send("STOP")
	c.gone()
}

func initLine(bucket string, tokens, millis int) string {
	return fmt.Sprintf("INIT i %s %d %d", bucket, tokens, millis)
}
