package waiting_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/waiting"
)

// Whoever waits in a line carries what the rules said when he came. When they
// change he is told, and so are all behind him; who came after the change is not.
func TestAChangeOfRulesEndsTheWaitOfALine(t *testing.T) {
	inTime(t, func(t *testing.T, r *waiting.Room, _ buckets.Store) {
		call(t.Context(), r, 0, slots(1, "held"))
		before := r.Changed()
		errs := make(chan error, 3)
		wait := func(lease string, changed <-chan struct{}) {
			_, _, err := r.Take(t.Context(), []buckets.Charge{slots(1, lease)}, waiting.Wait{Max: time.Hour, Waiters: 10, Changed: changed})
			errs <- err
		}
		go wait("first", before)
		elapse(time.Second)
		go wait("second", before)
		elapse(time.Second)
		r.Change()
		for range 2 {
			if err := <-errs; !errors.Is(err, waiting.ErrChanged) {
				t.Errorf("answered %v, want that the rules have changed", err)
			}
		}
		ctx, leave := context.WithCancel(t.Context())
		go func() {
			_, _, err := r.Take(ctx, []buckets.Charge{slots(1, "third")}, waiting.Wait{Max: time.Hour, Waiters: 10, Changed: r.Changed()})
			errs <- err
		}()
		elapse(time.Second)
		if r.Waiting() != 1 {
			t.Error("who came after the change does not wait")
		}
		leave()
		<-errs
		empty(t, r)
	})
}
