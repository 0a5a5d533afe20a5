package ratelimit

import (
	"context"
	"sync"

	"github.com/weir-rls/weir/internal/serving"
)

// crew are those who work until a context ends, or one of them fails.
type crew struct {
	ctx    context.Context
	failed chan error // has the first failure
	all    sync.WaitGroup
}

func newCrew(ctx context.Context) *crew { return &crew{ctx: ctx, failed: make(chan error, 1)} }

func (c *crew) start(work func() error) {
	c.all.Go(func() {
		err := serving.IgnoreClosed(work())
		if err == nil || c.ctx.Err() != nil {
			return
		}
		select {
		case c.failed <- err:
		default:
		}
	})
}

func (c *crew) wait() { c.all.Wait() }
