// Package guard stands between the service and a store that can fail: it bounds
// how long a decision may wait for the store, and decides when the store does
// not answer.
package guard

import (
	"context"
	"errors"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// margin is what a caller's deadline leaves for the answer's way back.
const margin = 5 * time.Millisecond

// Options are a guard's settings. Store, Local and Observe are required.
type Options struct {
	Store   buckets.Store // the shared store
	Local   buckets.Store // judges [buckets.Local] limits while the shared store does not answer
	Timeout time.Duration // how long a call may wait for the store
	Observe func(time.Duration, error)
}

// Guard is a store that always answers in time, unless a limit asks for an
// error.
type Guard struct{ Options }

var _ buckets.Store = (*Guard)(nil)

// New returns a guard.
func New(o Options) *Guard { return &Guard{o} }

// Take asks the store and, when it fails, each charge's [buckets.OnStoreError].
// It returns the store's error only for a charge that asks for it, and the
// caller's own when the caller has left. A store that did not answer in time
// may still have taken the charges, so it is never asked again.
func (g *Guard) Take(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
	limit := time.Now().Add(g.Timeout)
	if deadline, ok := ctx.Deadline(); ok && deadline.Add(-margin).Before(limit) {
		limit = deadline.Add(-margin)
	}
	bounded, cancel := context.WithDeadline(ctx, limit)
	defer cancel()

	start := time.Now()
	outcomes, err := g.Store.Take(bounded, charges)
	if gone := ctx.Err(); err != nil && gone != nil {
		return nil, errors.Join(gone, err)
	}
	g.Observe(time.Since(start), err)
	if err != nil {
		return g.decideAlone(ctx, charges, err)
	}
	return outcomes, nil
}

// decideAlone judges a request without the shared store. It stays all or
// nothing: a charge that denies keeps the local ones from being taken.
func (g *Guard) decideAlone(ctx context.Context, charges []buckets.Charge, cause error) ([]buckets.Outcome, error) {
	refused := false
	for _, c := range charges {
		enforces := c.Role == buckets.Enforce && c.Mode != buckets.Refund
		if enforces && c.OnStoreError == buckets.Fail {
			return nil, cause
		}
		refused = refused || enforces && c.OnStoreError == buckets.Deny
	}
	outcomes := make([]buckets.Outcome, len(charges))
	var local []buckets.Charge
	var at []int
	for i, c := range charges {
		if c.OnStoreError == buckets.Local {
			if refused && c.Mode == buckets.Take {
				c.Mode = buckets.Look
			}
			local, at = append(local, c), append(at, i)
			continue
		}
		denied := c.OnStoreError == buckets.Deny && c.Mode != buckets.Refund
		outcomes[i] = buckets.Outcome{Admitted: !denied, Blind: true}
	}
	judged, err := g.Local.Take(ctx, local)
	if err != nil {
		return nil, err
	}
	for i, outcome := range judged {
		outcomes[at[i]] = outcome
	}
	return outcomes, nil
}
