package buckets

import (
	"context"
	"time"
)

// MaxCharges is the most charges one [Store] call accepts. A store judges them
// in one atomic step, and 16 token buckets already hold a Redis for about 0.1 ms.
const MaxCharges = 16

// Store judges and applies the charges of one request in one atomic step, on
// the store's own clock.
type Store interface {
	// Take admits all enforcing charges or none, as [Judge] says, and answers
	// one outcome a charge in the same order. An error means that nothing is
	// known: the charges may or may not have been applied, so it must not be
	// tried again.
	Take(ctx context.Context, charges []Charge) ([]Outcome, error)
}

// Starter is a [Store] that can be asked by who does not wait for it: who waits
// beside it, and leaves when his time is over, needs no goroutine of his own for
// each call.
type Starter interface {
	Store
	// Start is Take that returns at once and tells asker the answer, once, when it
	// is there. The charges must not be changed until then.
	Start(charges []Charge, asker Asker)
}

// Asker is told what a [Starter] answers.
type Asker interface {
	// Answer takes what Take would return. It is called by who has other calls to
	// answer next, and must not wait for anything.
	Answer(outcomes []Outcome, err error)
}

// Trace follows one call to a store for a tracer. Who hands charges on hands it on, and
// knows nothing else of it.
type Trace interface {
	// Failed tells that the store failed, so that its guard decides.
	Failed(error)
}

// Traced is an [Asker] whose call may be followed.
type Traced interface {
	Asker
	Trace() Trace // nil: it is not
}

// Forgetter is a [Store] that can make buckets as if they were never seen. What is
// held of them, or reserved, is gone with them.
type Forgetter interface {
	// Forget forgets the buckets of keys, of a pool those of its classes only if
	// their keys are named too. A key without a bucket is no error. After an error
	// nobody knows which were forgotten; it may be tried again.
	Forget(ctx context.Context, keys []string) error
}

// Charge asks one bucket for tokens, looks at it, or gives tokens back.
type Charge struct {
	Key    string // the bucket; equal keys are one bucket, of one kind
	Limit  string // the limit the bucket belongs to: one of the rules' limits, a bounded set, unlike Key
	Bucket Bucket // how the bucket admits and recovers
	Cost   int64  // tokens, weight x hits, 0 or more; of [Slots], slots; of a [Breaker], see there
	Mode   Mode
	Role   Role

	// Class is what the class of the charge is guaranteed of the pool that Key
	// names, and ClassKey the bucket that accounts for it. Nil for what is no pool.
	Class    *Class
	ClassKey string

	// Lease names what is held of [Slots] or a [Breaker], so that it can be renewed
	// and given back once: up to 64 bytes of any kind, unique to a request and a
	// charge. Other buckets take no notice.
	Lease string
	// At is when what a [Refund] gives back was taken, so that it finds the window it
	// came from, and a [TokenBucket] keeps what has refilled since; or when the request
	// was admitted whose end a [Settle] tells a [Breaker]: in microseconds since the
	// epoch on the store's clock. 0 is not known.
	At int64
	// MayOwe is how many ticks beyond a full [TokenBucket] a [Take] may reserve:
	// what refills while its caller is ready to wait. 0 does not wait.
	MayOwe int64
	// Place is the reservation that a [Cancel] gives up.
	Place Place

	OnStoreError OnStoreError
	// Exact wants the store to judge the charge, whatever this replica may have taken
	// of the bucket ahead.
	Exact bool
}

// Hopeless tells that the charge can never be admitted, however long one waits:
// it asks for more than a full bucket holds, or than its class of a pool may
// ever have.
func (c *Charge) Hopeless() bool {
	return c.Asks() && c.Cost > c.Most()
}

// Asks tells that the charge can be refused.
func (c *Charge) Asks() bool { return c.Mode == Take || c.Mode == Look }

// Owed tells that one of the charges gives back or settles. Such a call is the last that
// is turned away for want of room: what is not given back stays taken.
func Owed(charges []Charge) bool {
	for i := range charges {
		if !charges[i].Asks() {
			return true
		}
	}
	return false
}

// Hopeless tells that charge i can never be admitted together with what the
// request asks of the same bucket before it.
func Hopeless(charges []Charge, i int) bool {
	c := &charges[i]
	if !c.Asks() {
		return false
	}
	asked := min(c.Cost, c.Most()+1)
	for j := range charges[:i] {
		earlier := &charges[j]
		if earlier.Key == c.Key && earlier.Mode == Take && earlier.Role == Enforce {
			asked += min(earlier.Cost, earlier.Most()+1)
		}
	}
	return asked > c.Most()
}

// Most is the largest cost that the charge's bucket can ever admit.
func (c *Charge) Most() int64 {
	if c.Class != nil {
		return c.Class.most(c.Bucket)
	}
	return c.Bucket.Size()
}

// Ticks is the cost in the units in which the bucket counts, without what lies
// beyond a full bucket: one token more than the capacity is refused like a
// million more, and a refund fills at most the bucket. It keeps Cost*P exact.
// A settlement may reach further, down to the debt that the bucket allows.
func (c *Charge) Ticks() int64 {
	most := c.Bucket.Size()
	switch c.Mode {
	case Take, Look:
		most++
	case Settle:
		return min(c.Cost, c.Bucket.Deepest()/c.Bucket.Unit()+1) * c.Bucket.Unit()
	}
	return min(c.Cost, most) * c.Bucket.Unit()
}

// Mode is what a charge does to its bucket.
type Mode uint8

const (
	Take   Mode = iota // take Cost tokens if the whole request passes
	Look               // judge Cost tokens, take nothing
	Refund             // give Cost tokens back, never above full, whatever becomes of the request
	Settle             // take Cost tokens that were used already, whatever becomes of the request, down to the bucket's debt
	Cancel             // give up the reservation Place if no later one was made; admitted tells whether it was given up
)

// Role is what a charge's refusal means for the request.
type Role uint8

const (
	Enforce Role = iota // refuses the request
	Shadow              // is reported only; the bucket is charged where it admits and the request passes
	Quota               // refuses the request if every other quota of it refuses too; charged where it admits
	Gate                // stops everything: nothing after it in the call happens, refunds and settlements included; not for calls with takes, with which it would fall
)

// OnStoreError is what becomes of a charge whose store does not answer.
type OnStoreError uint8

const (
	Local OnStoreError = iota // judge it in memory
	Allow                     // admit it
	Deny                      // refuse it
	Fail                      // fail the call: Envoy's failure mode decides
)

// String is the word of the rule language.
func (o OnStoreError) String() string { return [...]string{"local", "allow", "deny", "error"}[o] }

// Outcome is a store's answer to one charge.
type Outcome struct {
	Admitted bool // this bucket admits the charge; the request passes if every enforcing charge was admitted
	Borrowed bool // a pool admitted the charge from what other classes leave

	// Used is the bucket's level, in ticks used, after the request was decided:
	// with the charge if the request passed, without it if not. Of a pool it is
	// that of the pool, and ClassUsed that of the class.
	Used, ClassUsed int64

	// Delay is how long until the charge would have been admitted, had nobody else
	// asked: the least such time, to the bucket's clock. Of an admitted one it is
	// how long its caller has to wait for the tokens that it reserved. 0 where no
	// time can be told: the charge is hopeless, or a slot must be given back first.
	Delay time.Duration
	// Reset is how long until the bucket is full again if nothing more is asked
	// of it, or its window ends. Of a sliding window, when its last tokens are back.
	Reset time.Duration
	// Lost is what a [Settle] could not charge because the bucket would owe too
	// much, in ticks.
	Lost int64

	// Now is the instant of judging on the store's clock, in microseconds since
	// the epoch.
	Now int64

	// Blind marks a verdict without the bucket, of which the numbers say nothing: that
	// of [OnStoreError] on a store that did not answer, or admitted beside a charge that
	// was known to be refused, so that nobody asked. Alone marks one of this process's
	// own memory while the store does not answer, which knows nothing of it.
	Blind, Alone bool
}
