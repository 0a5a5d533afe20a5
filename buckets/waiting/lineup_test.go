package waiting_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/waiting"
)

func TestC11_SlotsServeInWavesInOrder(t *testing.T) {
	inTime(t, func(t *testing.T, r *waiting.Room, store buckets.Store) {
		start := time.Now()
		type served struct {
			i  int
			at time.Duration
		}
		done := make(chan served, 9)
		for i := range 9 {
			synctest.Wait()
			go func() {
				slot := slots(3, fmt.Sprint(i))
				if call(t.Context(), r, time.Minute, slot).passed() {
					done <- served{i, time.Since(start)}
				}
				elapse(time.Second)
				giveBack(t, r, store, slot)
			}()
		}
		for i := range 9 {
			if s := <-done; s.at != time.Duration(i/3)*time.Second || s.i/3 != i/3 {
				t.Errorf("number %d was served at %v as number %d", s.i, s.at, i)
			}
		}
		elapse(time.Minute)
	})
}

// Random callers hold random numbers of slots for random times: no more are ever
// held than there are, a slot that is given back is taken in the same instant if
// the first who waits fits, and nobody passes the line.
func TestW03_C11_SimulationOfSlots(t *testing.T) {
	for n := range simulations / 3 {
		if *seed < 0 || n == *seed {
			inTime(t, func(t *testing.T, r *waiting.Room, store buckets.Store) {
				newSlotWorld(t, n, r, store).run(60)
			})
		}
	}
}

// slotWorld is callers who hold slots and others who wait for them. What happens
// is told to it one by one.
type slotWorld struct {
	*testing.T
	seed   int
	random *rand.Rand
	room   *waiting.Room
	store  buckets.Store
	count  int64
	held   int64
	line   []int // who waits
	wants  map[int]int64
	events chan slotEvent
}

type slotEvent struct {
	caller int
	passed bool
	hold   time.Duration
	end    bool // of the hold
}

func newSlotWorld(t *testing.T, seed int, r *waiting.Room, store buckets.Store) *slotWorld {
	random := rand.New(rand.NewPCG(uint64(seed), 2))
	return &slotWorld{
		T: t, seed: seed, random: random, room: r, store: store, count: random.Int64N(5) + 1,
		wants: map[int]int64{}, events: make(chan slotEvent, 1000),
	}
}

func (w *slotWorld) slot(caller int) buckets.Charge {
	c := slots(w.count, fmt.Sprint(caller))
	c.Cost = w.wants[caller]
	return c
}

func (w *slotWorld) upTo(most int) time.Duration {
	return time.Duration(w.random.IntN(most)+1) * time.Microsecond
}

func (w *slotWorld) run(callers int) {
	for i := range callers {
		w.wants[i], w.line = w.random.Int64N(w.count)+1, append(w.line, i)
		hold, slot := w.upTo(5_000_000), w.slot(i)
		ctx, leave := context.WithTimeout(w.Context(), w.upTo(20_000_000))
		go func() {
			defer leave()
			w.events <- slotEvent{caller: i, passed: call(ctx, w.room, time.Hour, slot).passed(), hold: hold}
		}()
		next := time.After(w.upTo(1_000_000))
		for arrived := false; !arrived; {
			w.settle()
			select {
			case e := <-w.events:
				w.settle(e)
			case <-next:
				arrived = true
			}
		}
	}
	for w.settle(); len(w.line) > 0 || w.held > 0; {
		w.settle(<-w.events)
	}
}

// settle handles all that happens in this instant: who leaves is out of the line
// before who moved up is admitted.
func (w *slotWorld) settle(now ...slotEvent) {
	for synctest.Wait(); len(now)+len(w.events) > 0; synctest.Wait() {
		for len(w.events) > 0 {
			now = append(now, <-w.events)
		}
		slices.SortStableFunc(now, func(a, b slotEvent) int {
			order := func(e slotEvent) int {
				if e.passed {
					return e.caller
				}
				return -1
			}
			return order(a) - order(b)
		})
		for _, e := range now {
			w.handle(e)
		}
		now = nil
	}
	if len(w.line) > 0 && w.held+w.wants[w.line[0]] <= w.count {
		w.Errorf("seed %d: number %d waits for %d of %d slots, %d of which are held", w.seed, w.line[0], w.wants[w.line[0]], w.count, w.held)
	}
}

func (w *slotWorld) handle(e slotEvent) {
	if e.end {
		w.held -= w.wants[e.caller]
		giveBack(w.T, w.room, w.store, w.slot(e.caller))
		return
	}
	place := slices.Index(w.line, e.caller)
	w.line = slices.Delete(w.line, place, place+1)
	if !e.passed {
		return
	}
	if w.held += w.wants[e.caller]; w.held > w.count {
		w.Errorf("seed %d: %d slots of %d are held", w.seed, w.held, w.count)
	}
	if place > 0 {
		w.Errorf("seed %d: number %d passed %d others", w.seed, e.caller, place)
	}
	time.AfterFunc(e.hold, func() { w.events <- slotEvent{caller: e.caller, end: true} })
}

// A slot that is given back on another replica is told to nobody here.
func TestC11_SlotsOfAnotherReplicaAreFoundWithin50ms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New(memory.Options{})
		here, there := newRoom(store), newRoom(store)
		held := slots(1, "held")
		call(t.Context(), there, 0, held)
		answer := started(t.Context(), here, time.Minute, slots(1, "here"))
		elapse(1234 * time.Millisecond)
		giveBack(t, there, store, held)
		if v := <-answer; !v.passed() || v.after > 1284*time.Millisecond {
			t.Errorf("answered %+v", v)
		}
		empty(t, here, there)
	})
}

// Only the first of a line asks: 1,000 callers in it cost the store no more than
// one, but for one call each when they come and, at the end of their wait, go.
func TestALineAsksTheStoreOnceAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		store := memory.New(memory.Options{})
		r := newRoom(counted(store, &calls))
		call(t.Context(), r, 0, slots(1, "held"))
		var answers []<-chan verdict
		for i := range 1000 {
			answers = append(answers, started(t.Context(), r, 10*time.Second, slots(1, fmt.Sprint(i))))
		}
		elapse(9 * time.Second)
		if calls.Load() > 1001+9*20 {
			t.Errorf("%d calls to the store", calls.Load())
		}
		for _, answer := range answers {
			if v := <-answer; v.passed() || v.err != nil || v.after != 10*time.Second {
				t.Errorf("answered %+v", v)
			}
		}
		if calls.Load() > 2001+10*20 {
			t.Errorf("%d calls to the store", calls.Load())
		}
		empty(t, r)
	})
}

func TestC15_L9_WhoComesToAFullLinePassesNobody(t *testing.T) {
	inTime(t, func(t *testing.T, r *waiting.Room, store buckets.Store) {
		held := slots(1, "held")
		call(t.Context(), r, 0, held)
		first := started(t.Context(), r, time.Minute, slots(1, "first"))
		second := callOf(t.Context(), r, waiting.Wait{Max: time.Minute, Waiters: 1}, slots(1, "second"))
		if second.passed() || second.after > 0 {
			t.Errorf("with the line full: %+v", second)
		}
		held.Mode = buckets.Refund // unannounced, so that the first does not know yet
		if _, err := store.Take(t.Context(), []buckets.Charge{held}); err != nil {
			t.Fatal(err)
		}
		third := callOf(t.Context(), r, waiting.Wait{Max: time.Minute, Waiters: 1}, slots(1, "third"))
		if third.passed() || third.after > 0 {
			t.Errorf("with the line full and a slot free: %+v", third)
		}
		if v := <-first; !v.passed() {
			t.Errorf("the first was answered %+v", v)
		}
	})
}

// window is a limit of 10 in 10 s from the epoch, which synctest's clock is a
// multiple of.
func window(limit int64) buckets.Charge {
	return buckets.Charge{
		Key: "{k}window", Limit: "window", Cost: 1,
		Bucket: buckets.FixedWindow{Limit: limit, Calendar: buckets.Calendar{Length: 10 * time.Second}},
	}
}

// G-02 with a wait: all or nothing, and nothing is taken of the one while the
// other is waited for.
func TestC11_SeveralLimitsAreWaitedForTogether(t *testing.T) {
	inTime(t, func(t *testing.T, r *waiting.Room, store buckets.Store) {
		spike := tokens(t, 1, time.Second, 2)
		for range 2 {
			call(t.Context(), r, 0, window(2), spike)
		}
		before := look(t, store, spike)
		if v := call(t.Context(), r, 5*time.Second, window(2), spike); v.passed() || v.after > 0 || v.outcomes[0].Delay != 10*time.Second {
			t.Errorf("the window opens after the wait: %+v", v)
		}
		if after := look(t, store, spike); after != before {
			t.Errorf("a refusal moved the level from %d to %d", before, after)
		}
		answer := started(t.Context(), r, time.Minute, window(2), spike)
		elapse(5 * time.Second)
		if after := look(t, store, spike); after > 0 {
			t.Errorf("who waits holds %d ticks", after)
		}
		if v := <-answer; !v.passed() || v.after != 10*time.Second {
			t.Errorf("answered %+v, want admitted after 10 s", v)
		}
		if used := look(t, store, window(2)); used != 1 {
			t.Errorf("%d are counted in the new window, want 1", used)
		}
	})
}

// Whose own limit is used up must not keep those waiting who lack only what they
// share: else one caller could stop all.
func TestWhoLacksMoreThanOthersHoldsNobodyUp(t *testing.T) {
	inTime(t, func(t *testing.T, r *waiting.Room, store buckets.Store) {
		own := func(user string) buckets.Charge {
			c := tokens(t, 1, time.Second, 1)
			c.Key = user
			return c
		}
		held := slots(1, "held")
		call(t.Context(), r, 0, own("hog"), held)
		var hogs []<-chan verdict
		for i := range 5 {
			hogs = append(hogs, started(t.Context(), r, time.Minute, own("hog"), slots(1, fmt.Sprint("hog", i))))
		}
		other := started(t.Context(), r, time.Minute, own("other"), slots(1, "other"))
		elapse(100 * time.Millisecond)
		giveBack(t, r, store, held)
		if v := <-other; !v.passed() || v.after != 100*time.Millisecond {
			t.Errorf("the other was answered %+v", v)
		}
		giveBack(t, r, store, slots(1, "other"))
		for i, answer := range hogs {
			if v := <-answer; !v.passed() || v.after != time.Duration(i+1)*time.Second {
				t.Errorf("the hog's %d. was answered %+v", i, v)
			}
			giveBack(t, r, store, slots(1, fmt.Sprint("hog", i)))
		}
	})
}

// Who waited for a limit of his own comes behind those who wait for what he shares
// with them, although a slot is free, unannounced, when his turn comes.
func TestW03_FromAnotherLineNobodyPasses(t *testing.T) {
	inTime(t, func(t *testing.T, r *waiting.Room, store buckets.Store) {
		own, held := tokens(t, 1, time.Second, 1), slots(1, "held")
		call(t.Context(), r, 0, own, held)
		from := started(t.Context(), r, time.Minute, own, slots(1, "from"))
		elapse(980 * time.Millisecond) // 20 ms before the own limit has a token, and 50 until the first asks
		first := started(t.Context(), r, time.Minute, slots(1, "first"))
		elapse(10 * time.Millisecond)
		held.Mode = buckets.Refund
		if _, err := store.Take(t.Context(), []buckets.Charge{held}); err != nil {
			t.Fatal(err)
		}
		if v := <-first; !v.passed() || v.after != 50*time.Millisecond {
			t.Errorf("the first was answered %+v", v)
		}
		giveBack(t, r, store, slots(1, "first"))
		if v := <-from; !v.passed() || v.after != 1030*time.Millisecond {
			t.Errorf("who came from another line was answered %+v", v)
		}
	})
}

// Who walks over to another line is not called there for what was released for the
// line that he left.
func TestW03_ACallForAnotherLineIsNotHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := make(chan bool, 100)
		store := memory.New(memory.Options{})
		r := newRoom(storeFunc(func(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
			if charges[len(charges)-1].Lease == "from" {
				asked <- true
				defer elapse(10 * time.Millisecond)
			}
			return store.Take(ctx, charges)
		}))
		own, held := tokens(t, 1, time.Second, 1), slots(1, "held")
		call(t.Context(), r, 0, own, held)
		from := started(t.Context(), r, time.Minute, own, slots(1, "from")) // is answered at 10 ms, and asks again at 1.01 s
		elapse(1015 * time.Millisecond)
		first := started(t.Context(), r, 10*time.Second, slots(1, "first")) // lines up while the other is judged
		r.Released(own.Key)
		elapse(time.Second)
		if len(asked) != 2 {
			t.Errorf("who is not the first asked %d times", len(asked))
		}
		giveBack(t, r, store, held)
		<-first
		giveBack(t, r, store, slots(1, "first"))
		if v := <-from; !v.passed() {
			t.Errorf("answered %+v", v)
		}
		empty(t, r)
	})
}

// Tokens that others take before the first of a line gets them, again and again,
// are asked for once a millisecond.
func TestWhoIsBeatenDoesNotRushTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		store := memory.New(memory.Options{})
		r := newRoom(storeFunc(func(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
			thief := charges[0]
			if _, err := store.Take(ctx, []buckets.Charge{thief}); err != nil {
				return nil, err
			}
			calls.Add(1)
			return store.Take(ctx, charges)
		}))
		fast := tokens(t, 1, 10*time.Microsecond, 1)
		if v := call(t.Context(), r, 100*time.Millisecond, fast, slots(1, "a")); v.passed() {
			t.Errorf("answered %+v", v)
		}
		if calls.Load() > 103 {
			t.Errorf("the store was asked %d times in 100 ms", calls.Load())
		}
		empty(t, r)
	})
}
