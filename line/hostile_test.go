package line_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/line"
)

// What ended that server, or made it wait for ever, is an error here, in its own
// words where it has some; the connection goes on.
func TestW07_W11_W14_L03_L08_BadLinesAreErrors(t *testing.T) {
	inTime(t, line.Options{}, func(w *world) {
		c := w.connect()
		for _, l := range []struct{ line, answer string }{
			{"", "please provide valid options"},
			{"   ", "please provide valid options"},
			{"CHECK", "please provide valid options"},
			{"INIT", "please provide valid options"},
			{"HELLO r", "please provide a valid option"},
			{"check r b", "please provide a valid option"},
			{"STOP r", "please provide a valid option"},
			{"CHECK r", "r: ERROR - reqID bucketID are required"},
			{"CHECK r a b", "r: ERROR - too many fields"},
			{"CHECK r X", "bucket X not found"},
			{"CHECK r \x00\xff", "bucket \x00\xff not found"},
			{"INIT r", "r: ERROR - reqID bucketID maxToken refillRate required"},
			{"INIT r b 4", "r: ERROR - reqID bucketID maxToken refillRate required"},
			{"INIT r b 4 4000 x", "r: ERROR - too many fields"},
			{"INIT r b four 4000", "r: ERROR - maxTokens should be an integer"},
			{"INIT r b 4.0 4000", "r: ERROR - maxTokens should be an integer"},
			{"INIT r b 99999999999999999999 4000", "r: ERROR - maxTokens should be an integer"},
			{"INIT r b 4 soon", "r: ERROR - refillRate should be an integer"},
			{"INIT r b 4 -99999999999999999999", "r: ERROR - refillRate should be an integer"},
			{"INIT r b 0 4000", "r: ERROR - maxTokens should be at least 1"},
			{"INIT r b -1 4000", "r: ERROR - maxTokens should be at least 1"},
			{"INIT r b 4 0", "r: ERROR - refillRate should be at least 1"},
			{"INIT r b 4 -4000", "r: ERROR - refillRate should be at least 1"},
		} {
			c.send(l.line)
			c.expect(l.answer)
		}
		for _, l := range []string{
			"INIT r b 9223372036854775807 4000", "INIT r b 4 9223372036854775807", "INIT r b 9223372036854775807 9223372036854775807",
			"INIT r \xff 4 4000", "INIT r " + strings.Repeat("b", 201) + " 4 4000",
		} {
			c.send(l)
			if got := <-c.answers; !strings.HasPrefix(got.text, "r: ERROR - ") || len(got.text) < 30 {
				t.Errorf("%.60q is answered %q, want an error with a remedy", l, got.text)
			}
		}
		if all, err := w.names.List(t.Context()); err != nil || len(all) != 0 {
			t.Errorf("bad lines made the buckets %+v, %v", all, err)
		}
		c.send("INIT  r\tb 4 4000")
		c.expect("r: DONE")
		c.stop()
	})
}

// Whatever lines a client sends at once, each has one answer, and the server goes
// on.
func TestAnyLinesAreAnswered(t *testing.T) {
	word := rapid.SampledFrom([]string{"INIT", "CHECK", "STOP", "r", "b", "a", "1", "0", "-1", "9223372036854775807", "x", "\x00", "\xff\xfe", "{", "\r"})
	rapid.Check(t, func(r *rapid.T) {
		lines := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) string {
			return strings.Join(rapid.SliceOfN(word, 0, 6).Draw(r, "words"), rapid.SampledFrom([]string{" ", "  ", "\t"}).Draw(r, "space"))
		}).Filter(func(l string) bool { return strings.Trim(l, " \t\r") != "STOP" }), 1, 40).Draw(r, "lines")
		inTime(t, line.Options{}, func(w *world) {
			c := w.connect()
			c.send(lines...)
			for range lines {
				if _, open := <-c.answers; !open {
					r.Fatalf("the connection was closed by one of %q", lines)
				}
			}
			c.send("CHECK last none")
			c.expect("bucket none not found")
			c.stop()
		})
	})
}

// A line without an end ends its connection, not the server's memory.
func TestALineIsAtMost1024Bytes(t *testing.T) {
	onTCP(t, func(w *world) {
		c := w.connect()
		fits := "CHECK r " + strings.Repeat("b", 1024-len("CHECK r ")-1)
		c.send(fits)
		if got := <-c.answers; !strings.HasSuffix(got.text, "b not found") {
			t.Errorf("a line of 1024 bytes is answered %.60q", got.text)
		}
		_, _ = c.conn.Write([]byte(strings.Repeat("x", 1024)))
		c.expect("a line is longer than 1024 bytes")
		c.gone()
	})
}

// More lines in flight than are kept are served all the same: the client's next
// ones wait in his connection.
func TestL09_LinesInFlightAreBounded(t *testing.T) {
	inTime(t, line.Options{}, func(w *world) {
		const n = 3000
		c := w.connect()
		go func() {
			c.send(initLine("b", 1, 10))
			for i := range n {
				c.send(fmt.Sprintf("CHECK %d b", i))
			}
		}()
		c.expect("i: DONE")
		for i := range n {
			c.expect(fmt.Sprintf("%d: AVAILABLE", i))
			if waiting := w.room.Waiting(); waiting > 1024 {
				t.Fatalf("%d lines of one client wait", waiting)
			}
		}
		c.stop()
	})
}

// A bucket's queue is bounded too: who does not fit is told when to come again.
func TestL09_WhoCannotWaitIsTold(t *testing.T) {
	inTime(t, line.Options{}, func(w *world) {
		c := w.connect()
		c.send(initLine("b", 1, 12*3600_000), "CHECK 1 b", "CHECK 2 b", "CHECK 3 b")
		c.expect("i: DONE", "3: ERROR - nobody more can wait for bucket b, retry in 129600000 ms", "1: AVAILABLE", "2: AVAILABLE")
		c.stop()
	})
}

func TestClientsAreBounded(t *testing.T) {
	inTime(t, line.Options{MaxConnections: 2}, func(w *world) {
		first, second := w.connect(), w.connect()
		first.send("CHECK r none")
		second.send("CHECK r none")
		first.expect("bucket none not found")
		second.expect("bucket none not found")
		third := w.connect()
		third.expect("ERROR - too many connections")
		third.gone()
		first.stop()
		synctest.Wait()
		fourth := w.connect()
		fourth.send("CHECK r none")
		fourth.expect("bucket none not found")
		fourth.stop()
		second.stop()
	})
}

// An idle client is told nothing and closed; one who waits is not idle, and nor is
// one who was answered just now.
func TestIdleClientsAreClosed(t *testing.T) {
	inTime(t, line.Options{IdleTimeout: time.Minute}, func(w *world) {
		idle, waits := w.connect(), w.connect()
		start := time.Now()
		waits.send(initLine("b", 1, 3600_000), "CHECK 1 b")
		waits.expect("i: DONE")
		idle.gone()
		if took := time.Since(start); took != time.Minute {
			t.Errorf("an idle client was closed after %v", took)
		}
		waits.expect("1: AVAILABLE")
		answered := time.Now()
		waits.gone()
		if took := time.Since(answered); took != time.Minute {
			t.Errorf("a client was closed %v after his answer, want a minute", took)
		}
	})
}

// A client who reads none of his answers ends himself, nobody else.
func TestL04_AClientWhoDoesNotReadHoldsUpNobody(t *testing.T) {
	inTime(t, line.Options{}, func(w *world) {
		deaf, err := w.dial()
		if err != nil {
			t.Fatal(err)
		}
		other := w.connect()
		other.send(initLine("b", 100, 1))
		other.expect("i: DONE")
		_, _ = fmt.Fprint(deaf, "CHECK 1 b\n")
		start := time.Now()
		other.send("CHECK 2 b")
		other.expect("2: AVAILABLE")
		if took := time.Since(start); took > time.Second {
			t.Errorf("another client was answered after %v", took)
		}
		time.Sleep(15 * time.Second)
		if n := w.Connections(); n != 1 {
			t.Errorf("%d clients are left, want the one who reads", n)
		}
		other.stop()
	})
}

// A drain answers who waits, then closes: no client waits for a replica that ends.
func TestADrainAnswersWhoWaits(t *testing.T) {
	for name, drained := range map[string]bool{"in time": true, "too late": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
				w := serve(t, memory.New(memory.Options{}), inMemory(t), l, line.Options{})
				w.dial = func() (net.Conn, error) { mine, other := net.Pipe(); l.conns <- other; return mine, nil }
				waits, idle := w.connect(), w.connect()
				waits.send(initLine("b", 1, 60_000), "CHECK 1 b")
				waits.expect("i: DONE")
				synctest.Wait()
				if drained {
					w.room.Drain()
				}
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				err := w.Shutdown(ctx)
				if (err == nil) != drained || drained && time.Since(start) != 0 {
					t.Errorf("shut down with %v after %v", err, time.Since(start))
				}
				if drained {
					waits.expect("1: ERROR - nobody more can wait for bucket b, retry in 60000 ms")
				}
				waits.gone()
				idle.gone()
				if err := <-w.ended; err != nil {
					t.Error(err)
				}
				if n := w.room.Waiting(); n != 0 {
					t.Errorf("%d wait still", n)
				}
			})
		})
	}
}

// storeFunc is a store that does what no real one can be made to.
type storeFunc func(context.Context, []buckets.Charge) ([]buckets.Outcome, error)

func (f storeFunc) Take(ctx context.Context, c []buckets.Charge) ([]buckets.Outcome, error) {
	return f(ctx, c)
}

// A panic, or a store that does not answer, is the error of one line. What the
// store says is for the log, which a client cannot fill.
func TestAPanicIsTheErrorOfOneLine(t *testing.T) {
	panics, log := 0, &strings.Builder{}
	for name, store := range map[string]storeFunc{
		"internal error": func(context.Context, []buckets.Charge) ([]buckets.Outcome, error) { panic("of the store") },
		"the bucket cannot be asked now": func(context.Context, []buckets.Charge) ([]buckets.Outcome, error) {
			return nil, errors.New("secret\nlines")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log.Reset()
				o := line.Options{Log: slog.New(slog.NewJSONHandler(io.Writer(log), nil)), Panicked: func() { panics++ }}
				inBubble(t, store, o, func(w *world) {
					c := w.connect()
					c.send(initLine("b", 1, 1))
					c.expect("i: DONE")
					for range 50 {
						c.send("CHECK r b")
						c.expect("r: ERROR - " + name)
					}
					c.stop()
				})
			})
			if lines := strings.Count(log.String(), "\n"); name != "internal error" && lines != 1 {
				t.Errorf("50 failures left %d lines:\n%s", lines, log)
			}
		})
	}
	if panics != 50 {
		t.Errorf("%d panics were told, want 50", panics)
	}
}

// Every answer is counted, under words of which there are few.
func TestAnswersAreCounted(t *testing.T) {
	counts := map[string]int{}
	o := line.Options{Answered: func(verb string, r line.Result) { counts[verb+" "+string(r)]++ }}
	inTime(t, o, func(w *world) {
		c := w.connect()
		for _, l := range []string{"INIT i b 1 50000000", "INIT i b 0 0", "CHECK", "EVIL\x00 x", "CHECK c none", "CHECK c b", "CHECK c b"} {
			c.send(l)
			synctest.Wait()
		}
		c.send("CHECK c b")
		for range 8 {
			<-c.answers
		}
		c.stop()
	})
	want := map[string]int{"INIT done": 1, "INIT failed": 1, "other failed": 2, "CHECK failed": 1, "CHECK done": 1, "CHECK refused": 2}
	if fmt.Sprint(counts) != fmt.Sprint(want) {
		t.Errorf("counted %v, want %v", counts, want)
	}
}
