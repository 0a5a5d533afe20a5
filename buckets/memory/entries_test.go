package memory

import (
	"fmt"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// A key that is refused, or finds a limit closed, is not held. Its entry must serve
// the next, or whoever rotates keys grows the store without ever being held.
func TestRefusedNewcomersUseNoEntries(t *testing.T) {
	c := newClock()
	s := New(Options{Now: func() time.Time { return c.now }})
	for i := range 10_000 {
		take(t, s, buckets.Charge{Key: fmt.Sprint("{k}", i), Bucket: bucket10(t, 10), Cost: 11})
	}
	if got := s.table.entries.size; got > 2 {
		t.Errorf("10,000 refused keys left %d entries, want the empty first and one", got)
	}
}

// A flood of keys must not cost memory for ever.
func TestAnEmptyStoreGivesItsMemoryBack(t *testing.T) {
	c := newClock()
	s := New(Options{Now: func() time.Time { return c.now }})
	for i := range 5000 {
		charge := buckets.Charge{Key: fmt.Sprint("{k}", i), Bucket: bucket10(t, 10), Cost: 5}
		if _, err := s.Take(t.Context(), []buckets.Charge{charge}); err != nil {
			t.Fatal(err)
		}
	}
	c.now = c.now.Add(time.Second)
	held := s.Held()
	take(t, s, buckets.Charge{Key: "{one}", Bucket: bucket10(t, 10), Cost: 5})
	if got := len(s.table.entries.chunks); held != 0 || got > 1 {
		t.Errorf("%d held after all refilled, in %d chunks, want none in 1", held, got)
	}
}
