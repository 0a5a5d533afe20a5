package redis

import (
	"sync/atomic"
	"time"
)

// clock guesses what the server's clock says, to know which window a request will
// be judged in. A wrong guess costs another call, never a wrong verdict.
type clock struct {
	local  func() int64 // microseconds since the epoch, never back
	behind atomic.Int64 // how far the local clock is behind the server's
}

func steadyClock() func() int64 {
	start := time.Now()
	micros := start.UnixMicro()
	return func() int64 { return micros + time.Since(start).Microseconds() }
}

func (c *clock) now() int64 { return c.local() + c.behind.Load() }

// set takes note of an instant that the server just answered. The time that its
// answer was under way is missing.
func (c *clock) set(now int64) { c.behind.Store(now - c.local()) }
