package line_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-rls/weir/line"
)

// The session of that server's manual.
func TestW10_TheLinesOfTheManual(t *testing.T) {
	onTCP(t, func(w *world) {
		c := w.connect()
		c.send("INIT req01 buc-id 4 20")
		c.expect("req01: DONE")
		c.send("CHECK req02 buc-id\r")
		c.expect("req02: AVAILABLE")
		c.stop()
	})
}

// A thousand lines in one write: the answers come in their order, none of them
// before its token, on each store.
func TestW10_W03_L06_AThousandChecksInOrder(t *testing.T) {
	onTCP(t, func(w *world) {
		const n, burst, period = 1000, 4, 2 * time.Millisecond
		c := w.connect()
		lines := []string{initLine("api", burst, int(period.Milliseconds()))}
		for i := range n {
			lines = append(lines, fmt.Sprintf("CHECK r%d api", i))
		}
		begin := time.Now()
		c.send(lines...)
		c.expect("i: DONE")
		for i := range n {
			c.expect(fmt.Sprintf("r%d: AVAILABLE", i))
			// The bucket is empty when it is first asked. Two clocks may differ a little.
			if at, least := time.Since(begin), time.Duration(i+1)*period-5*time.Millisecond; at < least {
				t.Fatalf("answer %d came after %v, before its token after %v", i, at, least)
			}
		}
		t.Logf("%d answers in %v", n, time.Since(begin))
		c.stop()
	})
}

// Several clients, in virtual time: first come first served over all of them, and
// no window sees more than the burst and what refills in it.
func TestW03_L02_ClientsAreServedInTheOrderOfTheirLines(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		burst := rapid.IntRange(1, 5).Draw(r, "burst")
		millis := rapid.IntRange(1, 3000).Draw(r, "period")
		gaps := rapid.SliceOfN(rapid.IntRange(0, 2000), 1, 60).Draw(r, "gaps")
		whose := rapid.SliceOfN(rapid.IntRange(0, 2), len(gaps), len(gaps)).Draw(r, "whose")
		at := make([]time.Time, len(gaps))
		inTime(t, line.Options{}, func(w *world) {
			clients := []*client{w.connect(), w.connect(), w.connect()}
			clients[0].send(initLine("b", burst, millis))
			clients[0].expect("i: DONE")
			for i, gap := range gaps {
				time.Sleep(time.Duration(gap) * time.Millisecond)
				clients[whose[i]].send(fmt.Sprintf("CHECK %d b", i))
				synctest.Wait()
			}
			for i, c := range whose {
				got := <-clients[c].answers
				if want := fmt.Sprintf("%d: AVAILABLE", i); got.text != want {
					r.Fatalf("client %d was answered %q, want %q", c, got.text, want)
				}
				at[i] = got.at
			}
			for _, c := range clients {
				c.stop()
			}
		})
		for i := range at {
			if i > 0 && at[i].Before(at[i-1]) {
				r.Fatalf("line %d was answered at %v, the one before at %v", i, at[i], at[i-1])
			}
			for j := i; j < len(at); j++ {
				window := at[j].Sub(at[i])
				if n, most := j-i+1, burst+int(window/(time.Duration(millis)*time.Millisecond)); n > most {
					r.Fatalf("%d answers within %v, at most %d may be", n, window, most)
				}
			}
		}
	})
}

// A line that waits holds up none for another bucket.
func TestW10_AnswersComeOutOfOrder(t *testing.T) {
	inTime(t, line.Options{}, func(w *world) {
		c := w.connect()
		c.send(initLine("slow", 1, 60_000), initLine("fast", 1, 1000), "CHECK 1 slow", "CHECK 2 fast", "CHECK 3 slow", "CHECK 4 fast", "CHECK 5 none", "nonsense")
		c.expect("i: DONE", "i: DONE", "bucket none not found", "please provide valid options")
		c.expect("2: AVAILABLE", "4: AVAILABLE", "1: AVAILABLE", "3: AVAILABLE")
		c.stop()
	})
}

// An empty bucket is waited for, at least its period; a token that is there comes
// at once.
func TestW12_NotBeforeThePeriodAndAtOnceWithAToken(t *testing.T) {
	onTCP(t, func(w *world) {
		const period = 300 * time.Millisecond
		c := w.connect()
		c.send(initLine("api", 2, int(period.Milliseconds())))
		c.expect("i: DONE")
		ask := func() time.Duration {
			begin := time.Now()
			c.send("CHECK r api")
			c.expect("r: AVAILABLE")
			return time.Since(begin)
		}
		if took := ask(); took < period {
			t.Errorf("a new bucket answered after %v", took)
		}
		// The machine may be busy at any moment, but not at all of ten.
		c.send("INIT i many 1000 1")
		c.expect("i: DONE")
		c.send("CHECK r many")
		c.expect("r: AVAILABLE")
		best := time.Hour
		for range 10 {
			timer := time.NewTimer(20 * time.Millisecond) // some twenty tokens
			<-timer.C
			begin := time.Now()
			c.send("CHECK r many")
			c.expect("r: AVAILABLE")
			best = min(best, time.Since(begin))
		}
		if best > 10*time.Millisecond {
			t.Errorf("with tokens there it took %v at best, want less than 10 ms", best)
		}
		c.stop()
	})
}

// INIT of a bucket that is there leaves it as it is.
func TestW06_InitOfAKnownBucketChangesNothing(t *testing.T) {
	inTime(t, line.Options{}, func(w *world) {
		c := w.connect()
		c.send(initLine("b", 1, 1000), initLine("b", 1000, 1), "CHECK 1 b", "CHECK 2 b")
		c.expect("i: DONE", "i: DONE")
		start := time.Now()
		c.expect("1: AVAILABLE", "2: AVAILABLE")
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("two tokens took %v, want the 2 s of the first INIT", took)
		}
		c.stop()
	})
}

// A client who is gone leaves the queue: who comes behind has his token.
func TestW13_L05_ADeadClientBurnsNoToken(t *testing.T) {
	for name, end := range map[string]func(*client){
		"closes": func(c *client) { _ = c.conn.Close() },
		"stops":  func(c *client) { c.send("STOP") },
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, line.Options{}, func(w *world) {
				dead, lives := w.connect(), w.connect()
				dead.send(initLine("b", 1, 1000), "CHECK 1 b", "CHECK 2 b", "CHECK 3 b")
				dead.expect("i: DONE")
				synctest.Wait()
				start := time.Now()
				lives.send("CHECK 4 b", "CHECK 5 b")
				synctest.Wait()
				if n := w.room.Waiting(); n != 5 {
					t.Errorf("%d wait, want 5", n)
				}
				end(dead)
				dead.gone()
				synctest.Wait()
				if n := w.room.Waiting(); n != 2 {
					t.Errorf("%d wait when one client is gone, want the 2 of the other", n)
				}
				lives.expect("4: AVAILABLE", "5: AVAILABLE")
				if took := time.Since(start); took != 2*time.Second {
					t.Errorf("the second was served after %v, want 2 s", took)
				}
				lives.send("CHECK 6 b")
				lives.expect("6: AVAILABLE")
				if took := time.Since(start); took != 3*time.Second {
					t.Errorf("the third was served after %v, want 3 s: the places of the dead client were not given back", took)
				}
				lives.stop()
			})
		})
	}
	t.Run("over TCP", func(t *testing.T) {
		onTCP(t, func(w *world) {
			dead := w.connect()
			dead.send(initLine("b", 1, 60_000), "CHECK 1 b", "CHECK 2 b")
			dead.expect("i: DONE")
			eventually(t, "both wait", func() bool { return w.room.Waiting() == 2 })
			_ = dead.conn.Close()
			eventually(t, "both have left", func() bool { return w.room.Waiting() == 0 && w.Connections() == 0 })
		})
	})
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}
