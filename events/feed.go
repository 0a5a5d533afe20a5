package events

import (
	"context"
	"sync"
)

// Feed is a sink that keeps the latest events for people who look at them, and wakes
// those who wait for more. However many look and however slow they are, it holds the
// same: who comes too late is told how many he has missed.
type Feed struct {
	mu    sync.Mutex
	kept  []Numbered // in a ring, the oldest at next % len once it is full
	next  int64      // number of the next event
	grown chan struct{}
}

// Numbered is an event with its place in the order of all that this process told.
type Numbered struct {
	Number int64 `json:"number"` // from 1
	Event
}

// NewFeed returns a feed that keeps so many events.
func NewFeed(keep int) *Feed {
	return &Feed{kept: make([]Numbered, 0, keep), next: 1, grown: make(chan struct{})}
}

// Sink is the feed as events are brought to it.
func (f *Feed) Sink() Sink {
	return Sink{Name: "feed", Send: func(_ context.Context, events []Event) (int, error) {
		f.add(events)
		return len(events), nil
	}}
}

func (f *Feed) add(events []Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range events {
		n := Numbered{f.next, e}
		if len(f.kept) < cap(f.kept) {
			f.kept = append(f.kept, n)
		} else {
			f.kept[int(f.next-1)%cap(f.kept)] = n
		}
		f.next++
	}
	close(f.grown)
	f.grown = make(chan struct{})
}

// After are the kept events behind a number, the oldest first, and how many behind it
// are not kept any more. more is closed when there are others.
func (f *Feed) After(number int64) (events []Numbered, missed int64, more <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if number < 0 || number >= f.next { // of another process: whatever it was, all is news
		number = 0
	}
	first := max(number+1, f.next-int64(len(f.kept)))
	for n := first; n < f.next; n++ {
		events = append(events, f.kept[int(n-1)%cap(f.kept)])
	}
	return events, first - number - 1, f.grown
}
