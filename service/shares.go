package service

import (
	"context"
	"fmt"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/waiting"
	"github.com/weir-rls/weir/descriptors"
)

// Share is what one class has of its pool, and uses of it.
type Share struct {
	Domain, Pool, Class string
	Slots               bool // of slots, not of tokens
	Split               bool // there is a pool for each value of some entries, of which none was looked at

	// Of the whole pool, as it is now: tokens or slots, and tokens a second.
	Size, Used int64
	Rate       float64
	// Of the class: what it is guaranteed, and what it uses of that. A class that is
	// alone has the whole pool.
	Guaranteed, GuaranteedUsed int64
	GuaranteedRate             float64
	Borrows                    bool // it may use what others leave
}

// Shares looks at all pools of the rules. It takes nothing. An error means that the
// store did not answer.
func (s *Service) Shares(ctx context.Context) ([]Share, error) {
	rules := s.options.Rules()
	if rules == nil {
		return nil, ErrNoRules
	}
	stated := rules.Shares()
	shares := make([]Share, len(stated))
	for i := range stated {
		shares[i] = shareOf(&stated[i])
		if stated[i].Split {
			continue
		}
		c := stated[i].Charge
		c.Mode, c.Cost, c.OnStoreError = buckets.Look, 1, buckets.Fail
		outcomes, _, err := s.options.Room.Take(ctx, []buckets.Charge{c}, waiting.Wait{})
		if err != nil {
			return nil, fmt.Errorf("look at the pools: %w", err)
		}
		shares[i].Used = whole(outcomes[0].Used, c.Bucket)
		shares[i].GuaranteedUsed = shares[i].Used
		if c.Class != nil {
			shares[i].GuaranteedUsed = whole(outcomes[0].ClassUsed, c.Class.Guarantee)
		}
	}
	return shares, nil
}

func shareOf(stated *descriptors.Share) Share {
	l, bucket, class := stated.Class, stated.Charge.Bucket, stated.Charge.Class
	if stated.Split {
		bucket, class = l.Bucket, l.Class
	}
	_, slots := bucket.(buckets.Slots)
	s := Share{
		Domain: stated.Pool.Domain, Pool: stated.Pool.Name, Class: l.Name, Slots: slots, Split: stated.Split,
		Size: bucket.Size(), Rate: perSecond(bucket),
	}
	s.Guaranteed, s.GuaranteedRate = s.Size, s.Rate
	if class != nil {
		s.Guaranteed, s.GuaranteedRate, s.Borrows = class.Guarantee.Size(), perSecond(class.Guarantee), class.Borrow
	}
	return s
}

// whole are ticks in whole tokens or slots, rounded up.
func whole(ticks int64, b buckets.Bucket) int64 { return (ticks + b.Unit() - 1) / b.Unit() }

// perSecond is how many tokens come back in a second, 0 of what is no token bucket.
func perSecond(b buckets.Bucket) float64 {
	bucket, ok := b.(buckets.TokenBucket)
	if !ok || bucket.TicksPerToken == 0 || bucket.Quantum == 0 {
		return 0
	}
	return float64(bucket.TicksPerQuantum) * 1e6 / float64(bucket.TicksPerToken) / float64(bucket.Quantum)
}
