package redis

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"github.com/weir-rls/weir/buckets"
)

// arguments are a call's keys, then ARGV: the instant, which is empty but in
// tests, and each charge as CHARGE in bucket.lua reads it. Packed doubles carry
// integers below 2^53 exactly and cost the server one call to read, where seven
// numbers in text would cost seven.
func (s *Store) arguments(charges []buckets.Charge) []any {
	args := make([]any, 0, 2*len(charges)+1)
	for _, c := range charges {
		args = append(args, c.Key)
	}
	now := ""
	if s.now != nil {
		now = strconv.FormatInt(s.now(), 10)
	}
	args = append(args, now)
	for _, c := range charges {
		args = append(args, packCharge(c))
	}
	return args
}

func packCharge(c buckets.Charge) []byte {
	cost := c.Tokens() * c.Bucket.TicksPerToken
	if c.Bucket.Capacity == 0 {
		cost = c.Tokens() // a closed bucket has no ticks, and lacks one token for any cost
	}
	packed := make([]byte, 0, 42)
	packed = append(packed, byte(c.Mode), byte(c.Role))
	for _, n := range [...]int64{
		cost, c.Bucket.Full(),
		c.Bucket.TicksPerToken, c.Bucket.TicksPerQuantum, c.Bucket.Quantum,
	} {
		packed = binary.LittleEndian.AppendUint64(packed, math.Float64bits(float64(n)))
	}
	return packed
}

// outcomes reads a script's reply: now, then for each charge the ticks used and
// the ticks it lacked.
func outcomes(charges []buckets.Charge, reply []int64) ([]buckets.Outcome, error) {
	if len(reply) != 1+2*len(charges) {
		return nil, fmt.Errorf("take from Redis: %d numbers answer %d charges, want %d", len(reply), len(charges), 1+2*len(charges))
	}
	answer := make([]buckets.Outcome, len(charges))
	for i, c := range charges {
		used, short := reply[1+2*i], reply[2+2*i]
		answer[i] = buckets.Outcome{Admitted: short == 0, Used: used, Short: short, Now: reply[0]}
		if c.Bucket.Capacity == 0 {
			answer[i].Short = 0 // nothing refills it
		}
	}
	return answer, nil
}
