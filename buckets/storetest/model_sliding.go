package storetest

import (
	"fmt"
	"math/big"

	"github.com/weir-rls/weir/buckets"
)

// slidingRule is a sliding window, of which the model keeps each single hit.
type slidingRule struct{ bucket buckets.SlidingWindow }

func (r slidingRule) String() string          { return fmt.Sprintf("%+v", r.bucket) }
func (r slidingRule) product() buckets.Bucket { return r.bucket }
func (r slidingRule) capacity() *big.Rat      { return tokens(r.bucket.Limit) }
func (r slidingRule) deepest() *big.Rat       { return tokens(r.bucket.Limit + r.bucket.Debt) }
func (r slidingRule) ticks() int64            { return 1 }
func (r slidingRule) quantum() int64          { return r.part() }
func (r slidingRule) scale() int64            { return r.bucket.Window }
func (r slidingRule) remembers(account) bool  { return false }

// part is a sub-window: the window's share, rounded up to a microsecond.
func (r slidingRule) part() int64 {
	share := big.NewRat(r.bucket.Window, r.bucket.Parts)
	return ceil(share).Int64()
}

type hit struct{ at, tokens int64 }

// slidingAccount is the hits that count, and the rule that they were counted by.
type slidingAccount struct {
	rule slidingRule
	hits []hit
}

func (a *slidingAccount) same(b account) bool {
	other := b.(*slidingAccount)
	counts := map[int64]int64{}
	for _, h := range a.hits {
		counts[h.at/a.rule.part()] += h.tokens
	}
	for _, h := range other.hits {
		counts[h.at/other.rule.part()] -= h.tokens
	}
	for _, n := range counts {
		if n != 0 {
			return false
		}
	}
	return a.rule.part() == other.rule.part() && a.rule.bucket.Parts == other.rule.bucket.Parts
}

// leaves is when a hit stops to count: when its sub-window is further back than
// the window reaches.
func (r slidingRule) leaves(h hit) int64 { return (h.at/r.part() + 1 + r.bucket.Parts) * r.part() }

func (r slidingRule) recall(written account, now int64) (is account, rewritten bool, forgot int64) {
	if written == nil {
		return nil, false, 0
	}
	a, to := written.(*slidingAccount), &slidingAccount{rule: r}
	forget := func(at int64) { forgot = max(forgot, at) }
	for _, h := range a.hits {
		// What has left by the rule that it was counted by does not come back.
		if left := a.rule.leaves(h); left <= now {
			forget(left)
			continue
		}
		// Of sub-windows of another length it is known only that a hit is no younger
		// than their end, and of those that are still to come, because the clock went
		// back, only that it has been.
		if was := a.rule.part(); was != r.part() || a.rule.bucket.Parts != r.bucket.Parts || h.at/was > now/was {
			h.at = min((h.at/was+1)*was-1, now)
			rewritten = true
		}
		if left := r.leaves(h); left <= now {
			forget(left)
			continue
		}
		to.hits = append(to.hits, h)
	}
	if len(to.hits) == 0 {
		return nil, rewritten, forgot
	}
	return to, rewritten, forgot
}

func (r slidingRule) used(is account) *big.Rat {
	total := int64(0)
	if is != nil {
		for _, h := range is.(*slidingAccount).hits {
			total += h.tokens
		}
	}
	return tokens(total)
}

func (r slidingRule) hits(is account) []hit {
	if is == nil {
		return nil
	}
	return append([]hit(nil), is.(*slidingAccount).hits...)
}

func (r slidingRule) take(is account, _ *buckets.Charge, amount *big.Rat, now int64) account {
	if amount.Sign() == 0 {
		return is
	}
	return &slidingAccount{r, append(r.hits(is), hit{now, whole(amount)})}
}

// refund takes back hits of the sub-window that it came from; if that is not
// known, the latest.
func (r slidingRule) refund(is account, c *buckets.Charge, amount *big.Rat, _ int64) account {
	left, kept := whole(amount), []hit(nil)
	hits := r.hits(is)
	for i := len(hits) - 1; i >= 0; i-- {
		h := hits[i]
		if c.At == 0 || c.At/r.part() == h.at/r.part() {
			back := min(left, h.tokens)
			left, h.tokens = left-back, h.tokens-back
		}
		if h.tokens > 0 {
			kept = append([]hit{h}, kept...)
		}
	}
	if len(kept) == 0 {
		return nil
	}
	return &slidingAccount{r, kept}
}

func (r slidingRule) settle(is account, c *buckets.Charge, amount *big.Rat, now int64) (account, *big.Rat) {
	taken := atMost(amount, atLeast0(sub(r.deepest(), r.used(is))))
	return r.take(is, c, taken, now), sub(amount, taken)
}

func (r slidingRule) delay(is account, lacks *big.Rat, now int64) *big.Int {
	free, last := new(big.Rat), now
	for _, h := range r.hits(is) { // the oldest first
		if free.Cmp(lacks) >= 0 {
			break
		}
		free, last = sum(free, tokens(h.tokens)), r.leaves(h)
	}
	return big.NewInt(last - now)
}

func (r slidingRule) reset(is account, now int64) *big.Int {
	if is == nil {
		return new(big.Int)
	}
	return big.NewInt(r.kept(is, now))
}

func (r slidingRule) kept(a account, now int64) int64 {
	last := now
	for _, h := range a.(*slidingAccount).hits {
		last = max(last, r.leaves(h))
	}
	return last - now
}
