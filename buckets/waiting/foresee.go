package waiting

import (
	"time"

	"github.com/weir-rls/weir/buckets"
)

// Foresee tells whether the caller of a request that was just refused would be held
// instead, if he were to wait, and how long until he is admitted, if nobody else
// asks: 0 where nobody can tell. outcomes are what the store said to charges. It
// asks and takes nothing.
func (r *Room) Foresee(charges []buckets.Charge, outcomes []buckets.Outcome, w Wait) (wait time.Duration, held bool) {
	if w.Max <= 0 || charges[w.Charge].Mode != buckets.Take || charges[w.Charge].Role != buckets.Enforce || r.full(charges[w.Charge].Limit, w.Waiters) {
		return 0, false
	}
	if c, o := &charges[0], &outcomes[0]; reservable(charges) {
		b := c.Bucket.(buckets.TokenBucket)
		over := o.Used + c.Ticks() - b.Full()
		return o.Delay, over > 0 && over <= mayOwe(b, w.Max) && !c.Hopeless()
	}
	need, mayWait := lacks(charges, outcomes, w.Charge, w.Max)
	if !mayWait || need.charge == nobody {
		return 0, false
	}
	return outcomes[need.charge].Delay, true
}

// full tells that no more callers of a limit may wait.
func (r *Room) full(limit string, most int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.draining() || r.places[limit] >= most || r.taken >= r.options.MaxWaiters
}
