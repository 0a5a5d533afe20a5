package waiting_test

import (
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/waiting"
)

// Whoever asks for several callers one after another learns when each has his
// place, so that none of them overtakes the one before.
func TestQueuedTellsThatAPlaceIsTaken(t *testing.T) {
	for name, charge := range map[string]func(lease string) buckets.Charge{
		"reserved":  func(string) buckets.Charge { return tokens(t, 1, time.Second, 1) },
		"in a line": func(lease string) buckets.Charge { return slots(1, lease) },
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, r *waiting.Room, store buckets.Store) {
				queued := make(chan struct{}, 1)
				w := waiting.Wait{Max: time.Hour, Waiters: 10, Queued: func() { queued <- struct{}{} }}
				if v := callOf(t.Context(), r, w, charge("first")); !v.passed() || len(queued) != 0 {
					t.Fatalf("%+v: who need not wait is told of a place", v)
				}
				ended := make(chan verdict, 1)
				go func() { ended <- callOf(t.Context(), r, w, charge("second")) }()
				<-queued
				if r.Waiting() != 1 || len(ended) != 0 {
					t.Error("told of a place that is not taken")
				}
				behind := started(t.Context(), r, time.Hour, charge("third"))
				giveBack(t, r, store, charge("first")) // of the tokens: one more is there at once, for who comes next
				v := <-ended
				if !v.passed() || len(behind) != 0 {
					t.Errorf("%+v, or the one behind was admitted before", v)
				}
				giveBack(t, r, store, charge("second"))
				<-behind
			})
		})
	}
}
