package storetest

import (
	"fmt"
	"maps"
	"math/big"

	"github.com/weir-rls/weir/buckets"
)

// rule is a limit as a rule file says it, with the exact arithmetic of its kind,
// beside what the product made of it. Amounts are tokens, instants microseconds
// since the epoch.
//
// An account is what was last written of a bucket, nil where nothing was. It is
// never changed: what changes it makes another.
type rule interface {
	fmt.Stringer
	product() buckets.Bucket
	capacity() *big.Rat
	deepest() *big.Rat      // the most that can be used or owed
	ticks() int64           // a token
	quantum() int64         // the least time that makes a difference
	scale() int64           // the time in which much happens
	remembers(account) bool // that forgetting the account changes what the bucket says

	// recall is an account as it is at now. It tells whether that says something
	// else than what was written, and at which instant the last part was forgotten
	// that time alone takes away.
	recall(a account, now int64) (is account, rewritten bool, forgot int64)
	used(is account) *big.Rat
	take(is account, c *buckets.Charge, amount *big.Rat, now int64) account
	refund(is account, c *buckets.Charge, amount *big.Rat, now int64) account
	settle(is account, c *buckets.Charge, amount *big.Rat, now int64) (to account, lost *big.Rat)
	delay(is account, lacks *big.Rat, now int64) *big.Int // microseconds until so much more is free
	reset(is account, now int64) *big.Int
	kept(a account, now int64) int64 // how long a store must keep the account, in microseconds
}

type account interface {
	same(account) bool
}

// charge is one charge and the rules behind its buckets.
type charge struct {
	rule  rule
	class *class // of a pool, else nil
	buckets.Charge
}

// verdict is what the model says of a charge.
type verdict struct {
	admitted, borrowed bool
	used, classUsed    *big.Rat // once the request is decided
	delay, reset       *big.Int // microseconds
	lost               *big.Rat
}

// model holds every bucket exactly.
type model struct {
	accounts map[string]account
	forgot   int64 // the last instant at which time took anything away
}

func newModel() *model { return &model{accounts: map[string]account{}} }

func (m *model) clone() *model { return &model{maps.Clone(m.accounts), m.forgot} }

// recall is an account as it is at now.
func (m *model) recall(key string, r rule, now int64) (is account, rewritten bool) {
	is, rewritten, forgot := r.recall(m.accounts[key], now)
	m.forgot = max(m.forgot, forgot)
	return is, rewritten
}

// working is one bucket while a request is judged.
type working struct {
	rule       rule
	before, is account
	rewritten  bool
	asked      *big.Rat // what the request asked for so far
}

// level is what is used and what the request asks for beside it.
func (w *working) level() *big.Rat { return sum(w.rule.used(w.is), atMost(w.asked, w.room())) }

// room is how much the request can ask for so that it makes a difference: with
// what is used, a full bucket more than the most that can be.
func (w *working) room() *big.Rat {
	most := sum(w.rule.capacity(), w.rule.deepest())
	return atLeast0(sub(most, w.rule.used(w.is)))
}

// ask counts what the request asks for.
func (w *working) ask(amount *big.Rat) { w.asked = atMost(sum(w.asked, amount), w.room()) }

// judging is one request while it is judged.
type judging struct {
	*model
	now     int64
	table   map[string]*working
	wrote   map[string]bool
	stopped bool // at a gate
}

// take decides a request at now and says which buckets it wrote.
func (m *model) take(charges []charge, now int64) (verdicts []verdict, wrote map[string]bool) {
	j := &judging{model: m, now: now, table: map[string]*working{}, wrote: map[string]bool{}}
	for i := range charges {
		j.bucket(charges[i].Key, charges[i].rule)
		if charges[i].class != nil {
			j.bucket(charges[i].ClassKey, charges[i].class.guarantee)
		}
	}
	verdicts = make([]verdict, len(charges))
	for i := range charges {
		verdicts[i] = verdict{delay: new(big.Int), lost: new(big.Rat)}
		if !j.stopped {
			j.judge(&charges[i], &verdicts[i])
		}
	}
	if !j.stopped && passes(charges, verdicts) {
		for i := range charges {
			if verdicts[i].admitted && charges[i].Mode == buckets.Take {
				j.apply(&charges[i], verdicts[i].borrowed)
			}
		}
	}
	j.write()
	for i := range charges {
		j.report(&charges[i], &verdicts[i])
	}
	return verdicts, j.wrote
}

func (j *judging) bucket(key string, r rule) {
	if j.table[key] == nil {
		is, rewritten := j.recall(key, r, j.now)
		j.table[key] = &working{r, is, is, rewritten, new(big.Rat)}
	}
}

// passes: whoever enforces must admit, and one of the quotas if there are any.
func passes(charges []charge, verdicts []verdict) bool {
	quotas, met := 0, 0
	for i, c := range charges {
		if c.Mode != buckets.Take && c.Mode != buckets.Look {
			continue
		}
		switch {
		case c.Role == buckets.Enforce && !verdicts[i].admitted:
			return false
		case c.Role == buckets.Quota && verdicts[i].admitted:
			quotas, met = quotas+1, met+1
		case c.Role == buckets.Quota:
			quotas++
		}
	}
	return quotas == 0 || met > 0
}

// amount is the cost as far as it makes a difference: what exceeds all that could
// be by more than one token exceeds it by one.
func (c *charge) amount() *big.Rat {
	most := c.rule.capacity()
	switch c.Mode {
	case buckets.Take, buckets.Look:
		most = sum(most, one)
	case buckets.Settle:
		most = sum(new(big.Rat).SetInt(floor(c.rule.deepest())), one)
	}
	return atMost(tokens(c.Cost), most)
}

func (j *judging) judge(c *charge, v *verdict) {
	b, amount := j.table[c.Key], c.amount()
	v.admitted = true
	switch c.Mode {
	case buckets.Refund:
		if r, ok := b.rule.(tokenRule); ok {
			amount = r.returned(&c.Charge, amount, j.now) // and so much of the class
		}
		b.is = b.rule.refund(b.is, &c.Charge, amount, j.now)
		if c.class != nil {
			own := j.table[c.ClassKey]
			own.is = own.rule.refund(own.is, &c.Charge, amount, j.now)
		}
	case buckets.Settle:
		b.is, v.lost = b.rule.settle(b.is, &c.Charge, amount, j.now)
		if c.class != nil {
			own := j.table[c.ClassKey]
			own.is, _ = own.rule.settle(own.is, &c.Charge, amount, j.now)
		}
	case buckets.Cancel:
		b.is, v.admitted = c.rule.(tokenRule).cancel(b.is, c.Place, amount, j.now)
	default:
		j.ask(c, v, amount)
	}
	j.stopped = c.Role == buckets.Gate && !v.admitted
}

// ask judges a take or a look.
func (j *judging) ask(c *charge, v *verdict, amount *big.Rat) {
	b := j.table[c.Key]
	if l, ok := b.is.(*leaseAccount); ok && l.holds(c.Lease) {
		return
	}
	if c.class != nil {
		own := j.table[c.ClassKey]
		c.class.judge(c.rule, b.level(), own.level(), amount, v)
	} else if lacks := sub(sum(b.level(), amount), b.rule.capacity()); lacks.Sign() > 0 {
		hope := tokens(c.Cost).Cmp(b.rule.capacity()) <= 0
		v.admitted = hope && lacks.Cmp(big.NewRat(c.MayOwe, b.rule.ticks())) <= 0
		if hope {
			v.delay = b.rule.delay(b.is, lacks, j.now)
		}
	}
	if c.Mode == buckets.Look || !v.admitted && c.Role != buckets.Enforce {
		return
	}
	b.ask(amount) // granted or not: the request needs it
	if c.class != nil && !v.borrowed {
		j.table[c.ClassKey].ask(amount)
	}
}

func (j *judging) apply(c *charge, borrowed bool) {
	b := j.table[c.Key]
	renewed := false
	if l, ok := b.is.(*leaseAccount); ok {
		renewed = l.holds(c.Lease)
	}
	b.is = b.rule.take(b.is, &c.Charge, c.amount(), j.now)
	if c.class == nil || borrowed {
		return
	}
	own := j.table[c.ClassKey]
	if l, _ := own.is.(*leaseAccount); renewed && (l == nil || !l.holds(c.Lease)) {
		return // it was borrowed when it was taken
	}
	own.is = own.rule.take(own.is, &c.Charge, c.amount(), j.now)
}

func (j *judging) write() {
	for key, w := range j.table {
		w.is, _, _ = w.rule.recall(w.is, j.now) // what owes too much owes the most
		if !w.rewritten && equal(w.before, w.is) {
			continue
		}
		j.wrote[key] = true
		delete(j.accounts, key)
		if w.is != nil {
			j.accounts[key] = w.is
		}
	}
}

func (j *judging) report(c *charge, v *verdict) {
	b := j.table[c.Key]
	v.used, v.reset, v.classUsed = b.rule.used(b.is), b.rule.reset(b.is, j.now), new(big.Rat)
	if c.class != nil {
		v.classUsed = c.class.guarantee.used(j.table[c.ClassKey].is)
	}
}

func equal(a, b account) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return a.same(b)
}
