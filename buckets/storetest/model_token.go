package storetest

import (
	"fmt"
	"math/big"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// tokenRule is a token bucket. The model takes from the product only the clock's
// quantum.
type tokenRule struct {
	terms  buckets.Terms
	bucket buckets.TokenBucket
	refill *big.Rat // tokens in a quantum of the clock
	unit   int64    // ticks a token: the denominator of refill, in a pool a common multiple
}

func newTokenRule(terms buckets.Terms) (tokenRule, error) {
	b, err := terms.TokenBucket()
	if terms.Tokens == 0 {
		terms = buckets.Terms{} // closed: nothing ever refills it, and nothing is kept
	}
	r := tokenRule{terms: terms, bucket: b, refill: new(big.Rat), unit: 1}
	if terms.Tokens > 0 && err == nil {
		r.refill = refillIn(terms, b.Quantum)
		r.unit = r.refill.Denom().Int64()
	}
	return r, err
}

// refillIn is how many tokens come back in a quantum.
func refillIn(terms buckets.Terms, quantum int64) *big.Rat {
	r := big.NewRat(terms.Tokens, terms.Period.Microseconds())
	return r.Mul(r, tokens(quantum))
}

func (r tokenRule) String() string {
	return fmt.Sprintf("%d/%v burst %d (%+v)", r.terms.Tokens, r.terms.Period, r.terms.Capacity, r.bucket)
}

func (r tokenRule) closed() bool            { return r.terms.Tokens == 0 }
func (r tokenRule) product() buckets.Bucket { return r.bucket }
func (r tokenRule) capacity() *big.Rat      { return tokens(r.terms.Capacity) }
func (r tokenRule) ticks() int64            { return r.unit }
func (r tokenRule) quantum() int64          { return max(1, r.bucket.Quantum) }
func (r tokenRule) scale() int64            { return max(1, r.terms.Period.Microseconds()) }

// remembers: the first tokens are missing again once the bucket is forgotten.
func (r tokenRule) remembers(account) bool { return r.terms.Missing > 0 }

// ahead is what refills while somebody waits as long as is allowed, in whole
// quanta of the clock.
func (r tokenRule) ahead() *big.Rat {
	return new(big.Rat).Mul(r.refill, tokens(r.terms.MaxWait.Microseconds()/r.quantum()))
}

func (r tokenRule) deepest() *big.Rat {
	beyond := tokens(r.terms.MaxDebt)
	if a := r.ahead(); a.Cmp(beyond) > 0 {
		beyond = a
	}
	return sum(r.capacity(), beyond)
}

// tokenAccount is what was used at a quantum of the rule's clock.
type tokenAccount struct {
	rule   tokenRule
	amount *big.Rat
	at     int64
}

func (a *tokenAccount) same(b account) bool {
	other := b.(*tokenAccount)
	if a.rule.refill.Cmp(other.rule.refill) != 0 || a.rule.bucket.Quantum != other.rule.bucket.Quantum || a.rule.unit != other.rule.unit {
		return false
	}
	return a.end().Cmp(other.end()) == 0
}

// end is when the bucket is full, in quanta since the epoch.
func (a *tokenAccount) end() *big.Rat {
	return sum(new(big.Rat).Quo(a.amount, a.rule.refill), tokens(a.at))
}

// place is what the product calls the same instant.
func (a *tokenAccount) place() buckets.Place {
	end := a.end()
	tat := floor(end)
	rest := sub(end, new(big.Rat).SetInt(tat))
	rest.Mul(rest, a.rule.refill)
	part, _ := inTicks(rest, a.rule.unit)
	return buckets.Place{TAT: instant(tat), Part: part.Int64()}
}

// holding is an account of so many tokens used at now, nil for a full bucket that
// may be forgotten.
func (r tokenRule) holding(amount *big.Rat, now int64) account {
	if amount.Sign() <= 0 {
		if r.terms.Missing == 0 {
			return nil
		}
		amount = new(big.Rat)
	}
	return &tokenAccount{r, amount, now / r.bucket.Quantum}
}

func (r tokenRule) recall(written account, now int64) (is account, rewritten bool, forgot int64) {
	switch {
	case r.closed() && written != nil && written.(*tokenAccount).full() <= now:
		return nil, false, written.(*tokenAccount).full()
	case r.closed():
		return written, false, 0
	case written == nil && r.terms.Missing > 0:
		return r.holding(tokens(r.terms.Missing), now), true, 0
	case written == nil:
		return nil, false, 0
	}
	a := written.(*tokenAccount)
	left := new(big.Rat).Mul(a.rule.refill, tokens(now/a.rule.bucket.Quantum-a.at))
	left.Sub(a.amount, left)
	if left.Sign() <= 0 {
		// Where the first tokens are missing a store may write down that it is full.
		if r.terms.Missing > 0 {
			return r.holding(new(big.Rat), now), false, now
		}
		return nil, false, a.full()
	}
	if ticks, _ := inTicks(left, a.rule.unit); ticks.Cmp(mostTicks) > 0 {
		return r.holding(r.deepest(), now), true, 0
	}
	if a.rule.bucket.Quantum != r.bucket.Quantum || a.rule.refill.Cmp(r.refill) != 0 || a.rule.unit != r.unit {
		ticks, _ := inTicks(left, r.unit) // rounded against the caller
		left = new(big.Rat).SetFrac(ticks, big.NewInt(r.unit))
		rewritten = true
	}
	if most := r.deepest(); left.Cmp(most) > 0 {
		return r.holding(most, now), true, 0
	}
	return r.holding(left, now), rewritten, 0
}

func (r tokenRule) used(is account) *big.Rat {
	if is == nil || r.closed() {
		return new(big.Rat)
	}
	return is.(*tokenAccount).amount
}

func (r tokenRule) take(is account, _ *buckets.Charge, amount *big.Rat, now int64) account {
	if r.closed() || amount.Sign() == 0 {
		return is
	}
	return r.holding(sum(r.used(is), amount), now)
}

// returned is what is given back of an amount: tokens that have come back since they
// were taken are not given again.
func (r tokenRule) returned(c *buckets.Charge, amount *big.Rat, now int64) *big.Rat {
	if c.At == 0 || r.closed() {
		return amount
	}
	quanta := tokens(now/r.quantum() - c.At/r.quantum())
	return atLeast0(sub(amount, atLeast0(new(big.Rat).Mul(r.refill, quanta))))
}

func (r tokenRule) refund(is account, _ *buckets.Charge, amount *big.Rat, now int64) account {
	if r.closed() {
		return is
	}
	return r.holding(sub(r.used(is), amount), now)
}

func (r tokenRule) settle(is account, _ *buckets.Charge, amount *big.Rat, now int64) (account, *big.Rat) {
	if r.closed() {
		return is, amount
	}
	used := r.used(is)
	room := atLeast0(sub(tokens(r.terms.Capacity+r.terms.MaxDebt), used))
	taken := atMost(amount, room)
	return r.holding(sum(used, taken), now), sub(amount, taken)
}

// cancel gives up the reservation that ends at place, if no later one was made.
func (r tokenRule) cancel(is account, place buckets.Place, amount *big.Rat, now int64) (account, bool) {
	a, _ := is.(*tokenAccount)
	if r.closed() || a == nil || a.place() != place {
		return is, false
	}
	return r.holding(sub(a.amount, amount), now), true
}

func (r tokenRule) delay(_ account, lacks *big.Rat, _ int64) *big.Int {
	return r.refills(atMost(lacks, sum(r.capacity(), r.deepest()))) // past that a request can never pass
}

// refills is how long so much takes to refill, in microseconds.
func (r tokenRule) refills(amount *big.Rat) *big.Int {
	if r.closed() || amount.Sign() <= 0 {
		return new(big.Int)
	}
	quanta := ceil(new(big.Rat).Quo(amount, r.refill))
	return quanta.Mul(quanta, big.NewInt(r.bucket.Quantum))
}

func (r tokenRule) reset(is account, _ int64) *big.Int { return r.refills(r.used(is)) }

// full is the first instant at which the bucket is full.
func (a *tokenAccount) full() int64 {
	end := ceil(a.end())
	return instant(end.Mul(end, big.NewInt(a.rule.bucket.Quantum)))
}

func (r tokenRule) kept(a account, now int64) int64 {
	left := a.(*tokenAccount).full() - now
	if r.terms.Missing > 0 && left < 1<<62 {
		return left + time.Hour.Microseconds()
	}
	return left
}
