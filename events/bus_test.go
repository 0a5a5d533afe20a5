package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/internal/parts/partstest"
)

var errAway = errors.New("away")

// told is an event that can be told from others.
func told(n int) Event { return Event{Kind: LimitHit, Text: fmt.Sprint(n)} }

// A sink that never answers delays nobody: who tells goes on, the queue stays as
// long as it is, and what does not fit is counted and told with the next event.
func TestG23_ASinkThatHangsDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counts
		var got, other []Event
		hangs := make(chan struct{})
		o := Options{Queue: 10, Timeout: time.Hour, Sinks: []Sink{
			{Name: "hangs", Send: func(ctx context.Context, events []Event) (int, error) {
				select {
				case <-hangs:
				case <-ctx.Done():
					return 0, ctx.Err()
				}
				got = append(got, events...)
				return len(events), nil
			}},
			{Name: "works", Send: func(_ context.Context, events []Event) (int, error) {
				other = append(other, events...)
				return len(events), nil
			}},
		}}
		c.into(&o)
		b, _ := start(t, o)
		b.Tell(told(0))
		synctest.Wait() // it is being sent, and hangs
		before := time.Now()
		for i := range 1000 {
			b.Tell(told(i + 1))
			if i%5 == 0 {
				synctest.Wait()
			}
		}
		if took := time.Since(before); took != 0 {
			t.Errorf("who told waited for %v", took)
		}
		if sent, dropped := c.of("hangs"); sent != 0 || dropped != 990 {
			t.Errorf("%d sent, %d dropped by the sink that hangs", sent, dropped)
		}
		synctest.Wait()
		if sent, dropped := c.of("works"); sent != 1001 || dropped != 0 || len(other) != 1001 {
			t.Errorf("%d sent, %d dropped by the other", sent, dropped)
		}
		close(hangs)
		synctest.Wait()
		b.Tell(told(1001))
		synctest.Wait()
		if len(got) != 12 || got[10].Text != "10" || got[11].Text != "1001" || got[11].Dropped != 990 || got[10].Dropped != 0 {
			t.Errorf("%d arrived, at last %+v", len(got), got[max(0, len(got)-2):])
		}
	})
}

// A sink that fails is tried again, a little later each time, and not for ever; it
// is logged when it begins to fail and when it works again, and no more.
func TestG23_ASinkThatFailsIsTriedAgainAndGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counts
		var log partstest.Log
		var at []time.Duration
		began, away := time.Now(), true
		o := Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Sinks: []Sink{{Name: "s", Send: func(_ context.Context, events []Event) (int, error) {
			at = append(at, time.Since(began))
			if away {
				return 0, errAway
			}
			return len(events), nil
		}}}}
		c.into(&o)
		b, _ := start(t, o)
		b.Tell(told(0))
		b.Tell(told(1))
		<-time.After(time.Minute)
		synctest.Wait()
		ms := time.Millisecond
		if want := []time.Duration{0, 250 * ms, 750 * ms, 1750 * ms, 3750 * ms, 7750 * ms}; !slices.Equal(at[:6], want) {
			t.Errorf("tried at %v, want %v", at, want)
		}
		if sent, dropped := c.of("s"); sent != 0 || dropped != 2 {
			t.Errorf("%d sent, %d dropped", sent, dropped)
		}
		away = false
		b.Tell(told(2))
		synctest.Wait()
		if sent, _ := c.of("s"); sent != 1 || strings.Count(log.String(), "\n") != 2 || !strings.Contains(log.String(), "away") {
			t.Errorf("%d sent, log:\n%s", sent, log.String())
		}
	})
}

// Nothing is tried again that is refused.
func TestG23_WhatIsRefusedIsNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counts
		calls := 0
		o := Options{Sinks: []Sink{{Name: "s", Send: func(context.Context, []Event) (int, error) {
			calls++
			return 0, fmt.Errorf("%w: whatever", ErrRefused)
		}}}}
		c.into(&o)
		b, _ := start(t, o)
		b.Tell(told(0))
		<-time.After(time.Minute)
		synctest.Wait()
		if _, dropped := c.of("s"); calls != 1 || dropped != 1 {
			t.Errorf("%d calls, %d dropped", calls, dropped)
		}
	})
}

// What is queued when the process ends is sent; a sink that hangs or fails holds
// that up for two seconds, and what it did not take is counted.
func TestG23_TheEndWaitsTwoSecondsForSinks(t *testing.T) {
	for name, c := range map[string]struct {
		send    func(context.Context) error
		took    time.Duration
		arrives bool
	}{
		"works": {func(context.Context) error { return nil }, 0, true},
		"slow":  {func(context.Context) error { <-time.After(500 * time.Millisecond); return nil }, 1500 * time.Millisecond, true},
		"hangs": {func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, farewell, false},
		"fails": {func(context.Context) error { return errAway }, farewell, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			var n counts
			o := Options{Sinks: []Sink{{Name: "s", Send: func(ctx context.Context, events []Event) (int, error) {
				if err := c.send(ctx); err != nil {
					return 0, err
				}
				return len(events), nil
			}}}}
			n.into(&o)
			b, stop := start(t, o)
			b.Tell(told(0))
			synctest.Wait()      // it is being sent
			for i := range 149 { // two more batches
				b.Tell(told(i))
			}
			before := time.Now()
			stop()
			took := time.Since(before)
			sent, dropped := n.of("s")
			if took != c.took || sent+dropped != 150 || (sent == 150) != c.arrives {
				t.Errorf("%s: %d sent, %d dropped, and it took %v", name, sent, dropped, took)
			}
		})
	}
}

// Whatever a sink does, each event arrives, in order, or is counted as dropped; and
// what arrives tells of all that was dropped before it.
func TestG23_EveryEventArrivesOrIsCounted(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			random, sinks := rand.New(rand.NewPCG(seed, 8)), rand.New(rand.NewPCG(seed, 9))
			var c counts
			var got []Event
			o := Options{Queue: 1 + random.IntN(20), Sinks: []Sink{{Name: "s", Send: func(_ context.Context, events []Event) (int, error) {
				<-time.After(time.Duration(sinks.IntN(1000)) * time.Millisecond)
				n := sinks.IntN(len(events) + 1)
				switch sinks.IntN(4) {
				case 0:
					got = append(got, events[:n]...)
					return n, errAway
				case 1:
					return 0, errAway
				case 2:
					return 0, ErrRefused
				}
				got = append(got, events...)
				return len(events), nil
			}}}}
			c.into(&o)
			b, stop := start(t, o)
			all := 1 + random.IntN(300)
			for i := range all {
				b.Tell(told(i))
				if random.IntN(5) == 0 {
					<-time.After(time.Duration(random.IntN(3000)) * time.Millisecond)
				}
			}
			stop()
			sent, dropped := c.of("s")
			if sent != len(got) || sent+dropped != all {
				t.Fatalf("seed %d: of %d events %d arrived, %d are counted as sent and %d as dropped", seed, all, len(got), sent, dropped)
			}
			next := 0 // the first that may arrive
			for _, e := range got {
				var n int
				if _, err := fmt.Sscan(e.Text, &n); err != nil || n < next {
					t.Fatalf("seed %d: %q after %d", seed, e.Text, next-1)
				}
				next = n + 1
			}
			accounted := b.queues[0].dropped.Load()
			for _, e := range got {
				accounted += 1 + e.Dropped
			}
			if accounted != int64(all) {
				t.Fatalf("seed %d: %d are told of, of %d", seed, accounted, all)
			}
		})
	}
}

// The clock is read when nobody says when it was, all times are of one zone, and
// what waits in queues is bounded.
func TestAnEventIsQueuedWithItsTimeAndBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []Event
		b, _ := start(t, Options{Sinks: []Sink{{Send: func(_ context.Context, events []Event) (int, error) {
			got = append(got, events...)
			return len(events), nil
		}}}})
		then := time.Date(2030, 1, 1, 1, 0, 0, 0, time.FixedZone("", 3600))
		b.Tell(Event{})
		b.Tell(Event{Time: then, Text: strings.Repeat("x", 2*maxText)})
		synctest.Wait()
		if len(got[1].Text) != maxText {
			t.Errorf("%d bytes of text", len(got[1].Text))
		}
		if !got[0].Time.Equal(time.Now()) || !got[1].Time.Equal(then) || got[1].Time.Location() != time.UTC {
			t.Errorf("%v %v", got[0].Time, got[1].Time)
		}
	})
}
