package buckets

import "context"

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

// Charge asks one bucket for tokens, looks at it, or gives tokens back.
type Charge struct {
	Key    string // the bucket; equal keys are one bucket
	Limit  string // the limit the bucket belongs to: one of the rules' limits, a bounded set, unlike Key
	Bucket TokenBucket
	Cost   int64 // tokens, weight x hits, 0 or more
	Mode   Mode
	Role   Role

	OnStoreError OnStoreError
}

// Hopeless tells that the charge can never be admitted, however long one waits:
// it asks for more than a full bucket holds.
func (c Charge) Hopeless() bool { return c.Mode != Refund && c.Cost > c.Bucket.Capacity }

// Tokens is the cost without what lies beyond a full bucket: one token more
// than the capacity is refused like a million more, and a refund fills at most
// the bucket. It keeps Cost*P exact.
func (c Charge) Tokens() int64 {
	if c.Mode == Refund {
		return min(c.Cost, c.Bucket.Capacity)
	}
	return min(c.Cost, c.Bucket.Capacity+1)
}

// Mode is what a charge does to its bucket.
type Mode uint8

const (
	Take   Mode = iota // take Cost tokens if the whole request passes
	Look               // judge Cost tokens, take nothing
	Refund             // give Cost tokens back, never above full, whatever becomes of the request
)

// Role is what a charge's refusal means for the request.
type Role uint8

const (
	Enforce Role = iota // refuses the request
	Shadow              // is reported only; the bucket is charged where it admits and the request passes
)

// OnStoreError is what becomes of a charge whose store does not answer.
type OnStoreError uint8

const (
	Local OnStoreError = iota // judge it in memory
	Allow                     // admit it
	Deny                      // refuse it
	Fail                      // fail the call: Envoy's failure mode decides
)

// Outcome is a store's answer to one charge.
type Outcome struct {
	Admitted bool // this bucket admits the charge; the request passes if every enforcing charge was admitted

	// Used is the bucket's level, in ticks used, after the request was decided:
	// with the charge if the request passed, without it if not.
	Used int64
	// Short is how many ticks the charge lacked when it was judged, 0 if it was
	// admitted. Refill(Short) is the delay after which it would have passed.
	Short int64
	// Now is the instant of judging on the store's clock, in microseconds since
	// the epoch.
	Now int64

	// Blind marks a verdict of [OnStoreError] on a store that did not answer:
	// Used, Short and Now say nothing.
	Blind bool
}
