package guard

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// decideAlone judges a request without the shared store. It stays all or
// nothing: a charge that denies keeps the local ones from being taken.
func (g *Guard) decideAlone(ctx context.Context, charges []buckets.Charge, cause error) ([]buckets.Outcome, error) {
	g.tellDegraded(charges)
	refused, failed := deniedWithoutStore(charges)
	if failed || g.options.Strict && slices.ContainsFunc(charges, func(c buckets.Charge) bool { return c.OnStoreError == buckets.Fail }) {
		return nil, cause
	}
	replicas := int64(1)
	if g.options.Replicas != nil {
		replicas = max(1, g.options.Replicas())
	}
	notAsked := errors.Is(cause, ErrOpen)
	outcomes := make([]buckets.Outcome, len(charges))
	var local []buckets.Charge
	var at []int
	for i, c := range charges {
		if c.OnStoreError == buckets.Local {
			if refused && c.Mode == buckets.Take {
				c.Mode = buckets.Look
			}
			share := shareOf(c, replicas)
			if seeable(c.Bucket) {
				g.accounts.open(ctx, &charges[i], &share, replicas, notAsked)
				g.accounts.release(ctx, &share)
			}
			local, at = append(local, share), append(at, i)
			continue
		}
		denied := c.OnStoreError == buckets.Deny && c.Asks()
		outcomes[i] = buckets.Outcome{Admitted: !denied, Blind: true}
	}
	judged, err := g.options.Local.Take(ctx, local)
	if err != nil {
		return nil, err
	}
	for i, outcome := range judged {
		if c := &local[i]; outcome.Admitted && (c.Mode == buckets.Take || c.Mode == buckets.Settle) {
			g.accounts.note(&charges[at[i]], notAsked)
		}
		outcome.Alone = true
		outcomes[at[i]] = ofTheWhole(outcome, &charges[at[i]], replicas)
	}
	return outcomes, nil
}

func (g *Guard) tellDegraded(charges []buckets.Charge) {
	if g.options.Degraded == nil {
		return
	}
	for i := range charges {
		if charges[i].Asks() {
			g.options.Degraded(charges[i].OnStoreError)
		}
	}
}

// settlers are how many buckets the store is told of at once. It judges those that come
// together in one call.
const settlers = 64

// settleUp tells the store what was admitted without it, once: an answer that does not
// come leaves it unknown whether it was charged, so that bucket is not told again, and the
// others when the store is back.
func (g *Guard) settleUp(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	keys := make(chan string)
	var work sync.WaitGroup
	for range settlers {
		work.Go(func() {
			for key := range keys {
				if err := g.settle(ctx, key); err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, key := range g.accounts.owing() {
		if ctx.Err() != nil {
			break
		}
		keys <- key
	}
	close(keys)
	work.Wait()
	if err := context.Cause(ctx); errors.Is(err, errNotTold) {
		return err
	}
	return nil // all, or as many as there was time for
}

func (g *Guard) settle(ctx context.Context, key string) error {
	if ctx.Err() != nil {
		return nil
	}
	owed, any := g.accounts.close(ctx, key)
	if !any {
		return nil
	}
	charges := []buckets.Charge{owed}
	outcomes, err := g.ask(context.WithoutCancel(ctx), nil, time.Now(), patience, charges)
	if err != nil {
		return errors.Join(errNotTold, err)
	}
	g.seen.note(charges, outcomes)
	return nil
}

var errNotTold = errors.New("the bucket store was not told what was admitted without it")

// deniedWithoutStore tells whether a request is refused, or fails, by what its
// limits say of a store that does not answer: one that enforces, or all its
// quotas together.
func deniedWithoutStore(charges []buckets.Charge) (refused, failed bool) {
	quotas, denying := 0, 0
	for i := range charges {
		c := &charges[i]
		if !c.Asks() || c.Role == buckets.Shadow {
			continue
		}
		failed = failed || c.OnStoreError == buckets.Fail
		switch denies := c.OnStoreError == buckets.Deny; {
		case c.Role == buckets.Quota:
			quotas++
			if denies {
				denying++
			}
		case denies:
			refused = true
		}
	}
	return refused || quotas > 0 && denying == quotas, failed
}
