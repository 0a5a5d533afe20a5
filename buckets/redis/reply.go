package redis

import (
	"fmt"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// perCharge is how many numbers of a reply answer one charge.
const perCharge = 5

// Verdicts, as judge.lua numbers them.
const (
	refused = iota
	admitted
	borrowed
	passedOver // by a gate that refused before
	verdicts
)

// outcomes reads a script's reply: now, then each charge's numbers.
func outcomes(charges []buckets.Charge, reply []int64) ([]buckets.Outcome, error) {
	if len(reply) != 1+perCharge*len(charges) {
		return nil, fmt.Errorf("take from Redis: %d numbers answer %d charges, want %d", len(reply), len(charges), 1+perCharge*len(charges))
	}
	answer := make([]buckets.Outcome, len(charges))
	for i := range charges {
		numbers := [perCharge]int64(reply[1+perCharge*i:])
		if numbers[0] < refused || numbers[0] >= verdicts {
			return nil, fmt.Errorf("take from Redis: the verdict on charge %d is %d, want 0 to %d", i, numbers[0], verdicts-1)
		}
		answer[i] = outcome(&charges[i], numbers)
		answer[i].Now = reply[0]
	}
	return answer, nil
}

// outcome reads the numbers of one charge: the verdict, the level, the class's
// level, and two that say of a token bucket at which levels it and its class were
// judged, of others the delay and the reset.
func outcome(c *buckets.Charge, n [perCharge]int64) buckets.Outcome {
	o := buckets.Outcome{
		Admitted: n[0] == admitted || n[0] == borrowed, Borrowed: n[0] == borrowed,
		Used: n[1], ClassUsed: n[2],
	}
	asks := (c.Mode == buckets.Take || c.Mode == buckets.Look) && n[0] != passedOver
	if c.Mode == buckets.Settle {
		o.Lost = n[3]
	}
	bucket, isTokens := c.Bucket.(buckets.TokenBucket)
	switch {
	case isTokens:
		o.Reset = bucket.Refill(o.Used)
		if asks && !c.Hopeless() {
			o.Delay = tokenDelay(c, bucket, o.Admitted, n[3], n[4])
		}
	case c.Class == nil:
		o.Reset = time.Duration(n[4]) * time.Microsecond
		if asks {
			o.Delay = time.Duration(n[3]) * time.Microsecond
		}
	}
	return o
}

// tokenDelay is the delay of a charge that found used ticks taken of its bucket,
// and mine of its class's.
func tokenDelay(c *buckets.Charge, b buckets.TokenBucket, admitted bool, used, mine int64) time.Duration {
	switch {
	case c.Class == nil:
		return b.Refill(used + c.Ticks() - b.Full())
	case admitted:
		return 0
	}
	return c.Class.Delay(b, used, mine, c.Ticks())
}
