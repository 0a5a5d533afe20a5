package guard

import (
	"time"

	"github.com/weir-rls/weir/buckets"
)

// denial is a refusal that is remembered.
type denial struct {
	charge  buckets.Charge
	ticks   int64 // what the charge asks for
	outcome buckets.Outcome

	asked time.Duration // the instant before the store was asked, on this machine's clock
	holds time.Duration // how long it is certain from then on
	turn  uint64        // of its set, when the store was asked
	epoch uint64
}

func (d *denial) lives(now time.Duration) bool { return now >= d.asked && now-d.asked < d.holds }

// sameTerms tells that a charge of the same bucket names the terms that the refusal
// was judged by. Others may cut its level to what they allow. Each class of a pool
// has its own.
func (d *denial) sameTerms(c *buckets.Charge) bool {
	mine, its := d.charge.Class, c.Class
	sameClass := mine == its || d.charge.ClassKey != c.ClassKey || mine != nil && its != nil && *mine == *its
	return d.charge.Bucket == c.Bucket && sameClass
}

// asksTheSame tells that a charge of the same bucket by the same terms is refused
// where this one was.
func (d *denial) asksTheSame(c *buckets.Charge) bool {
	return d.charge.Cost == c.Cost && d.charge.MayOwe == c.MayOwe && d.charge.ClassKey == c.ClassKey
}

// holds is how long a refusal is certain from the instant of judging on. A bucket's
// clock may be coarser than the store's and in the middle of a quantum, and who may
// owe is admitted before the bucket has what he asks for. The numbers of a sliding
// window stand until a sub-window leaves it.
func holds(c *buckets.Charge, o *buckets.Outcome) time.Duration {
	certain := o.Delay
	switch b := c.Bucket.(type) {
	case buckets.TokenBucket:
		if c.MayOwe > 0 {
			certain = b.Refill(o.Used + c.Ticks() - b.Full() - c.MayOwe)
		}
		certain -= time.Duration(o.Now%b.Quantum) * time.Microsecond
	case buckets.SlidingWindow:
		certain = min(certain, time.Duration(b.Part()-o.Now%b.Part())*time.Microsecond)
	}
	return min(certain, longestDenial)
}

// at is the outcome as the store would tell it now.
func (d *denial) at(now time.Duration) buckets.Outcome {
	o, passed := d.outcome, (now-d.asked)/time.Microsecond
	o.Now += int64(passed)
	b, ok := d.charge.Bucket.(buckets.TokenBucket)
	if !ok {
		o.Delay -= passed * time.Microsecond
		o.Reset -= passed * time.Microsecond
		return o
	}
	quanta := o.Now/b.Quantum - d.outcome.Now/b.Quantum
	o.Used = max(0, o.Used-quanta*b.TicksPerQuantum)
	o.Delay, o.Reset = b.Refill(o.Used+d.ticks-b.Full()), b.Refill(o.Used)
	if class := d.charge.Class; class != nil {
		if g, ok := class.Guarantee.(buckets.TokenBucket); ok {
			o.ClassUsed = max(0, o.ClassUsed-quanta*g.TicksPerQuantum)
		}
		o.Delay = class.Delay(b, o.Used, o.ClassUsed, d.ticks)
	}
	return o
}
