package waiting_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/waiting"
)

// Whoever waits for a slot of a bucket that is forgotten has it at once.
func TestForgetLetsThoseGoWhoWaitForTheBucket(t *testing.T) {
	inTime(t, func(t *testing.T, r *waiting.Room, _ buckets.Store) {
		call(t.Context(), r, 0, slots(1, "held"))
		waits := started(t.Context(), r, time.Hour, slots(1, "waits"))
		elapse(time.Millisecond)
		if err := r.Forget(t.Context(), []string{"{k}slots"}); err != nil {
			t.Fatal(err)
		}
		if v := <-waits; !v.passed() || v.waited > 2*time.Millisecond {
			t.Errorf("%+v, want it admitted when the bucket was forgotten", v)
		}
	})
}

// Who reserved keeps his instant, which may be long: a reset is no promise that
// is taken back. The bucket itself is full at once.
func TestForgetKeepsWhatWasReserved(t *testing.T) {
	inTime(t, func(t *testing.T, r *waiting.Room, _ buckets.Store) {
		one := tokens(t, 1, time.Second, 1)
		call(t.Context(), r, 0, one)
		waits := started(t.Context(), r, time.Hour, one)
		if err := r.Forget(t.Context(), []string{one.Key}); err != nil {
			t.Fatal(err)
		}
		if v := call(t.Context(), r, time.Hour, one); !v.passed() || v.waited != 0 {
			t.Errorf("%+v, want it admitted at once", v)
		}
		if v := <-waits; !v.passed() || v.waited != time.Second {
			t.Errorf("%+v, want it admitted when it was told", v)
		}
	})
}

func TestForgetOfAStoreThatCannot(t *testing.T) {
	r := newRoom(storeFunc(func(context.Context, []buckets.Charge) ([]buckets.Outcome, error) { return nil, errDown }))
	if err := r.Forget(t.Context(), []string{"{k}"}); !errors.Is(err, waiting.ErrCannotForget) {
		t.Errorf("%v", err)
	}
}
