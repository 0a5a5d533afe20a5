package storetest

import (
	"fmt"
	"math/big"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// limit is a token bucket as a rule says it, beside what the product made of it.
// The model takes from the latter only the clock's quantum.
type limit struct {
	tokens   int64 // N, refilled in each period
	period   time.Duration
	capacity int64 // B
	bucket   buckets.TokenBucket

	// refill is the tokens that one quantum of the clock refills. Its denominator
	// is how finely levels of this limit can be told apart.
	refill *big.Rat
}

func newLimit(tokens int64, period time.Duration, capacity int64) (limit, error) {
	b, err := buckets.NewTokenBucket(tokens, period, capacity)
	if tokens == 0 {
		capacity = 0 // closed: nothing ever refills it
	}
	l := limit{tokens: tokens, period: period, capacity: capacity, bucket: b, refill: new(big.Rat)}
	if tokens > 0 && err == nil {
		l.refill.SetFrac64(tokens, period.Microseconds())
		l.refill.Mul(l.refill, big.NewRat(b.Quantum, 1))
	}
	return l, err
}

func (l limit) String() string {
	return fmt.Sprintf("%d/%v burst %d (%+v)", l.tokens, l.period, l.capacity, l.bucket)
}

func (l limit) closed() bool { return l.tokens == 0 }

// ticks is an amount of tokens in the limit's ticks, and whether it is a whole
// number of them.
func (l limit) ticks(tokens *big.Rat) (*big.Int, bool) {
	ticks := new(big.Rat).Mul(tokens, new(big.Rat).SetInt(l.refill.Denom()))
	return ceil(ticks), ticks.IsInt()
}

// charge is one charge and the limit behind its bucket.
type charge struct {
	limit limit
	buckets.Charge
}

// verdict is what the model says of a charge.
type verdict struct {
	admitted  bool
	used      *big.Rat // tokens used once the request is decided
	short     *big.Rat // tokens that lacked
	delay     *big.Int // microseconds until they are there
	remaining *big.Int // whole tokens left
}

// account is what was last written of a bucket. It is never changed.
type account struct {
	limit limit
	used  *big.Rat // tokens
	at    int64    // quantum of the limit's clock
}

// model holds every bucket exactly.
type model map[string]account

// mostTicks is the largest count that a store can tell from the next one.
var mostTicks = big.NewInt(1<<53 - 1)

// level is the tokens used of a bucket at now (microseconds) under limit l, and
// whether what was written says something else: tokens of another rate, or more
// than the capacity.
func (m model) level(key string, l limit, now int64) (used *big.Rat, rewritten bool) {
	a, found := m[key]
	if !found || l.closed() {
		return new(big.Rat), false
	}
	elapsed := now/a.limit.bucket.Quantum - a.at
	used = new(big.Rat).Mul(a.limit.refill, big.NewRat(elapsed, 1))
	used.Sub(a.used, used)
	if used.Sign() <= 0 {
		return new(big.Rat), false
	}
	capacity := big.NewRat(l.capacity, 1)
	if ticks, _ := a.limit.ticks(used); ticks.Cmp(mostTicks) > 0 {
		return capacity, true
	}
	if a.limit.bucket.Quantum != l.bucket.Quantum || a.limit.refill.Cmp(l.refill) != 0 {
		ticks, _ := l.ticks(used)
		used.SetFrac(ticks, l.refill.Denom())
		rewritten = true
	}
	if used.Cmp(capacity) > 0 {
		return capacity, true
	}
	return used, rewritten
}

// fullAt is the first instant (microseconds) at which a held bucket is full.
func (a account) fullAt() int64 {
	quanta := ceil(new(big.Rat).Quo(a.used, a.limit.refill))
	quanta.Add(quanta, big.NewInt(a.at))
	quanta.Mul(quanta, big.NewInt(a.limit.bucket.Quantum))
	if !quanta.IsInt64() {
		return 1<<63 - 1
	}
	return quanta.Int64()
}

// working is one bucket while a request is judged.
type working struct {
	limit               limit
	before, used, given *big.Rat // before the request, with all charges, with its refunds only
	rewritten           bool
}

// take decides a request at now and says which buckets it wrote.
func (m model) take(charges []charge, now int64) (verdicts []verdict, wrote map[string]bool) {
	table := map[string]*working{}
	passes := true
	for _, c := range charges {
		w := table[c.Key]
		if w == nil {
			used, rewritten := m.level(c.Key, c.limit, now)
			w = &working{c.limit, used, used, used, rewritten}
			table[c.Key] = w
		}
		v := w.judge(c)
		passes = passes && (v.admitted || c.Role != buckets.Enforce)
		verdicts = append(verdicts, v)
	}
	wrote = map[string]bool{}
	for key, w := range table {
		if !passes {
			w.used = w.given
		}
		if !w.rewritten && w.used.Cmp(w.before) == 0 {
			continue
		}
		wrote[key] = true
		delete(m, key)
		if w.used.Sign() > 0 {
			m[key] = account{w.limit, w.used, now / w.limit.bucket.Quantum}
		}
	}
	for i, c := range charges {
		verdicts[i].used = table[c.Key].used
		verdicts[i].remaining = floor(new(big.Rat).Sub(big.NewRat(c.limit.capacity, 1), table[c.Key].used))
	}
	return verdicts, wrote
}

func (w *working) judge(c charge) verdict {
	v := verdict{admitted: true, short: new(big.Rat), delay: new(big.Int)}
	// What exceeds a full bucket by more than one token lacks one all the same.
	cost := big.NewRat(min(c.Cost, w.limit.capacity+1), 1)
	if c.Mode == buckets.Refund {
		cost = big.NewRat(min(c.Cost, w.limit.capacity), 1)
		w.used, w.given = atLeast0(w.used, cost), atLeast0(w.given, cost)
		return v
	}
	with := new(big.Rat).Add(w.used, cost)
	over := new(big.Rat).Sub(with, big.NewRat(w.limit.capacity, 1))
	switch {
	case over.Sign() > 0 && w.limit.closed():
		v.admitted = false // and no time brings what it lacks
	case over.Sign() > 0:
		// The request needs what it was refused all the same, so what it asks of
		// the bucket next comes on top. Past twice the capacity it can never pass.
		most := big.NewRat(2*w.limit.capacity, 1)
		if c.Role == buckets.Enforce && c.Mode == buckets.Take {
			w.used = atMost(with, most)
		}
		over = atMost(over, most)
		v.admitted, v.short = false, over
		v.delay.Mul(ceil(new(big.Rat).Quo(over, w.limit.refill)), big.NewInt(w.limit.bucket.Quantum))
	case c.Mode == buckets.Take:
		w.used = with
	}
	return v
}

// atLeast0 is a-b, or 0 where that is negative.
func atLeast0(a, b *big.Rat) *big.Rat {
	rest := new(big.Rat).Sub(a, b)
	if rest.Sign() < 0 {
		return new(big.Rat)
	}
	return rest
}

func atMost(a, most *big.Rat) *big.Rat {
	if a.Cmp(most) > 0 {
		return most
	}
	return a
}

func floor(r *big.Rat) *big.Int { return new(big.Int).Div(r.Num(), r.Denom()) }

func ceil(r *big.Rat) *big.Int {
	n := floor(r)
	if !r.IsInt() {
		n.Add(n, big.NewInt(1))
	}
	return n
}
