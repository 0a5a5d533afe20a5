package redis_test

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/redis"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

const (
	histories     = 600
	opsPerHistory = 50
)

var (
	onlyHistory   = flag.Int("redis.history", -1, "compare only the random history of this number with Judge")
	manyHistories = flag.Int("redis.histories", histories, "how many random histories are compared with Judge")
)

// TestScriptsSayWhatJudgeSays: the same verdicts, levels, delays, resets and
// losses, to the last number, in random histories of all kinds of buckets, pools,
// modes and roles. A failure names its history, which -redis.history runs alone.
func TestScriptsSayWhatJudgeSays(t *testing.T) {
	for _, part := range servers {
		t.Run(part.String(), func(t *testing.T) {
			server := partstest.Redis(t, part)
			admin := adminOf(t, server)
			store := open(t, server.URL)
			first, count := 0, *manyHistories
			if *onlyHistory >= 0 {
				first, count = *onlyHistory, 1
			}
			tally := map[string]int{}
			for number := first; number < first+count && !t.Failed(); number++ {
				if number%50 == 0 {
					admin.FlushAll(t.Context())
				}
				run := comparison{T: t, history: newHistory(number), store: store, tally: tally, states: map[string]*buckets.State{}}
				store.SetNow(func() int64 { return run.now })
				run.run()
			}
			t.Logf("%d histories: %v", count, tally)
		})
	}
}

// comparison is one random history run on the store and on Judge.
type comparison struct {
	*testing.T
	*history
	store  *redis.Store
	tally  map[string]int
	states map[string]*buckets.State
	trace  []string
}

func (c *comparison) run() {
	for range opsPerHistory {
		c.advance()
		charges := c.request()
		c.trace = append(c.trace, fmt.Sprintf("at %d", c.now))
		got, err := c.store.Take(c.Context(), charges)
		want := c.judge(charges)
		if err != nil || len(got) != len(want) {
			c.Fatalf("history %d: %d outcomes for %d charges, %v", c.number, len(got), len(want), err)
		}
		for i := range charges {
			c.note(&charges[i], want[i])
			c.trace = append(c.trace, fmt.Sprintf("  %+v\n    %+v", charges[i], got[i]))
			if got[i] != want[i] {
				c.Errorf("charge %d: got %+v\nwant %+v", i, got[i], want[i])
			}
		}
		if c.Failed() {
			for _, line := range c.trace[max(0, len(c.trace)-40):] {
				c.Log(line)
			}
			c.Fatalf("run it alone with -redis.history %d", c.number)
		}
	}
}

func (c *comparison) judge(charges []buckets.Charge) []buckets.Outcome {
	states, classes := make([]*buckets.State, len(charges)), make([]*buckets.State, len(charges))
	for i := range charges {
		states[i] = c.state(charges[i].Key)
		if charges[i].Class != nil {
			classes[i] = c.state(charges[i].ClassKey)
		}
	}
	return buckets.Judge(charges, states, classes, c.now)
}

func (c *comparison) state(key string) *buckets.State {
	if c.states[key] == nil {
		c.states[key] = &buckets.State{}
	}
	return c.states[key]
}

// note remembers what later operations may refer to, and when what was taken is
// forgotten.
func (c *comparison) note(charge *buckets.Charge, o buckets.Outcome) {
	c.tally[fmt.Sprintf("%T mode %d", charge.Bucket, charge.Mode)]++
	if o.Borrowed {
		c.tally["borrowed"]++
	}
	if !o.Admitted {
		c.tally["refused"]++
		c.told = o.Delay
	} else if o.Delay > 0 {
		c.tally["reserved"]++
	}
	if charge.Mode == buckets.Cancel && o.Admitted {
		c.tally["cancelled"]++
	}
	if o.Lost > 0 {
		c.tally["written off"]++
	}
	c.taken = append(c.taken, c.now)
	if b, ok := charge.Bucket.(buckets.TokenBucket); ok && b.Capacity > 0 {
		c.places[charge.Key] = b.State(o.Used, o.Now).Place
	}
	c.expiries = append(c.expiries, c.now+int64(o.Reset/time.Microsecond))
	if charge.Class != nil {
		if g, ok := charge.Class.Guarantee.(buckets.TokenBucket); ok {
			c.expiries = append(c.expiries, c.now+int64(g.Refill(o.ClassUsed)/time.Microsecond))
		}
	}
	if b, ok := charge.Bucket.(buckets.Slots); ok {
		c.expiries = append(c.expiries, c.now+b.TTL)
	}
	if b, ok := charge.Bucket.(buckets.Breaker); ok {
		c.expiries = append(c.expiries, c.now+b.ProbeTTL)
	}
}
