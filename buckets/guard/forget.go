package guard

import (
	"context"
	"errors"

	"github.com/weir-rls/weir/buckets"
)

// ErrCannotForget is what Forget answers if one of its stores is no
// [buckets.Forgetter].
var ErrCannotForget = errors.New("the bucket store cannot forget single buckets")

// Forget makes buckets as if they were never seen, in the shared store and in what
// judges without it. No request waits for that, so the store has more time than a
// decision, and its error is the answer.
func (g *Guard) Forget(ctx context.Context, keys []string) error {
	ctx, cancel := context.WithTimeout(ctx, max(patience, g.options.Timeout))
	defer cancel()
	err := errors.Join(forget(ctx, g.options.Store, keys), forget(ctx, g.options.Local, keys))
	g.accounts.drop(keys)
	return err
}

func forget(ctx context.Context, store buckets.Store, keys []string) error {
	if f, ok := store.(buckets.Forgetter); ok {
		return f.Forget(ctx, keys)
	}
	return ErrCannotForget
}
