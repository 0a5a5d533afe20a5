package redis

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// The kinds of buckets, as the scripts number them less one.
const (
	tokens = iota
	fixed
	sliding
	slots
	breaker
)

// kindSet has a bit for each kind.
type kindSet uint8

// maxLease is the longest lease, in bytes, that [buckets.Charge] allows.
const maxLease = 64

// lookAhead is how long before the end of a window the next one is sent along: the
// guess is behind the server by the time that its last answer was under way and
// that this call will be. Else each replica's first calls of each window would be
// made twice.
const lookAhead = int64(time.Second / time.Microsecond)

// newRequest is a request of charges that can be sent.
func newRequest(charges []buckets.Charge, asker buckets.Asker) (request, error) {
	r := request{charges: charges, asker: asker, plain: true, slot: slotOf(charges[0].Key)}
	for i := range charges {
		charge := &charges[i]
		kind := kindOf(charge.Bucket)
		if kind < 0 {
			return r, fmt.Errorf("a bucket of type %T is of no known kind", charge.Bucket)
		}
		r.kinds |= 1 << kind
		r.plain = r.plain && kind == tokens && charge.Mode == buckets.Take && charge.Role == buckets.Enforce && charge.Class == nil && charge.MayOwe == 0
		if charge.Class != nil {
			if kindOf(charge.Class.Guarantee) != kind {
				return r, errors.New("a class's guarantee is of another kind than its pool")
			}
		}
		if len(charge.Lease) > maxLease {
			return r, fmt.Errorf("a lease of %d bytes: at most %d are allowed", len(charge.Lease), maxLease)
		}
	}
	return r, nil
}

func kindOf(b buckets.Bucket) int {
	switch b.(type) {
	case buckets.TokenBucket:
		return tokens
	case buckets.FixedWindow:
		return fixed
	case buckets.SlidingWindow:
		return sliding
	case buckets.Slots:
		return slots
	case buckets.Breaker:
		return breaker
	}
	return -1
}

// packCharge packs a charge as judge.lua reads it. Packed doubles carry integers
// below 2^53 exactly and cost the server one call to read, where ten numbers in text
// would cost ten. guess is what the server's clock may say.
func packCharge(c *buckets.Charge, guess int64) []byte {
	packed := make([]byte, 0, 5+9*8+1+len(c.Lease)+10*8)
	packed = append(packed, byte(kindOf(c.Bucket)+1), byte(c.Mode), byte(c.Role), bit(c.Hopeless()))
	if c.Class == nil {
		packed = packNumbers(append(packed, 0), numbers(c, c.Bucket, guess))
		return packLease(packed, c.Lease)
	}
	packed = packNumbers(append(packed, 1+bit(c.Class.Borrow)), numbers(c, c.Bucket, guess))
	packed = packNumbers(packLease(packed, c.Lease), numbers(c, c.Class.Guarantee, guess))
	return appendNumber(packed, c.Class.Keep)
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func packLease(packed []byte, lease string) []byte {
	return append(append(packed, byte(len(lease))), lease...)
}

func packNumbers(packed []byte, numbers [9]int64) []byte {
	for _, n := range numbers {
		packed = appendNumber(packed, n)
	}
	return packed
}

func appendNumber(packed []byte, n int64) []byte {
	return binary.LittleEndian.AppendUint64(packed, math.Float64bits(float64(n)))
}

// numbers are what a charge says to a bucket: the ticks, two numbers that go with
// the mode, the full and the deepest level, and up to four of the kind.
func numbers(c *buckets.Charge, b buckets.Bucket, guess int64) [9]int64 {
	ticks, full, deepest := c.Ticks(), b.Full(), b.Deepest()
	switch b := b.(type) {
	case buckets.TokenBucket:
		x, y := tokenNumbers(c, b)
		return [9]int64{ticks, x, y, full, deepest, b.Missing, b.TicksPerToken, b.TicksPerQuantum, b.Quantum}
	case buckets.FixedWindow:
		start, end := b.Calendar.Bounds(guess)
		following := end
		if end-guess < lookAhead {
			_, following = b.Calendar.Bounds(end)
		}
		return [9]int64{ticks, windowNumber(c, deepest), 0, full, deepest, start, end, following}
	case buckets.SlidingWindow:
		return [9]int64{ticks, windowNumber(c, deepest), 0, full, deepest, b.Part(), b.Parts}
	case buckets.Slots:
		return [9]int64{ticks, c.MayOwe, 0, full, deepest, b.TTL}
	case buckets.Breaker:
		return [9]int64{ticks, breakerNumber(c), 0, full, deepest, b.Failures, b.OpenFor, b.Probes, b.ProbeTTL}
	}
	return [9]int64{}
}

// tokenNumbers are how far a take may owe, when what a refund gives back was taken,
// the level that a settlement reaches, or the place of a reservation.
func tokenNumbers(c *buckets.Charge, b buckets.TokenBucket) (x, y int64) {
	switch {
	case c.Mode == buckets.Refund:
		return c.At, 0
	case c.Mode == buckets.Settle && b.Capacity > 0:
		return b.Full() + b.Debt, 0
	case c.Mode == buckets.Cancel:
		return c.Place.TAT, c.Place.Part
	case c.Mode == buckets.Take, c.Mode == buckets.Look:
		return c.MayOwe, 0
	}
	return 0, 0
}

// windowNumber is the level that a settlement reaches, when a refund was taken,
// or how far a take may owe.
func windowNumber(c *buckets.Charge, deepest int64) int64 {
	switch c.Mode {
	case buckets.Settle:
		return deepest
	case buckets.Refund:
		return c.At
	}
	return c.MayOwe
}

// breakerNumber is when the request was admitted whose end is told, or how far a
// take may owe.
func breakerNumber(c *buckets.Charge) int64 {
	if c.Mode == buckets.Settle {
		return c.At
	}
	return c.MayOwe
}
