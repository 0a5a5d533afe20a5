package guard

import (
	"hash/maphash"
	"sync/atomic"
	"time"
)

const (
	heatCells = 1 << 12
	// heatWindow is the time in which requests are counted, and hotRequests how many
	// make a key hot: at more than 500 a second.
	heatWindow  = 100 * time.Millisecond
	hotRequests = 50
)

// heat counts the requests of each key in the present window, in 32 KB whatever
// callers send. Keys that fall into one cell count together: at 40,000 requests a second for
// many keys a cell counts one in 100 ms, and a key that is taken for hot by mistake is counted by itself
// from then on.
type heat struct {
	seed  maphash.Seed
	cells [heatCells]atomic.Uint64 // the window in the upper half, the requests in the lower
}

// count counts a request and tells whether its key is hot.
func (h *heat) count(key string, now time.Duration) bool {
	cell := &h.cells[maphash.String(h.seed, key)%heatCells]
	window := uint64(now/heatWindow) << 32
	for {
		was := cell.Load()
		is := window | 1
		if was&^(1<<32-1) == window {
			is = was + 1
		}
		if cell.CompareAndSwap(was, is) {
			return uint32(is) > hotRequests
		}
	}
}

// demand is what was asked in a window.
type demand struct{ requests, tokens int64 }

// pulse is the demand for one key, in the present window and in the one before.
type pulse struct {
	window       time.Duration // the present one, its number
	now, earlier demand
}

// turn makes the window of an instant the present one.
func (p *pulse) turn(now time.Duration) {
	switch window := now / heatWindow; window {
	case p.window:
	case p.window + 1:
		p.window, p.earlier, p.now = window, p.now, demand{}
	default:
		p.window, p.earlier, p.now = window, demand{}, demand{}
	}
}

// greatest is the greater demand of the two windows. The present one may have just begun.
func (p *pulse) greatest() demand {
	if p.now.tokens > p.earlier.tokens {
		return p.now
	}
	return p.earlier
}
