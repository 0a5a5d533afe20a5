package limiter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/waiting"
)

const (
	// MaxWait is the longest that [Limiter.Wait] waits.
	MaxWait = time.Hour

	// maxWaiters bounds the calls of a process that wait for buckets of one capacity
	// and rate: 10,000 of them hold some 5 MB beside their goroutines.
	maxWaiters = 10_000
)

// ErrRefused is wrapped by the error of a [Limiter.Wait] that does not get its
// tokens in time.
var ErrRefused = errors.New("refused")

// Decision is the answer to a call.
type Decision struct {
	Allowed bool

	// Remaining is how many whole tokens the bucket holds after the call.
	Remaining int64
	// RetryAfter is how long until a refused call would be allowed if nobody else
	// asked meanwhile. It is 0 for one that is allowed, and for one that waiting does
	// not help: it asks for more than the bucket's capacity, or the store does not
	// answer.
	RetryAfter time.Duration
	// Reset is how long until the bucket is full again if nobody asks.
	Reset time.Duration
}

// Allow takes tokens of a key and reports whether they were there. A refused call
// takes nothing.
//
// The error is the context's when that has ended, names an option that cannot be
// used, or is the store's, if the limiter is to [ReturnError]; nothing is allowed
// then.
func (l *Limiter) Allow(ctx context.Context, key string, opts ...Option) (bool, error) {
	d, err := l.Decide(ctx, key, opts...)
	return d.Allowed, err
}

// Decide is [Limiter.Allow] with numbers. They are 0 where the store did not answer
// and the limiter is to [AdmitAll] or [RefuseAll].
func (l *Limiter) Decide(ctx context.Context, key string, opts ...Option) (Decision, error) {
	want, err := compile(opts)
	if err != nil {
		return Decision{}, err
	}
	return l.decide(ctx, key, &want)
}

func (l *Limiter) decide(ctx context.Context, key string, want *limit) (Decision, error) {
	if gone := ctx.Err(); gone != nil {
		return Decision{}, gone
	}
	outcomes, err := l.store.Take(ctx, l.charges(key, want))
	switch gone := ctx.Err(); {
	case err != nil && gone != nil:
		return Decision{}, gone
	case err != nil:
		return Decision{}, fmt.Errorf("limiter: %w", err)
	}
	o := &outcomes[0]
	d := Decision{Allowed: o.Admitted, Reset: o.Reset}
	if !o.Blind {
		d.Remaining = want.bucket.Remaining(o.Used)
	}
	if !o.Admitted {
		d.RetryAfter = o.Delay
	}
	return d, nil
}

// Wait takes tokens of a key as soon as they are there: it returns nil when they
// are. Who comes first is served first, over all processes that share a store, and
// who waits is not overtaken by [Limiter.Allow].
//
// Where the tokens will not be there before the context's deadline or within
// [MaxWait], or where 10,000 calls with this capacity and rate wait already, the
// error is [ErrRefused], at once, and nothing is taken. When the context ends
// meanwhile, the error is the context's, and the tokens go to those who wait behind;
// an answer of Redis that is on its way is waited for, up to Options.Timeout, to
// give back what it brings. Other errors are those of [Limiter.Allow].
func (l *Limiter) Wait(ctx context.Context, key string, opts ...Option) error {
	want, err := compile(opts)
	if err != nil {
		return err
	}
	if gone := ctx.Err(); gone != nil {
		return gone
	}
	longest := MaxWait
	if deadline, ok := ctx.Deadline(); ok {
		longest = min(longest, time.Until(deadline))
	}
	outcomes, _, err := l.room.Take(ctx, l.charges(key, &want), waiting.Wait{Max: longest, Waiters: maxWaiters})
	switch gone := ctx.Err(); {
	case err != nil && gone != nil:
		return gone
	case err != nil:
		return fmt.Errorf("limiter: %w", err)
	case !outcomes[0].Admitted:
		return fmt.Errorf("limiter: %w: %s", ErrRefused, l.reason(&want, &outcomes[0], longest))
	}
	return nil
}

// reason is why a call that would have waited was refused.
func (l *Limiter) reason(want *limit, o *buckets.Outcome, longest time.Duration) string {
	switch {
	case o.Blind:
		return "the store does not answer"
	case want.requested > want.bucket.Capacity:
		return fmt.Sprintf("WithRequested(%d) asks for more than WithCapacity(%d) holds", want.requested, want.bucket.Capacity)
	case o.Delay > longest && longest < MaxWait:
		return fmt.Sprintf("the tokens are there in %v, after the context's deadline in %v", o.Delay, longest)
	case o.Delay > longest:
		return fmt.Sprintf("the tokens are there in %v, and nobody waits longer than %v", o.Delay, MaxWait)
	case l.closed.Load():
		return "the limiter is closed"
	}
	return fmt.Sprintf("%d calls with this capacity and rate wait already", maxWaiters)
}

func (l *Limiter) charges(key string, want *limit) []buckets.Charge {
	return []buckets.Charge{{
		Key: bucketKey(key), Limit: want.name, Bucket: want.bucket, Cost: want.requested, OnStoreError: l.onStoreError,
	}}
}
