package named

import (
	"context"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/waiting"
)

// margin is what a caller's deadline leaves for the answer's way back.
const margin = 5 * time.Millisecond

// key is that of a bucket in the store. The keys of domains begin with a brace, so
// no domain has one like it, whatever the id holds; the id decides the hash slot.
func key(id string) string { return "weir.bucket:{" + id + "}" }

// charge asks a bucket for tokens.
func (b *bucket) charge(mode buckets.Mode, tokens int64) []buckets.Charge {
	return []buckets.Charge{{Key: key(b.ID), Limit: prefix + b.ID, Bucket: b.tokens, Cost: tokens, Mode: mode}}
}

// Answer is what a caller is told who asked for tokens.
type Answer struct {
	Admitted  bool
	Never     bool          // refused, and so it will be always: more tokens than the bucket holds
	Remaining int64         // tokens left
	Delay     time.Duration // of a refusal: how long until the tokens are there, if nobody else asks
	Reset     time.Duration // until the bucket is full, if nobody asks
	Waited    time.Duration // how long the caller was held
	Alone     bool          // judged by this replica alone: the store does not answer
}

// Take takes tokens of a bucket, and waits for them at most as long as wait and
// the bucket allow, first come first served over all replicas. Who leaves, by ctx,
// takes nothing, and his place goes to who comes after him.
func (r *Registry) Take(ctx context.Context, id string, tokens int64, wait time.Duration) (Answer, error) {
	return r.TakeInTurn(ctx, id, tokens, wait, nil)
}

// TakeInTurn is [Registry.Take] that calls queued once its caller has a place among
// those who wait: who asks from then on comes after him. It is not called if he
// need not wait.
func (r *Registry) TakeInTurn(ctx context.Context, id string, tokens int64, wait time.Duration, queued func()) (Answer, error) {
	if tokens < 1 {
		return Answer{}, fault("tokens", "a caller must ask for at least 1 token", "write a whole number from 1 on")
	}
	b, err := r.known(ctx, id)
	if err != nil {
		return Answer{}, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline)-margin)
	}
	charges := b.charge(buckets.Take, tokens) // of which no more can be reserved than comes within max_wait
	outcomes, waited, err := r.o.Room.Take(ctx, charges, waiting.Wait{Max: wait, Waiters: b.MaxWaiters, Queued: queued})
	if err != nil {
		return Answer{}, err
	}
	a := b.answer(&charges[0], outcomes[0])
	a.Waited = waited
	return a, nil
}

// Get is a bucket and its level now.
func (r *Registry) Get(ctx context.Context, id string) (Definition, Answer, error) {
	p, err := r.fresh(ctx)
	if err != nil {
		return Definition{}, Answer{}, err
	}
	b, err := p.find(id)
	if err != nil {
		return Definition{}, Answer{}, err
	}
	charges := b.charge(buckets.Look, 1)
	outcomes, _, err := r.o.Room.Take(ctx, charges, waiting.Wait{})
	if err != nil {
		return Definition{}, Answer{}, err
	}
	return b.Definition, b.answer(&charges[0], outcomes[0]), nil
}

func (b *bucket) answer(c *buckets.Charge, o buckets.Outcome) Answer {
	a := Answer{Admitted: o.Admitted, Remaining: b.tokens.Remaining(o.Used), Reset: o.Reset, Alone: o.Alone}
	if !o.Admitted {
		a.Never, a.Delay = c.Hopeless(), o.Delay
	}
	return a
}
