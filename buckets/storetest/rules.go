package storetest

import (
	"math"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// anyTerms are a token bucket, representable or not.
func (h *history) anyTerms() buckets.Terms {
	tokens, period := h.anyRate()
	return buckets.Terms{Tokens: tokens, Period: period, Capacity: h.anyCapacity(tokens, period)}
}

// anyTokenRule draws until the product can represent the limit exactly. first
// tells whether a bucket never seen lacks tokens.
func (h *history) anyTokenRule(first bool) tokenRule {
	for {
		terms := h.anyTerms()
		if h.IntN(3) == 0 {
			terms.MaxDebt = pick(h, 1, terms.Capacity, h.Int64N(terms.Capacity)+1)
		}
		if h.IntN(3) == 0 {
			terms.MaxWait = pick(h, terms.Period, 3*terms.Period, 30*time.Second, 500*time.Millisecond, 24*time.Hour)
		}
		if first {
			terms.Missing = pick(h, terms.Capacity, 1+h.Int64N(terms.Capacity))
		}
		if r, err := newTokenRule(terms); err == nil && !(first && r.closed()) {
			return r
		}
	}
}

func (h *history) anyRate() (tokens int64, period time.Duration) {
	day := 24 * time.Hour
	switch h.IntN(10) {
	case 0:
		return 1, pick(h, day, time.Hour)
	case 1:
		return h.Int64N(20), 1500 * time.Millisecond // 0 among them: closed
	case 2:
		return pick(h, int64(7), 700, 7_000, 300_000, 700_000), time.Second
	case 3:
		return pick(h, int64(2_147_483_647), 2_147_483_629, 999_983, 104_729, 65_537), pick(h, time.Second, time.Minute, time.Hour, day)
	case 4:
		return 1 + h.Int64N(math.MaxInt32), pick(h, time.Second, time.Minute, time.Hour, day)
	case 5:
		return 1 + h.Int64N(1000), time.Millisecond * time.Duration(1+h.Int64N(86_400_000))
	default:
		return pick(h, int64(1), 5, 10, 20, 100), pick(h, time.Second, time.Minute, 4*time.Second, 30*time.Second)
	}
}

func (h *history) anyCapacity(tokens int64, period time.Duration) int64 {
	switch h.IntN(8) {
	case 0:
		return 1
	case 1:
		return math.MaxInt32 - h.Int64N(2)
	case 2: // as much as fits in 2^52 or in 2^53 ticks of a microsecond, and just too much for it
		one := max(1, period.Microseconds()/gcd(period.Microseconds(), max(1, tokens)))
		return max(1, pick(h, mostTicks.Int64()/2, mostTicks.Int64())/one-h.Int64N(2))
	case 3:
		return max(1, tokens)
	case 4:
		return 1 + h.Int64N(math.MaxInt32)
	default:
		return 1 + h.Int64N(200)
	}
}

// anyLimit is how much a window holds: 0 refuses everything.
func (h *history) anyLimit() int64 {
	return pick(h, 1, 5, 100, h.Int64N(20), 1+h.Int64N(1000), math.MaxInt32, 1<<51)
}

func (h *history) anyDebt() int64 { return pick(h, 0, 0, 1, h.Int64N(200)) }

func (h *history) anyFixedRule() fixedRule {
	units := []buckets.CalendarUnit{
		buckets.CalendarMinute, buckets.CalendarHour, buckets.CalendarDay,
		buckets.CalendarWeek, buckets.CalendarMonth, buckets.CalendarYear,
	}
	c := buckets.Calendar{Unit: pick(h, units...), WeekStart: time.Weekday(h.IntN(7)), Zone: pick(h, nil, time.UTC)}
	if h.IntN(3) == 0 {
		length := pick(h, time.Second, time.Minute, 1500*time.Millisecond, 7*time.Hour, time.Duration(1+h.Int64N(1_000_000))*time.Microsecond)
		c = buckets.Calendar{Unit: buckets.Aligned, Length: length}
	}
	return fixedRule{buckets.FixedWindow{Limit: h.anyLimit(), Debt: h.anyDebt(), Calendar: c}}
}

func (h *history) anySlidingRule() slidingRule {
	window := pick(h, time.Second, time.Minute, 90*time.Second, time.Hour, 24*time.Hour, time.Duration(1+h.Int64N(100_000_000))*time.Microsecond)
	return slidingRule{buckets.SlidingWindow{
		Limit: h.anyLimit(), Debt: h.anyDebt(),
		Window: window.Microseconds(), Parts: pick(h, int64(buckets.DefaultParts), 1, 2, 6, 7),
	}}
}

func (h *history) anySlotRule() slotRule {
	ttl := pick(h, time.Second, 10*time.Minute, time.Duration(1+h.Int64N(100_000_000))*time.Microsecond)
	return slotRule{buckets.Slots{Count: pick(h, 1, 3, 20, h.Int64N(10), 1000), TTL: ttl.Microseconds()}}
}

func (h *history) anyBreakerRule() breakerRule {
	micros := func() int64 { return pick(h, 1_000, 1_000_000, 30_000_000, 1+h.Int64N(60_000_000)) }
	return breakerRule{buckets.Breaker{
		Failures: 1 + h.Int64N(5), OpenFor: micros(), Probes: 1 + h.Int64N(3), ProbeTTL: micros(),
	}}
}

// anyTokenPool draws classes that the pool can serve together, mostly: it must
// hold its bound, whatever they add up to.
func (h *history) anyTokenPool(classes int) (tokenRule, []*class) {
	for {
		pool := buckets.Terms{
			Tokens: pick(h, 10, 100, 7, 1+h.Int64N(10_000)), Period: pick(h, time.Second, time.Minute),
			Capacity: pick(h, 100, 10, 1000, 1+h.Int64N(100_000)),
		}
		if pool.Capacity > 1 && h.IntN(4) == 0 {
			pool.MaxDebt = 1 + h.Int64N(pool.Capacity)
		}
		terms := make([]buckets.ClassTerms, classes)
		for i := range terms {
			terms[i] = h.anyClass(pool.Capacity, classes)
			terms[i].Guarantee = h.Int64N(pool.Tokens/int64(classes) + 1)
			terms[i].Period = pool.Period
			if h.IntN(8) == 0 {
				terms[i].Period = 3 * pool.Period
			}
		}
		if p, all, err := newTokenPool(pool, terms); err == nil {
			return p, all
		}
	}
}

func (h *history) anySlotPool(classes int) (slotRule, []*class) {
	pool := h.anySlotRule().bucket
	terms := make([]buckets.ClassTerms, classes)
	for i := range terms {
		terms[i] = h.anyClass(pool.Count, classes)
	}
	return newSlotPool(pool, terms)
}

func (h *history) anyClass(capacity int64, classes int) buckets.ClassTerms {
	c := buckets.ClassTerms{Borrow: h.IntN(4) > 0, Reserve: 1 + h.Int64N(capacity/int64(classes)+1)}
	if h.IntN(3) == 0 {
		c.Headroom = h.Int64N(capacity/4 + 1)
	}
	return c
}
