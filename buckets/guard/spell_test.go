package guard_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/guard"
	"github.com/weir-rls/weir/buckets/memory"
)

// A store that fails now and then is two lines of a log, not two a request.
func TestSpell_BeginsOnceAndCeasesAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s guard.Spell
		note := func(err error, began, ceased bool) {
			t.Helper()
			if b, c := s.Note(err); b != began || c != ceased {
				t.Errorf("%v: began %v, ceased %v; want %v, %v", err, b, c, began, ceased)
			}
		}
		note(nil, false, false)
		note(errDown, true, false)
		note(nil, false, false)
		elapse(4 * time.Second)
		note(errDown, false, false)
		elapse(4 * time.Second)
		note(nil, false, false)
		elapse(2 * time.Second)
		note(nil, false, true)
		note(nil, false, false)
		note(errDown, true, false)
	})
}

// Whose answer depends on what was counted must be told that nothing was.
func TestStrict_ASettlementThatAsksForAnErrorFails(t *testing.T) {
	for _, mode := range []buckets.Mode{buckets.Settle, buckets.Refund} {
		for _, strict := range []bool{false, true} {
			g := guard.New(guard.Options{
				Store: down, Local: memory.New(memory.Options{}), Timeout: 10 * time.Millisecond, Observe: func(context.Context, time.Duration, error) {}, Strict: strict,
			})
			settles := charge("{a}", 1, buckets.Fail)
			settles.Mode = mode
			if _, err := g.Take(context.Background(), []buckets.Charge{settles}); errors.Is(err, errDown) != strict {
				t.Errorf("mode %d, strict %v: %v", mode, strict, err)
			}
			settles.OnStoreError = buckets.Allow
			if _, err := g.Take(context.Background(), []buckets.Charge{settles}); err != nil {
				t.Errorf("mode %d, strict %v, and nobody asks for an error: %v", mode, strict, err)
			}
		}
	}
}
