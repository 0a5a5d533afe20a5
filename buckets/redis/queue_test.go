package redis

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// told is an asker who keeps what he is told.
type told struct {
	times int
	err   error
}

func (a *told) Answer(_ []buckets.Outcome, err error) { a.times, a.err = a.times+1, err }

// airport is a queue whose flights take as long as a test says.
type airport struct {
	*queue
	sizes []int // of the batches, in order of departure
	land  chan struct{}
}

func newAirport() *airport {
	a := &airport{land: make(chan struct{})}
	a.queue = newQueue(func(_ context.Context, batch []request, _ *flight) {
		a.mu.Lock()
		a.sizes = append(a.sizes, len(batch))
		a.mu.Unlock()
		<-a.land
		for i := range batch {
			answer(&batch[i], nil, nil)
		}
	})
	return a
}

func (a *airport) ask(t *testing.T, charges int) *told {
	t.Helper()
	asker := &told{}
	if err := a.add(request{charges: make([]buckets.Charge, charges), asker: asker}); err != nil {
		t.Fatal(err)
	}
	return asker
}

// held is how many requests wait for a flight, once every worker has done what it can.
func (a *airport) held() int {
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.waiting)
}

func (a *airport) departed(t *testing.T, want ...int) {
	t.Helper()
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.sizes) != len(want) {
		t.Fatalf("batches of %v departed, want %v", a.sizes, want)
	}
	for i := range want {
		if a.sizes[i] != want[i] {
			t.Fatalf("batches of %v departed, want %v", a.sizes, want)
		}
	}
}

// Who may wait for longer than a second for an answer is not cut off before.
func TestPatience_IsASecondOrMore(t *testing.T) {
	for given, want := range map[time.Duration]time.Duration{0: time.Second, time.Millisecond: time.Second, 3 * time.Second: 3 * time.Second} {
		s, err := OpenWith("redis://127.0.0.1:1", Options{Patience: given})
		if err != nil {
			t.Fatal(err)
		}
		had := make(chan time.Duration, 1)
		s.queue.send = func(ctx context.Context, batch []request, _ *flight) {
			end, _ := ctx.Deadline()
			had <- time.Until(end)
			answer(&batch[0], nil, nil)
		}
		_, _ = s.Take(t.Context(), []buckets.Charge{{Key: "k", Bucket: buckets.FixedWindow{Limit: 1, Calendar: buckets.Calendar{Length: time.Hour}}, Cost: 1}})
		if got := <-had; got > want || got < want-900*time.Millisecond {
			t.Errorf("with a patience of %v a call has %v, want %v", given, got, want)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestQueue_NobodyWaitsForCompanyAndWhoWaitsTravelsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAirport()
		defer a.close()
		first := a.ask(t, 1)
		a.departed(t, 1)
		for range 10 {
			a.ask(t, 1)
		}
		a.departed(t, 1) // the others wait for the first to land
		a.land <- struct{}{}
		a.departed(t, 1, 10)
		if first.times != 1 {
			t.Errorf("the first was answered %d times", first.times)
		}
		a.land <- struct{}{}
		a.departed(t, 1, 10)
	})
}

// A full call need not wait for the one that is under way, and no batch has more than
// four.
func TestQueue_AFullCallDepartsBesideTheFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAirport()
		a.ask(t, 1)
		a.departed(t, 1)
		for range mostCharges/4 - 1 {
			a.ask(t, 4)
		}
		a.departed(t, 1)
		a.ask(t, 4)
		a.departed(t, 1, mostCharges/4)
		for range mostFlights - 2 {
			for range mostCharges / 16 {
				a.ask(t, 16)
			}
			synctest.Wait()
		}
		for range 2 * mostFlown / 16 { // no further flight
			a.ask(t, 16)
		}
		a.departed(t, 1, mostCharges/4, mostCharges/16, mostCharges/16)
		a.land <- struct{}{}
		a.departed(t, 1, mostCharges/4, mostCharges/16, mostCharges/16, mostFlown/16)
		close(a.land)
		synctest.Wait()
		a.close()
	})
}

// A connection that is stalled must not hold up everybody: what waits departs after
// two milliseconds or a few.
func TestQueue_ASlowFlightIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAirport()
		a.ask(t, 1)
		a.departed(t, 1)
		a.ask(t, 1)
		a.ask(t, 1)
		time.Sleep(slowFlight - time.Microsecond)
		a.departed(t, 1)
		time.Sleep(slowFlight + time.Microsecond)
		a.departed(t, 1, 2)
		close(a.land)
		synctest.Wait()
		a.close()
	})
}

func TestQueue_IsBoundedAndAnswersEverybodyWhenItCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAirport()
		for a.held(); a.flights < mostFlights; a.held() {
			a.ask(t, 16)
			time.Sleep(2 * slowFlight)
		}
		waiting := []*told{}
		for a.held() < mostWaiting {
			waiting = append(waiting, a.ask(t, 1))
		}
		if err := a.add(request{charges: make([]buckets.Charge, 1), asker: &told{}}); !errors.Is(err, errFull) {
			t.Errorf("with %d waiting: %v, want that it is full", mostWaiting, err)
		}
		for a.held() < mostOwed { // what gives back finds room for longer
			asker := &told{}
			if err := a.add(request{charges: []buckets.Charge{{}, {Mode: buckets.Refund}}, asker: asker}); err != nil {
				t.Fatalf("a refund with %d waiting: %v", a.held(), err)
			}
			waiting = append(waiting, asker)
		}
		if err := a.add(request{charges: []buckets.Charge{{Mode: buckets.Refund}}, asker: &told{}}); !errors.Is(err, errFull) {
			t.Errorf("a refund with %d waiting: %v, want that it is full", mostOwed, err)
		}
		a.close()
		for _, asker := range waiting {
			if asker.times != 1 || !errors.Is(asker.err, errClosed) {
				t.Fatalf("who waited was answered %d times: %v", asker.times, asker.err)
			}
		}
		if err := a.add(request{asker: &told{}}); !errors.Is(err, errClosed) {
			t.Errorf("after the end: %v", err)
		}
		close(a.land)
	})
}

type panics struct{}

func (panics) Answer([]buckets.Outcome, error) { panic("a bug") }

func TestQueue_AnAskerWhoPanicsEndsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAirport()
		defer a.close()
		close(a.land)
		if err := a.add(request{charges: make([]buckets.Charge, 1), asker: panics{}}); err != nil {
			t.Fatal(err)
		}
		beside := a.ask(t, 1)
		synctest.Wait()
		if beside.times != 1 {
			t.Errorf("who asked beside him was answered %d times", beside.times)
		}
	})
}
