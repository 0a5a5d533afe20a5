package service

import (
	"context"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/waiting"
	"github.com/weir-rls/weir/descriptors"
)

// answerMargin is what a caller's deadline leaves for the answer's way back.
const answerMargin = 5 * time.Millisecond

// waitOf is how long the request may be held: as long as the first of its limits
// that lets callers wait allows and its caller wants, and never so long that the
// answer would come after the caller's deadline.
func waitOf(ctx context.Context, matches []descriptors.Match, a attempt) waiting.Wait {
	charge := 0
	for i := range matches {
		m := &matches[i]
		if m.Limit.Unlimited {
			continue
		}
		if m.Limit.MaxWait > 0 && m.Charge.Mode == buckets.Take && m.Charge.Role == buckets.Enforce {
			longest := min(m.Limit.MaxWait, a.longest)
			if !a.first {
				longest -= time.Since(a.start)
			}
			if deadline, limited := ctx.Deadline(); limited {
				longest = min(longest, time.Until(deadline)-answerMargin)
			}
			return waiting.Wait{Charge: charge, Max: longest, Waiters: m.Limit.MaxWaiters, Changed: a.changed}
		}
		charge++
	}
	return waiting.Wait{}
}

// handBack gives back at once what a caller holds that left while it was decided:
// no receipt will reach it.
func (s *Service) handBack(ctx context.Context, rules *descriptors.Rules, v *verdict) {
	var charges []buckets.Charge
	for i := range v.met {
		m := &v.met[i]
		if !v.over && m.Admitted && !m.Blind && decidesLater(m.Match) {
			c := m.Charge
			c.Mode, c.At = buckets.Refund, m.Now
			charges = append(charges, c)
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	s.apply(ctx, rules, charges) // what is not given back comes back when its time is over
}
