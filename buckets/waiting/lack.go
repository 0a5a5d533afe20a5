package waiting

import (
	"time"

	"github.com/weir-rls/weir/buckets"
)

// lack is the charge that keeps a request waiting longest, and how long.
type lack struct {
	charge int // nobody: none
	delay  time.Duration
}

// lacks tells what a request lacks by what the store said to it. A request may
// wait if every bucket that it lacks will have it before the wait is over, as far
// as anybody can tell, or is the waiting limit's slots, of which nobody can. Of
// quotas it needs one, the soonest.
func lacks(charges []buckets.Charge, outcomes []buckets.Outcome, waiting int, left time.Duration) (worst lack, mayWait bool) {
	worst = lack{charge: nobody}
	quota, quotas, met := lack{charge: nobody}, false, false
	for i := range charges {
		c, o := &charges[i], &outcomes[i]
		if !c.Asks() || c.Role == buckets.Shadow {
			continue
		}
		quotas, met = quotas || c.Role == buckets.Quota, met || c.Role == buckets.Quota && o.Admitted
		if o.Admitted {
			continue
		}
		inTime := o.Delay > 0 && o.Delay <= left || i == waiting && givenBack(c) && left > 0
		inTime = inTime && !o.Blind && !buckets.Hopeless(charges, i) && !breaks(c)
		switch {
		case c.Role == buckets.Quota:
			if inTime && (quota.charge == nobody || o.Delay < quota.delay) {
				quota = lack{i, o.Delay}
			}
		case !inTime || c.Role == buckets.Gate:
			return lack{charge: i}, false
		case worst.charge == nobody || o.Delay > worst.delay:
			worst = lack{i, o.Delay}
		}
	}
	if quotas && !met {
		if quota.charge == nobody {
			return quota, false
		}
		if worst.charge == nobody || quota.delay > worst.delay {
			worst = quota
		}
	}
	if worst.charge != nobody && worst.delay == 0 {
		worst.delay = poll
	}
	return worst, true
}

// Restraint is the least time until somebody asks again to whom the store did not
// give what it had told him of. It never keeps him from the guarantee of his class,
// which nobody else can take.
func Restraint(c *buckets.Charge, o *buckets.Outcome) time.Duration {
	if c.Class != nil {
		if g, ok := c.Class.Guarantee.(buckets.TokenBucket); ok && c.Cost <= g.Capacity {
			return min(beaten, g.Refill(o.ClassUsed+c.Ticks()-g.Full()))
		}
	}
	return beaten
}

// givenBack tells of a bucket that has more only when somebody gives it back.
func givenBack(c *buckets.Charge) bool {
	_, ok := c.Bucket.(buckets.Slots)
	return ok
}

// breaks tells of a breaker. One that is open says that to ask is in vain, and is
// not waited for.
func breaks(c *buckets.Charge) bool {
	_, ok := c.Bucket.(buckets.Breaker)
	return ok
}

// refuse makes a request that the store would have admitted a refusal of the
// limit for which others wait. It may be soon that they do no more.
func refuse(charges []buckets.Charge, outcomes []buckets.Outcome, waiting int) {
	for i := range charges {
		if charges[i].Asks() && charges[i].Role == buckets.Enforce && !outcomes[i].Admitted {
			return
		}
	}
	o := &outcomes[waiting]
	o.Admitted, o.Borrowed = false, false
	if !givenBack(&charges[waiting]) {
		o.Delay = poll
	}
}

// looks is what a request asks for without taking it. What it gives back or
// settles is no question.
func looks(charges []buckets.Charge) []buckets.Charge {
	out := make([]buckets.Charge, len(charges))
	for i, c := range charges {
		if c.Mode == buckets.Take && c.Role != buckets.Gate {
			c.Mode = buckets.Look
		}
		out[i] = c
	}
	return out
}

// asksOf is the charges of a request that may be asked for again, and where they
// are in it.
func asksOf(charges []buckets.Charge) (again []buckets.Charge, index []int) {
	for i := range charges {
		if charges[i].Asks() && charges[i].Role != buckets.Gate {
			again, index = append(again, charges[i]), append(index, i)
		}
	}
	return again, index
}
