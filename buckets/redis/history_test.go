package redis_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// history draws the operations of one random history. The same number gives the
// same history, on every machine.
type history struct {
	*rand.Rand
	number   int
	now      int64
	subjects []subjectOf

	told     time.Duration
	taken    []int64
	places   map[string]buckets.Place
	expiries []int64 // instants at which something may be forgotten
	latest   int64
	noBack   bool
}

// subjectOf is a key and how its bucket is drawn anew when the rules change.
type subjectOf struct {
	key     string
	draw    func(*history) (buckets.Bucket, []buckets.Class)
	bucket  buckets.Bucket
	classes []buckets.Class
}

func newHistory(number int) *history {
	h := &history{Rand: rand.New(rand.NewPCG(uint64(number), 7)), number: number, places: map[string]buckets.Place{}}
	h.now = 1_767_225_600_000_000 + h.Int64N(365*24*3_600_000_000)
	for i := range 1 + h.IntN(4) {
		s := subjectOf{key: fmt.Sprintf("{%d}%d", number, i)}
		s.draw = pick(h, anyTokens, anyTokens, anyFixed, anySliding, anySliding, anySlots, anyBreaker, anyPool, anyPool, anySlotPool)
		s.bucket, s.classes = s.draw(h)
		h.subjects = append(h.subjects, s)
	}
	return h
}

func anyTerms(h *history) buckets.Terms {
	t := buckets.Terms{
		Tokens:   pick(h, int64(1), 7, 10, 100, 999_983, h.Int64N(1000)),
		Period:   pick(h, time.Second, time.Minute, 1500*time.Millisecond, 24*time.Hour),
		Capacity: pick(h, int64(1), 3, 10, 100, 1+h.Int64N(1000), math.MaxInt32),
		MaxDebt:  pick(h, int64(0), 0, 5, 1000),
		MaxWait:  pick(h, 0, 0, time.Second, time.Minute),
	}
	t.Missing = pick(h, int64(0), 0, 0, t.Capacity, h.Int64N(t.Capacity+1))
	return t
}

func anyTokens(h *history) (buckets.Bucket, []buckets.Class) {
	for {
		if b, err := anyTerms(h).TokenBucket(); err == nil {
			return b, nil
		}
	}
}

func anyPool(h *history) (buckets.Bucket, []buckets.Class) {
	for {
		pool := anyTerms(h)
		pool.Missing = pick(h, 0, pool.Missing)
		var classes []buckets.ClassTerms
		for range 1 + h.IntN(3) {
			classes = append(classes, buckets.ClassTerms{
				Guarantee: h.Int64N(pool.Tokens/2 + 1), Period: pool.Period, Reserve: h.Int64N(pool.Capacity/2+1) + 1,
				Borrow: h.IntN(3) > 0, Headroom: h.Int64N(pool.Capacity/4 + 1),
			})
		}
		if b, cs, err := buckets.NewPool(pool, classes); err == nil {
			return b, cs
		}
	}
}

func anySlots(h *history) (buckets.Bucket, []buckets.Class) {
	return buckets.Slots{Count: pick(h, int64(1), 1, 3, 9, 100), TTL: pick(h, int64(1), 1000, 1_000_000, 60_000_000)}, nil
}

func anySlotPool(h *history) (buckets.Bucket, []buckets.Class) {
	b, _ := anySlots(h)
	pool := b.(buckets.Slots)
	var classes []buckets.ClassTerms
	for range 1 + h.IntN(3) {
		classes = append(classes, buckets.ClassTerms{Reserve: h.Int64N(pool.Count/2 + 2), Borrow: h.IntN(3) > 0, Headroom: h.Int64N(3)})
	}
	return pool, buckets.NewSlotPool(pool, classes)
}

func anyFixed(h *history) (buckets.Bucket, []buckets.Class) {
	c := buckets.Calendar{Length: pick(h, time.Microsecond, time.Second, time.Minute, 1500*time.Millisecond)}
	if h.IntN(2) == 0 {
		c = buckets.Calendar{Unit: pick(h, buckets.CalendarMinute, buckets.CalendarHour, buckets.CalendarDay, buckets.CalendarMonth)}
	}
	return buckets.FixedWindow{Limit: pick(h, int64(0), 1, 10, 100, math.MaxInt32), Debt: pick(h, int64(0), 0, 7), Calendar: c}, nil
}

func anySliding(h *history) (buckets.Bucket, []buckets.Class) {
	return buckets.SlidingWindow{
		Limit: pick(h, int64(0), 1, 10, 10, 100, math.MaxInt32), Debt: pick(h, int64(0), 0, 7),
		Window: pick(h, int64(1), 1000, 1_000_000, 60_000_000, 7_654_321), Parts: pick(h, int64(1), 2, 6, 60, 7),
	}, nil
}

func anyBreaker(h *history) (buckets.Bucket, []buckets.Class) {
	return buckets.Breaker{
		Failures: pick(h, int64(1), 2, 3), OpenFor: pick(h, int64(1), 1000, 1_000_000),
		Probes: pick(h, int64(1), 2, 3), ProbeTTL: pick(h, int64(1), 1000, 100_000),
	}, nil
}

// advance moves the clock, mostly forth. Back it goes only as far as nothing was
// forgotten in between: a store may or may not have done so, and both are right.
func (h *history) advance() {
	h.latest = max(h.latest, h.now)
	delay := min(h.told, 30*24*time.Hour).Microseconds()
	switch h.IntN(12) {
	case 0, 1, 2, 3:
	case 4:
		h.now += h.Int64N(3)
	case 5:
		h.now += h.Int64N(1000)
	case 6, 7:
		h.now += h.Int64N(1_000_000)
	case 8:
		h.now += delay
	case 9:
		h.now += max(0, delay-1)
	case 10:
		h.now += h.Int64N(60_000_000)
	case 11:
		back := h.now - h.Int64N(pick(h, int64(10), 1_000_000, 3_600_000_000))
		for _, at := range h.expiries {
			if at <= h.latest {
				back = max(back, at)
			}
		}
		if !h.noBack && back < h.now {
			h.now = back
			h.noBack = h.IntN(2) == 0
		}
	}
}

// request draws a request; a key may come twice.
func (h *history) request() []buckets.Charge {
	if h.IntN(15) == 0 {
		s := &h.subjects[h.IntN(len(h.subjects))]
		was := startsFull(s.bucket)
		for s.bucket, s.classes = s.draw(h); startsFull(s.bucket) != was; s.bucket, s.classes = s.draw(h) {
			// A full bucket may be forgotten or not: one whose first tokens are to be
			// missing from now on is new or not.
		}
		h.noBack = true
	}
	charges := make([]buckets.Charge, pick(h, 1, 1, 1, 1, 2, 2, 3, 4, 16))
	for i := range charges {
		charges[i] = h.charge()
	}
	return charges
}

func startsFull(b buckets.Bucket) bool {
	t, ok := b.(buckets.TokenBucket)
	return !ok || t.Missing == 0
}

func (h *history) charge() buckets.Charge {
	i := h.IntN(len(h.subjects))
	s := h.subjects[i]
	c := buckets.Charge{
		Key: s.key, Limit: "limit", Bucket: s.bucket, Cost: h.cost(s.bucket),
		Mode: pick(h, buckets.Take, buckets.Take, buckets.Take, buckets.Take, buckets.Take, buckets.Take, buckets.Look, buckets.Refund, buckets.Settle),
		Role: pick(h, buckets.Enforce, buckets.Enforce, buckets.Enforce, buckets.Enforce, buckets.Enforce, buckets.Shadow, buckets.Quota, buckets.Gate),
	}
	if len(s.classes) > 0 && h.IntN(6) > 0 {
		class := h.IntN(len(s.classes))
		c.Class, c.ClassKey = &s.classes[class], fmt.Sprintf("%s.%d", s.key, class)
	}
	switch b := s.bucket.(type) {
	case buckets.TokenBucket:
		if b.Ahead > 0 && h.IntN(2) == 0 {
			c.MayOwe = h.Int64N(b.Ahead + 1)
		}
		if h.IntN(8) == 0 {
			c.Mode, c.Place = buckets.Cancel, h.places[s.key]
		}
	case buckets.Slots:
		c.Lease = pick(h, "", "a", "b", "c\x00d", fmt.Sprint(h.IntN(20)))
		if h.IntN(3) == 0 {
			c.Mode = buckets.Refund
		}
	case buckets.Breaker:
		c.Lease, c.Cost = pick(h, "", "a", "b", "c"), h.Int64N(2)
		if c.Mode == buckets.Take {
			c.Cost = 1
		}
		if h.IntN(2) == 0 {
			c.Mode = buckets.Settle
		}
	}
	if c.Mode == buckets.Refund && len(h.taken) > 0 && h.IntN(2) == 0 {
		c.At = h.taken[max(0, len(h.taken)-1-h.IntN(30))]
	}
	return c
}

func (h *history) cost(b buckets.Bucket) int64 {
	switch h.IntN(12) {
	case 0:
		return b.Size()
	case 1:
		return b.Size() + 1
	case 2:
		return pick(h, int64(math.MaxInt64), math.MaxInt64-1, 1<<53)
	case 3:
		return h.Int64N(b.Size() + 1)
	case 4, 5:
		return h.Int64N(b.Size()/4 + 2)
	default:
		return h.Int64N(4)
	}
}

func pick[T any](h *history, from ...T) T { return from[h.IntN(len(from))] }
