package redis

import (
	"encoding/binary"
	"fmt"
	"math"
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

// read reads the answer to a call, of all its requests. stale tells that nothing was
// done because a window that the call named was over.
func (c *batchCall) read(s *Store) (all []buckets.Outcome, stale bool, err error) {
	if c.inText() {
		if all, err = c.readTokens(c.text.Val()); err == nil {
			s.clock.set(all[0].Now)
		}
		return all, false, err
	}
	reply := c.ints.Val()
	if len(reply) > 0 {
		c.guess = reply[0]
		s.clock.set(c.guess)
	}
	if len(reply) == 1 && c.kinds&(1<<fixed) != 0 {
		return nil, true, nil
	}
	charges := make([]*buckets.Charge, 0, mostCharges)
	for _, r := range c.requests {
		for i := range r.charges {
			charges = append(charges, &r.charges[i])
		}
	}
	all, err = outcomes(charges, reply)
	return all, false, err
}

// outcomes reads a script's reply: now, then each charge's numbers.
func outcomes(charges []*buckets.Charge, reply []int64) ([]buckets.Outcome, error) {
	if len(reply) != 1+perCharge*len(charges) {
		return nil, fmt.Errorf("take from Redis: %d numbers answer %d charges, want %d", len(reply), len(charges), 1+perCharge*len(charges))
	}
	answer := make([]buckets.Outcome, len(charges))
	for i, c := range charges {
		numbers := [perCharge]int64(reply[1+perCharge*i:])
		if numbers[0] < refused || numbers[0] >= verdicts {
			return nil, fmt.Errorf("take from Redis: the verdict on charge %d is %d, want 0 to %d", i, numbers[0], verdicts-1)
		}
		answer[i] = outcome(c, numbers)
		answer[i].Now = reply[0]
	}
	return answer, nil
}

// readTokens reads what tokens.lua answers: now, and at which level each charge was
// judged. That tells all else.
func (c *batchCall) readTokens(reply string) ([]buckets.Outcome, error) {
	if len(reply) != 8*(1+c.charges) {
		return nil, fmt.Errorf("take from Redis: %d bytes answer %d charges, want %d", len(reply), c.charges, 8*(1+c.charges))
	}
	number := func(i int) int64 {
		return int64(math.Float64frombits(binary.LittleEndian.Uint64([]byte(reply[8*i : 8*i+8]))))
	}
	now, at := number(0), 1
	all := make([]buckets.Outcome, c.charges)
	for rest, i := all, 0; i < len(c.requests); i++ {
		charges := c.requests[i].charges
		levels := rest[:len(charges)]
		for j := range charges {
			level := number(at)
			if at++; level >= 0 {
				levels[j].Admitted = true
			} else {
				level = -1 - level
			}
			levels[j].Used, levels[j].Now = level, now
		}
		tokenOutcomes(charges, levels)
		rest = rest[len(charges):]
	}
	return all, nil
}

// tokenOutcomes completes the outcomes of a request that takes from token buckets,
// of which the verdicts are known and the levels that they were judged at.
func tokenOutcomes(charges []buckets.Charge, o []buckets.Outcome) {
	passes := true
	for i := range o {
		passes = passes && o[i].Admitted
		bucket := charges[i].Bucket.(buckets.TokenBucket)
		if !charges[i].Hopeless() {
			o[i].Delay = bucket.Refill(o[i].Used + charges[i].Ticks() - bucket.Full())
		}
	}
	// A bucket that is charged more than once ends as its last charge leaves it, or as
	// its first one found it.
	for i := len(o) - 1; i >= 0 && passes; i-- {
		o[i].Used += charges[i].Ticks()
		for j := i + 1; j < len(o); j++ {
			if charges[j].Key == charges[i].Key {
				o[i].Used = o[j].Used
				break
			}
		}
	}
	for i := 1; i < len(o) && !passes; i++ {
		for j := range i {
			if charges[j].Key == charges[i].Key {
				o[i].Used = o[j].Used
				break
			}
		}
	}
	for i := range o {
		o[i].Reset = charges[i].Bucket.(buckets.TokenBucket).Refill(o[i].Used)
	}
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
