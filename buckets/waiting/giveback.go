package waiting

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/weir-rls/weir/buckets"
)

const (
	// patience is how long a call that gives reservations back may take, and all
	// of them together once the room is drained.
	patience = time.Second

	// maxErrands bounds the calls that give reservations back at a time, so that
	// 10,000 callers who leave together do not hold up those who ask.
	maxErrands = 16
)

// giveBack gives spare slots of one bucket back when the store has time for it;
// nobody waits for that. r.mu is held.
func (r *Room) giveBack(spares ...slot) {
	if len(spares) == 0 {
		return
	}
	bucket := spares[0].give.Key
	_, underWay := r.spares[bucket]
	r.spares[bucket] = append(r.spares[bucket], spares...)
	if !underWay {
		go r.returnAll(bucket)
	}
}

// returnAll gives the spare slots of a bucket back until there are none.
func (r *Room) returnAll(bucket string) {
	r.errands <- struct{}{}
	defer func() { <-r.errands }()
	for {
		cancels := r.latestSpares(bucket)
		if len(cancels) == 0 {
			return
		}
		outcomes, err := r.cancel(cancels)
		back := false
		for i := range cancels {
			fate := Lost
			// A blind verdict is not the store's: nobody knows whether it was the last.
			if err == nil && outcomes[i].Admitted && !outcomes[i].Blind {
				fate, back = GivenBack, true
			}
			r.options.Left(cancels[i].Limit, fate)
		}
		if back {
			r.Released(bucket)
		}
	}
}

// latestSpares takes as many spare slots of a bucket as go into one call, the
// latest first: each can be given back once those after it are.
func (r *Room) latestSpares(bucket string) []buckets.Charge {
	r.mu.Lock()
	defer r.mu.Unlock()
	spares := r.spares[bucket]
	if len(spares) == 0 {
		delete(r.spares, bucket)
		r.returned.Broadcast()
		return nil
	}
	slices.SortFunc(spares, func(a, b slot) int { return b.order(a) })
	n := min(len(spares), buckets.MaxCharges)
	r.spares[bucket] = spares[n:]
	cancels := make([]buckets.Charge, n)
	for i := range cancels {
		cancels[i] = *spares[i].give
	}
	return cancels
}

// cancel asks the store once: after an error nobody knows whether the slots were
// given back, and twice would be too often. It runs outside of a handler's
// recovery, so a panic in the store becomes its error here.
func (r *Room) cancel(cancels []buckets.Charge) (_ []buckets.Outcome, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("the bucket store panicked: %v", cause)
		}
	}()
	ctx, done := context.WithTimeout(r.life, patience)
	defer done()
	if gone := ctx.Err(); gone != nil {
		return nil, gone
	}
	return r.store.Take(ctx, cancels)
}
