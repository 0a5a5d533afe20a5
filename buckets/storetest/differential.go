package storetest

import (
	"flag"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// histories x opsPerHistory operations are compared with the model.
const histories = 2_100

var onlyHistory = flag.Int("history", -1, "compare only the random history of this number with the model")

// comparison is one random history run on a store and on the model.
type comparison struct {
	Subject
	*history
	tb    testing.TB
	store buckets.Store
	clock *Clock
	model model

	charges, refused, written int
	trace                     []string
}

// runDifferential compares a store with the model, operation by operation. A
// failure names the history; -history runs that one alone.
func runDifferential(t *testing.T, s Subject) {
	clock := NewClock()
	store := s.Open(t, 1, clock)[0]
	first, count := 0, histories
	if *onlyHistory >= 0 {
		first, count = *onlyHistory, 1
	}
	var charges, refused, written int
	for number := first; number < first+count && !t.Failed(); number++ {
		c := comparison{Subject: s, history: newHistory(number), tb: t, store: store, clock: clock, model: model{}}
		c.run()
		charges, refused, written = charges+c.charges, refused+c.refused, written+c.written
	}
	t.Logf("%d histories, %d operations, %d charges, %d of them refused, %d buckets written",
		count, count*opsPerHistory, charges, refused, written)
}

func (c *comparison) run() {
	c.tb.Helper()
	c.clock.Set(1_767_225_600_000_000 + c.Int64N(365*24*3_600_000_000))
	// Looking at what is stored costs more than the operations do.
	look := c.Held != nil && c.number%8 == 0
	var told time.Duration
	for range opsPerHistory {
		c.clock.Set(c.nextInstant(c.model, c.clock.Micros(), told))
		c.forgetFull(c.model, c.clock.Micros())
		var before map[string]Record
		request := c.nextCharges(c.model, c.clock.Micros())
		if look {
			before = c.records()
		}
		var wrote map[string]bool
		told, wrote = c.step(request)
		if look {
			c.checkRecords(before, wrote)
		}
		if c.tb.Failed() {
			c.tb.Fatalf("run it alone with -history %d; its last operations:\n%s", c.number,
				strings.Join(c.trace[max(0, len(c.trace)-6):], "\n"))
		}
	}
}

// step runs one request on both, compares all that they say, and returns the
// longest delay told.
func (c *comparison) step(request []charge) (told time.Duration, wrote map[string]bool) {
	c.tb.Helper()
	now := c.clock.Micros()
	sent := make([]buckets.Charge, len(request))
	for i := range request {
		sent[i] = request[i].Charge
	}
	got, err := c.store.Take(c.tb.Context(), sent)
	want, wrote := c.model.take(request, now)
	c.written += len(wrote)
	c.trace = append(c.trace, fmt.Sprintf("at %d", now))
	if err != nil || len(got) != len(want) {
		c.tb.Errorf("%d outcomes and error %v for %d charges", len(got), err, len(want))
		return 0, wrote
	}
	for i, ch := range request {
		c.charges++
		if !got[i].Admitted {
			c.refused++
			told = max(told, ch.Bucket.Refill(got[i].Short))
		}
		c.trace = append(c.trace, fmt.Sprintf("  %s mode %d role %d cost %d of %v: %+v",
			ch.Key, ch.Mode, ch.Role, ch.Cost, ch.limit, got[i]))
		if fault := differs(ch, got[i], want[i], now); fault != "" {
			c.tb.Errorf("charge %d at %d: %s", i, now, fault)
		}
	}
	return told, wrote
}

// differs says in words how an outcome differs from the model's, or nothing.
func differs(c charge, got buckets.Outcome, want verdict, now int64) string {
	used, exact := c.limit.ticks(want.used)
	short, _ := c.limit.ticks(want.short)
	delay, most := big.NewInt(c.Bucket.Refill(got.Short).Microseconds()), big.NewInt((1<<63-1)/1000)
	switch {
	case !exact:
		return fmt.Sprintf("the model's level %v is no whole number of ticks", want.used)
	case got.Admitted != want.admitted:
		return fmt.Sprintf("admitted %v, want %v", got.Admitted, want.admitted)
	case used.Cmp(big.NewInt(got.Used)) != 0:
		return fmt.Sprintf("%d ticks used, want %v", got.Used, used)
	case short.Cmp(big.NewInt(got.Short)) != 0:
		return fmt.Sprintf("%d ticks short, want %v", got.Short, short)
	case delay.Cmp(want.delay) != 0 && (delay.Cmp(most) != 0 || want.delay.Cmp(most) < 0):
		return fmt.Sprintf("a delay of %v us, want %v", delay, want.delay)
	case want.remaining.Cmp(big.NewInt(c.Bucket.Remaining(got.Used))) != 0:
		return fmt.Sprintf("%d tokens remain, want %v", c.Bucket.Remaining(got.Used), want.remaining)
	case got.Now != now:
		return fmt.Sprintf("judged at %d, want %d", got.Now, now)
	}
	return ""
}

func (c *comparison) records() map[string]Record {
	held := map[string]Record{}
	for _, key := range c.keys {
		if r, ok := c.Held(c.tb, key); ok {
			held[key] = r
		}
	}
	return held
}

// checkRecords holds what is stored against what the model wrote: nothing else
// was touched, a full bucket is absent, and none is forgotten before it is full.
func (c *comparison) checkRecords(before map[string]Record, wrote map[string]bool) {
	c.tb.Helper()
	after := c.records()
	for _, key := range c.keys {
		was, is := before[key], after[key]
		a, held := c.model[key]
		switch {
		case !wrote[key]:
			if was.Value != is.Value || was.Expires != is.Expires {
				c.tb.Errorf("%s was written although nothing of it changed: %+v, then %+v", key, was, is)
			}
		case !held:
			if is != (Record{}) {
				c.tb.Errorf("%s is full and still stored: %+v", key, is)
			}
		default:
			full := min(a.fullAt()-c.clock.Micros(), (1 << 52))
			if is.TTL.Microseconds() < full {
				c.tb.Errorf("%s is forgotten after %v, but is full only after %d us", key, is.TTL, full)
			}
		}
	}
}
