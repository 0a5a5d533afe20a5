package storetest

import (
	"flag"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// comparisons are how many operations of each kind are compared with the model,
// at least. An operation is one charge judged on one bucket.
var comparisons = map[kind]int{
	tokenBuckets: 100_000, fixedWindows: 100_000, slidingWindows: 100_000, slots: 100_000,
	breakers: 100_000, tokenPools: 50_000, slotPools: 50_000, mixed: 100_000,
}

// workers run histories beside each other: a store in another process is mostly
// waited for. Only the last looks at what is stored, which costs more than the
// operations do.
const workers = 4

var onlyHistory = flag.Int("history", -1, "compare only the random histories of this number with the model")

// comparison is one random history run on a store and on the model.
type comparison struct {
	*history
	tb    testing.TB
	held  func(testing.TB, string) (Record, bool) // nil: nobody looks
	blind bool                                    // buckets beside one that refuses need not be asked
	brief bool
	store buckets.Store
	clock *Clock
	model *model
	tally
	failed bool
	began  time.Time // the history, on the machine's clock, by which stores forget
	last   []exchange
}

// exchange is a call and its answer.
type exchange struct {
	now     int64
	request []charge
	got     []buckets.Outcome
}

// tally is what was compared.
type tally struct{ histories, calls, charges, refused, borrowed, written, unasked int }

func (t *tally) add(o tally) {
	t.histories, t.calls, t.charges = t.histories+o.histories, t.calls+o.calls, t.charges+o.charges
	t.refused, t.borrowed, t.written = t.refused+o.refused, t.borrowed+o.borrowed, t.written+o.written
	t.unasked += o.unasked
}

// runDifferential compares a store with the model, operation by operation, for
// each kind of bucket. A failure names the history; -history runs that one alone.
func runDifferential(t *testing.T, s Subject) {
	stores, clocks := make([]buckets.Store, workers), make([]*Clock, workers)
	for i := range stores {
		clocks[i] = NewClock()
		stores[i] = s.Open(t, 1, clocks[i])[0]
	}
	for _, k := range append(singles, mixed) {
		t.Run(string(k), func(t *testing.T) {
			var mu sync.Mutex
			var all tally
			var group sync.WaitGroup
			for i := range workers {
				group.Go(func() {
					c := comparison{tb: t, store: stores[i], clock: clocks[i], blind: s.MayNotAsk, brief: s.Brief}
					if i == workers-1 {
						c.held = s.Held
					}
					c.runSome(k, i)
					mu.Lock()
					defer mu.Unlock()
					all.add(c.tally)
				})
			}
			group.Wait()
			t.Logf("%d histories, %d calls, %d operations, %d of them refused, %d borrowed and %d not asked, %d buckets written",
				all.histories, all.calls, all.charges, all.refused, all.borrowed, all.unasked, all.written)
		})
	}
}

// runSome runs one worker's share of the histories.
func (c *comparison) runSome(k kind, worker int) {
	if *onlyHistory >= 0 {
		if worker == workers-1 {
			c.run(newHistory(k, *onlyHistory))
		}
		return
	}
	all := Share(comparisons[k], 16)
	if c.brief {
		all /= 10
	}
	share := all * 3 / (3*workers - 2) // looking takes three times as long
	if worker == workers-1 {
		share = all - (workers-1)*share
	}
	for number := worker; c.charges < share && !c.tb.Failed(); number += workers {
		c.run(newHistory(k, number))
	}
}

func (c *comparison) run(h *history) {
	c.history, c.model, c.last = h, newModel(), nil
	c.histories++
	c.began = time.Now()
	c.clock.Set(1_767_225_600_000_000 + c.Int64N(365*24*3_600_000_000))
	for range callsPerHistory {
		c.clock.Set(c.nextInstant(c.model, c.clock.Micros()))
		now := c.clock.Micros()
		c.forget(c.model, now)
		request := c.nextCharges(c.model, now)
		before := c.records()
		wrote := c.call(request)
		c.checkRecords(before, wrote)
		if c.failed {
			c.tb.Errorf("run it alone with -history %d; its last calls:\n%s", c.number, c.trace(8))
			return
		}
	}
}

func (c *comparison) errorf(format string, args ...any) {
	c.failed = true
	c.tb.Errorf("%s history %d: %s", c.kind, c.number, fmt.Sprintf(format, args...))
}

// call runs one request on both, compares all that they say, and tells which
// buckets the model wrote.
func (c *comparison) call(request []charge) (wrote map[string]bool) {
	now := c.clock.Micros()
	sent := make([]buckets.Charge, len(request))
	for i := range request {
		sent[i] = request[i].Charge
	}
	got, err := c.store.Take(c.tb.Context(), sent)
	want, wrote := c.model.take(request, now)
	c.calls, c.written = c.calls+1, c.written+len(wrote)
	c.last = append(c.last, exchange{now, request, got})
	if err != nil || len(got) != len(want) {
		c.errorf("%d outcomes and error %v for %d charges", len(got), err, len(want))
		return wrote
	}
	c.told = c.told[:0]
	refused := c.blind && refusedByOneAsked(request, got, want)
	for i := range request {
		ch := &request[i]
		c.charges++
		if refused && got[i].Blind && got[i].Admitted && ch.Mode == buckets.Take {
			c.unasked++
			continue
		}
		if !got[i].Admitted {
			c.refused++
		}
		if got[i].Borrowed {
			c.borrowed++
		}
		if fault := differs(ch, &got[i], &want[i], now); fault != "" {
			c.errorf("charge %d at %d: %s", i, now, fault)
		}
		c.told = append(c.told, got[i].Delay.Microseconds(), got[i].Reset.Microseconds())
		c.note(ch, &got[i])
	}
	return wrote
}

// refusedByOneAsked tells that a charge refuses the request whose bucket was asked.
func refusedByOneAsked(request []charge, got []buckets.Outcome, want []verdict) bool {
	for i := range request {
		if request[i].Asks() && request[i].Role == buckets.Enforce && !want[i].admitted && !got[i].Blind {
			return true
		}
	}
	return false
}

var (
	modes = [...]string{"take", "look", "refund", "settle", "cancel"}
	roles = [...]string{"", " shadow", " quota", " gate"}
)

// trace is the last few calls for who reads a failure.
func (c *comparison) trace(calls int) string {
	var text strings.Builder
	for _, e := range c.last[max(0, len(c.last)-calls):] {
		fmt.Fprintf(&text, "at %d\n", e.now)
		for i := range e.got {
			text.WriteString(describe(&e.request[i], &e.got[i]))
		}
	}
	return text.String()
}

// describe is a charge and its outcome.
func describe(c *charge, o *buckets.Outcome) string {
	text := fmt.Sprintf("  %s%s %d of %s, %v", modes[c.Mode], roles[c.Role], c.Cost, c.Key, c.rule)
	if c.class != nil {
		text += fmt.Sprintf(", as %s: %v", c.ClassKey, c.class)
	}
	if c.Lease != "" || c.At != 0 || c.MayOwe != 0 || c.Mode == buckets.Cancel {
		text += fmt.Sprintf(", lease %.8s, at %d, may owe %d, place %v", c.Lease, c.At, c.MayOwe, c.Place)
	}
	return fmt.Sprintf("%s\n    %+v\n", text, *o)
}

// note remembers what later charges may refer to.
func (c *comparison) note(ch *charge, o *buckets.Outcome) {
	if ch.Mode != buckets.Take || !o.Admitted {
		return
	}
	for _, s := range c.subjects {
		if s.key != ch.Key {
			continue
		}
		s.taken = append(s.taken, o.Now)
		if b, ok := ch.Bucket.(buckets.TokenBucket); ok && o.Used > 0 && b.Capacity > 0 {
			s.place, s.cost = b.State(o.Used, o.Now).Place, ch.Cost
		}
	}
}

// differs says in words how an outcome differs from the model's, or nothing.
func differs(c *charge, got *buckets.Outcome, want *verdict, now int64) string {
	for _, amount := range []struct {
		name string
		got  int64
		want *big.Rat
	}{
		{"ticks used", got.Used, want.used},
		{"ticks used of the class", got.ClassUsed, want.classUsed},
		{"ticks lost", got.Lost, want.lost},
	} {
		ticks, exact := inTicks(amount.want, c.rule.ticks())
		switch {
		case !exact:
			return fmt.Sprintf("the model's %v are no whole number of %s", amount.want, amount.name)
		case ticks.Cmp(big.NewInt(amount.got)) != 0:
			return fmt.Sprintf("%d %s, want %v", amount.got, amount.name, ticks)
		}
	}
	remaining := floor(atLeast0(sub(c.rule.capacity(), want.used)))
	switch {
	case got.Admitted != want.admitted:
		return fmt.Sprintf("admitted %v, want %v", got.Admitted, want.admitted)
	case got.Borrowed != want.borrowed:
		return fmt.Sprintf("borrowed %v, want %v", got.Borrowed, want.borrowed)
	case otherTime(got.Delay, want.delay):
		return fmt.Sprintf("a delay of %v, want %v us", got.Delay, want.delay)
	case otherTime(got.Reset, want.reset):
		return fmt.Sprintf("a reset after %v, want %v us", got.Reset, want.reset)
	case remaining.Cmp(big.NewInt(c.Bucket.Remaining(got.Used))) != 0:
		return fmt.Sprintf("%d tokens remain, want %v", c.Bucket.Remaining(got.Used), remaining)
	case got.Now != now:
		return fmt.Sprintf("judged at %d, want %d", got.Now, now)
	}
	return ""
}

// otherTime tells that a time is not the wanted one, nor the longest there is
// where that is too long to tell.
func otherTime(got time.Duration, want *big.Int) bool {
	micros, most := big.NewInt(got.Microseconds()), big.NewInt((1<<63-1)/1000)
	return micros.Cmp(want) != 0 && (micros.Cmp(most) != 0 || want.Cmp(most) < 0)
}

func leases(r rule) bool {
	switch r.(type) {
	case slotRule, breakerRule:
		return true
	}
	return false
}

// records are what is stored of the history's keys, if anybody looks.
func (c *comparison) records() map[string]Record {
	if c.held == nil {
		return nil
	}
	all := map[string]Record{}
	for _, s := range c.subjects {
		for key := range s.rules() {
			if r, ok := c.held(c.tb, key); ok {
				all[key] = r
			}
		}
	}
	return all
}

// checkRecords holds what is stored against what the model wrote: nothing else
// was touched, a full bucket is absent, and none is forgotten before it is full.
func (c *comparison) checkRecords(before map[string]Record, wrote map[string]bool) {
	if c.held == nil {
		return
	}
	after := c.records()
	for _, s := range c.subjects {
		for key, r := range s.rules() {
			was, is := before[key], after[key]
			a := c.model.accounts[key]
			switch {
			case !wrote[key]:
				// Who renews a lease in the instant in which it was taken writes the same.
				if was.Value != is.Value || was.Expires != is.Expires && (is.Expires < was.Expires || !leases(r)) {
					c.errorf("%s was written although nothing of it changed: %+v, then %+v", key, was, is)
				}
			case a == nil:
				if is != (Record{}) {
					c.errorf("%s is full and still stored: %+v", key, is)
				}
			default:
				needed := min(r.kept(a, c.clock.Micros()), 1<<52) - time.Since(c.began).Microseconds()
				if is.TTL.Microseconds() < needed {
					c.errorf("%s is forgotten after %v, but matters for %d us", key, is.TTL, needed)
				}
			}
		}
	}
}
