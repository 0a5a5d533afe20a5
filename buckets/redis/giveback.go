package redis

import (
	"errors"
	"net"
	"slices"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-rls/weir/buckets"
)

// pauses are those before what was taken is tried again to be given back. It comes back
// by itself, or its window is over, before long trying would help.
var pauses = [...]time.Duration{5 * time.Millisecond, 25 * time.Millisecond, 125 * time.Millisecond}

// giveBack gives back what a group took of a request that another group refused.
type giveBack struct {
	store   *Store
	charges []buckets.Charge // all in one slot
	retries int
	landing *landing // nil: nobody waits for it
}

func (b *giveBack) start() {
	r, err := newRequest(b.charges, b)
	if err == nil {
		err = b.store.queue.add(r)
	}
	if err != nil {
		b.Answer(nil, err)
	}
}

// Answer implements [buckets.Asker].
func (b *giveBack) Answer(_ []buckets.Outcome, err error) {
	if err != nil && notDone(err) && b.retries < len(pauses) {
		b.retries++
		time.AfterFunc(pauses[b.retries-1], b.start)
		return
	}
	if b.landing != nil {
		b.landing.land(err)
	}
}

// notDone tells that an error says that the call was not made, neither before nor
// after it: it was not sent, or the server says why it did not run it.
func notDone(err error) bool {
	var network *net.OpError
	if errors.Is(err, errFull) || errors.Is(err, goredis.ErrPoolTimeout) || errors.As(err, &network) && network.Op == "dial" {
		return true
	}
	refusals := []string{"MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "LOADING", "READONLY"}
	return slices.ContainsFunc(refusals, func(prefix string) bool { return goredis.HasErrorPrefix(err, prefix+" ") })
}

// landing tells when the last of several has landed, with the error of one that failed.
type landing struct {
	open   atomic.Int32
	failed atomic.Pointer[error]
	then   func(error)
}

func (l *landing) land(err error) {
	if err != nil {
		l.failed.Store(&err)
	}
	if l.open.Add(-1) > 0 {
		return
	}
	if failed := l.failed.Load(); failed != nil {
		err = *failed
	}
	l.then(err)
}
