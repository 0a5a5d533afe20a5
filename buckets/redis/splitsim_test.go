package redis_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/redis"
)

// crossing is requests over several slots at the same time, on a network that delays
// and, where faulty, loses calls and answers.
type crossing struct {
	*testing.T
	random *rand.Rand // of one goroutine at a time, as mu says
	faulty bool
	nodes  *nodes
	store  *redis.Store
	of     []buckets.Bucket // each in a slot of its own

	mu       sync.Mutex
	passed   [][]admission // by bucket
	lost     []int64       // by bucket, tokens of calls that something happened to
	holds    int           // slots that callers hold
	answered int
}

type admission struct{ at, cost int64 }

const (
	brisk = iota // 10/s
	fast         // a token refills while a request is under way
	still        // refills nothing
	windowed
	slid
	slotted3
)

func newCrossing(t *testing.T, seed uint64) *crossing {
	bucket := func(tokens int64, period time.Duration, capacity int64) buckets.TokenBucket {
		b, err := buckets.NewTokenBucket(tokens, period, capacity)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	c := &crossing{T: t, random: rand.New(rand.NewPCG(seed, 4)), faulty: seed%2 == 1}
	c.of = []buckets.Bucket{
		brisk: bucket(10, time.Second, 5), fast: bucket(1000, time.Second, 20), still: bucket(1, 30*24*time.Hour, 40),
		windowed: buckets.FixedWindow{Limit: 5, Calendar: buckets.Calendar{Length: 200 * time.Millisecond}},
		slid:     buckets.SlidingWindow{Limit: 6, Window: 300_000, Parts: 3},
		slotted3: buckets.Slots{Count: 3, TTL: 1 << 40},
	}
	c.passed, c.lost = make([][]admission, len(c.of)), make([]int64, len(c.of))
	c.nodes = &nodes{t: t, now: time.Now, slots: map[uint16]*memory.Store{}}
	c.store = redis.NewOnSlots(c.call)
	return c
}

func (c *crossing) key(i int) string { return fmt.Sprintf("{%d}", i) }

// call is the way to a node and back.
func (c *crossing) call(slot uint16, charges []buckets.Charge, answer func([]buckets.Outcome, error)) {
	c.mu.Lock()
	way := func() time.Duration {
		if c.random.IntN(50) == 0 {
			return time.Duration(c.random.IntN(80)) * time.Millisecond
		}
		return time.Duration(c.random.IntN(2000)) * time.Microsecond
	}
	there, back, fault := way(), way(), 9
	if c.faulty {
		fault = c.random.IntN(25)
	}
	c.mu.Unlock()
	if fault < 2 {
		c.loses(charges)
	}
	time.AfterFunc(there, func() {
		switch fault {
		case 0: // it never came
			answer(nil, errors.New("cut off"))
		case 1: // it came, and the answer did not
			_, _ = c.nodes.take(slot, charges)
			answer(nil, errors.New("cut off"))
		case 2:
			answer(nil, &net.OpError{Op: "dial", Err: errors.New("refused")})
		default:
			outcomes, err := c.nodes.take(slot, charges)
			time.AfterFunc(back, func() { answer(outcomes, err) })
		}
	})
}

func (c *crossing) loses(charges []buckets.Charge) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, charge := range charges {
		var i int
		_, _ = fmt.Sscanf(charge.Key, "{%d}", &i)
		c.lost[i] += charge.Cost
	}
}

// ask makes one request, and holds what it got of the slots for a while.
func (c *crossing) ask(number int) {
	c.mu.Lock()
	var charges []buckets.Charge
	var of []int
	for i := range c.of {
		if i == slotted3 && c.random.IntN(4) > 0 || c.random.IntN(2) == 0 {
			continue
		}
		cost := 1 + c.random.Int64N(2)
		charge := buckets.Charge{Key: c.key(i), Limit: "l", Bucket: c.of[i], Cost: cost}
		if i == slotted3 {
			charge.Cost, charge.Lease = 1, fmt.Sprint(number)
		}
		charges, of = append(charges, charge), append(of, i)
	}
	hold := time.Duration(c.random.IntN(100)) * time.Millisecond
	c.mu.Unlock()
	outcomes, err := c.store.Take(c.Context(), charges)
	c.mu.Lock()
	c.answered++
	passes := err == nil
	for i := range outcomes {
		passes = passes && outcomes[i].Admitted
	}
	for i := range outcomes {
		if passes {
			c.passed[of[i]] = append(c.passed[of[i]], admission{outcomes[i].Now, charges[i].Cost})
		}
	}
	if !passes || len(of) == 0 || of[len(of)-1] != slotted3 {
		c.mu.Unlock()
		return
	}
	if c.holds++; c.holds > 3 {
		c.Errorf("%d slots are held of 3", c.holds)
	}
	c.mu.Unlock()
	time.Sleep(hold)
	c.mu.Lock()
	c.holds--
	c.mu.Unlock()
	release := charges[len(charges)-1]
	release.Mode = buckets.Refund
	if _, err := c.store.Take(c.Context(), []buckets.Charge{release}); err != nil {
		c.loses([]buckets.Charge{release})
	}
}

// bounded checks that no bucket has admitted more than it has, in any window (G1).
func (c *crossing) bounded() {
	for i, bucket := range c.of {
		for from := range c.passed[i] {
			sum, first := int64(0), c.passed[i][from].at
			for _, a := range c.passed[i] {
				span := a.at - first
				switch b := bucket.(type) {
				case buckets.TokenBucket:
					if sum += cost(a, span >= 0); span >= 0 && c.within(i, first, a.at) > b.Full()+(span/b.Quantum+1)*b.TicksPerQuantum {
						c.Fatalf("bucket %d: %d ticks in %d us", i, c.within(i, first, a.at), span)
					}
				case buckets.FixedWindow:
					if sum += cost(a, a.at/200_000 == first/200_000); sum > b.Limit {
						c.Fatalf("%d in a window of %d", sum, b.Limit)
					}
				case buckets.SlidingWindow:
					if sum += cost(a, span >= 0 && span < b.Window); sum > b.Limit {
						c.Fatalf("%d in any window of %d", sum, b.Limit)
					}
				}
			}
		}
	}
}

func cost(a admission, counts bool) int64 {
	if counts {
		return a.cost
	}
	return 0
}

// within is the ticks that bucket i admitted from an instant to another.
func (c *crossing) within(i int, from, to int64) (ticks int64) {
	for _, a := range c.passed[i] {
		ticks += cost(a, a.at >= from && a.at <= to) * c.of[i].Unit()
	}
	return ticks
}

// look is what is used of bucket i.
func (c *crossing) look(i int) int64 {
	charge := buckets.Charge{Key: c.key(i), Limit: "l", Bucket: c.of[i], Cost: 1, Mode: buckets.Look}
	o, err := c.nodes.take(redis.SlotOf(charge.Key), []buckets.Charge{charge})
	if err != nil {
		c.Fatal(err)
	}
	return o[0].Used
}

// Many requests cross each other. No bucket ever admits more than it has (G1); once all
// is answered, which needs no more than its way (G4), each has what was admitted and at most the
// costs that were lost with an answer taken (G3), without losses exactly that (G2); and
// token buckets heal.
func TestSplit_NoBucketIsOverAdmittedWhateverIsLost(t *testing.T) {
	passed := 0
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			c := newCrossing(t, seed)
			defer c.store.CloseOnSlots()
			const requests = 120
			var callers sync.WaitGroup
			for number := range requests {
				callers.Go(func() { c.ask(number) })
				time.Sleep(time.Duration(c.pause()) * time.Microsecond)
			}
			begun := time.Now()
			callers.Wait()
			if took := time.Since(begun); took > 2*time.Second || c.answered != requests {
				t.Errorf("seed %d: %d answers, the last after %v", seed, c.answered, took)
			}
			time.Sleep(time.Second) // what is given back is under way
			synctest.Wait()
			c.bounded()
			sum := c.within(still, 0, 1<<62) / c.of[still].Unit()
			used := (c.look(still) + c.of[still].Unit() - 1) / c.of[still].Unit()
			if used < sum || used > sum+c.lost[still] {
				t.Errorf("seed %d: %d tokens are used, %d were admitted and at most %d lost", seed, used, sum, c.lost[still])
			}
			passed += int(sum)
			time.Sleep(10 * time.Second)
			for _, i := range []int{brisk, fast} {
				if used := c.look(i); used != 0 {
					t.Errorf("seed %d: bucket %d lacks %d ticks after its time to fill", seed, i, used)
				}
			}
			if used := c.look(slotted3); used > c.lost[slotted3] {
				t.Errorf("seed %d: %d slots are taken, of which %d were lost", seed, used, c.lost[slotted3])
			}
		})
	}
	if passed < 1000 {
		t.Errorf("%d tokens were admitted only", passed)
	}
}

func (c *crossing) pause() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.random.Int64N(4000)
}
