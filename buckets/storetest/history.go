package storetest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// opsPerHistory keeps a history short enough to read when it fails.
const opsPerHistory = 50

// history draws the operations of one random history. The same number gives the
// same history, on every machine.
type history struct {
	*rand.Rand
	number int
	keys   []string
	limits []limit // of the keys
	floor  int64   // the latest instant at which a bucket became full again
}

func newHistory(number int) *history {
	h := &history{Rand: rand.New(rand.NewPCG(uint64(number), 0)), number: number}
	for i := range 1 + h.IntN(4) {
		h.keys = append(h.keys, fmt.Sprintf("{%d}%d", number, i))
		h.limits = append(h.limits, h.anyLimit())
	}
	return h
}

// anyLimit draws until the product can represent the limit exactly.
func (h *history) anyLimit() limit {
	for {
		tokens, period := h.anyRate()
		if l, err := newLimit(tokens, period, h.anyCapacity(tokens, period)); err == nil {
			return l
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

// nextCharges draws a request; a key may come twice.
func (h *history) nextCharges(m model, now int64) []charge {
	h.maybeChangeLimits()
	var cs []charge
	for range pick(h, 1, 1, 1, 2, 2, 3, 4) {
		i := h.IntN(len(h.keys))
		l := h.limits[i]
		cs = append(cs, charge{l, buckets.Charge{
			Key: h.keys[i], Limit: "limit", Bucket: l.bucket, Cost: h.anyCost(m, h.keys[i], l, now),
			Mode: pick(h, buckets.Take, buckets.Take, buckets.Take, buckets.Take, buckets.Take, buckets.Take, buckets.Look, buckets.Refund),
			Role: pick(h, buckets.Enforce, buckets.Enforce, buckets.Enforce, buckets.Enforce, buckets.Shadow),
		}})
	}
	return cs
}

// maybeChangeLimits reloads the rules now and then: another rate, another
// capacity, or both.
func (h *history) maybeChangeLimits() {
	if h.IntN(12) != 0 {
		return
	}
	i := h.IntN(len(h.keys))
	old := h.limits[i]
	changed := h.anyLimit()
	switch h.IntN(3) {
	case 0:
		if l, err := newLimit(old.tokens, old.period, h.anyCapacity(old.tokens, old.period)); err == nil {
			changed = l
		}
	case 1:
		if l, err := newLimit(changed.tokens, changed.period, old.capacity); err == nil {
			changed = l
		}
	}
	h.limits[i] = changed
}

// anyCost prefers what is just there and just not there.
func (h *history) anyCost(m model, key string, l limit, now int64) int64 {
	used, _ := m.level(key, l, now)
	left := l.capacity - ceil(used).Int64()
	switch h.IntN(10) {
	case 0:
		return left
	case 1:
		return left + 1
	case 2:
		return max(0, left-h.Int64N(3))
	case 3:
		return l.capacity
	case 4:
		return l.capacity + 1
	case 5:
		return pick(h, int64(math.MaxInt32), math.MaxInt64, math.MaxInt64-1, 1<<53)
	case 6:
		return h.Int64N(l.capacity + 1)
	default:
		return h.Int64N(4)
	}
}

// nextInstant draws when the next request comes. told is the delay that the last
// one was told.
func (h *history) nextInstant(m model, now int64, told time.Duration) int64 {
	l := h.limits[h.IntN(len(h.limits))]
	quantum := max(1, l.bucket.Quantum)
	delay := min(told.Microseconds(), (30 * 24 * time.Hour).Microseconds())
	switch h.IntN(12) {
	case 0, 1:
		return now
	case 2, 3:
		return now + 1 + h.Int64N(1000)
	case 4:
		return now + h.Int64N(quantum+1)
	case 5:
		return now + h.Int64N(l.period.Microseconds()+1)
	case 6:
		return now + delay
	case 7:
		return now + max(0, delay-1)
	case 8:
		return now + max(0, delay-quantum)
	case 9:
		return now + h.Int64N(1_000_000)
	case 10:
		return now + h.Int64N(3*l.period.Microseconds()+1)
	default:
		back := pick(h, int64(1), 1_000, 1_000_000, 3_600_000_000, 90*24*3_600_000_000)
		return max(now-1-h.Int64N(back), min(now, h.floor))
	}
}

// forgetFull drops the buckets that are full at now, and remembers since when.
// The clock may jump back, as after a fail-over to a server whose clock is
// behind, but never to before that: a store may or may not have forgotten the
// bucket by then, both are right, and it must not owe tokens again.
func (h *history) forgetFull(m model, now int64) {
	for key, a := range m {
		if full := a.fullAt(); full <= now {
			h.floor = max(h.floor, full)
			delete(m, key)
		}
	}
}

func pick[T any](h *history, from ...T) T { return from[h.IntN(len(from))] }

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
