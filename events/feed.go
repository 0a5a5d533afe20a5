package events

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
)

// Why nobody more can read a [Feed].
var (
	ErrManyReaders = errors.New("there are as many readers as there may be")
	ErrEnding      = errors.New("this replica is being stopped")
)

const (
	// MaxReaders bounds those who read a [Feed] at a time: what is kept is sent to each,
	// and has 5 MB at the largest.
	MaxReaders = 32
	// lag is how many messages a reader may be behind before he is dropped.
	lag = 8
)

// Feed is a sink that keeps the latest events for people who look at them, and sends
// them those that come. It waits for nobody: who does not keep up is dropped, and sees
// what is kept when he comes back.
type Feed struct {
	mu      sync.Mutex
	keep    int
	kept    []Event // the oldest first
	ended   bool
	readers map[chan []byte]struct{}
}

// Message is what readers of a [Feed] are sent, as JSON.
type Message struct {
	Begin  bool    `json:"begin,omitempty"` // these are the kept ones: forget those before
	Events []Event `json:"events"`          // the oldest first
}

// NewFeed returns a feed that keeps so many events.
func NewFeed(keep int) *Feed {
	return &Feed{keep: keep, readers: map[chan []byte]struct{}{}}
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
	f.kept = append(f.kept, events...)
	if more := len(f.kept) - f.keep; more > 0 {
		f.kept = slices.Delete(f.kept, 0, more)
	}
	if len(f.readers) == 0 {
		return
	}
	text := Message{Events: events}.json()
	for queue := range f.readers {
		select {
		case queue <- text:
		default:
			f.drop(queue)
		}
	}
}

// json is the message as it is sent.
func (m Message) json() []byte {
	text, err := json.Marshal(m)
	if err != nil { // an event has nothing that JSON cannot say
		return []byte(`{"events":[]}`)
	}
	return text
}

// Kept are the latest events, the oldest first.
func (f *Feed) Kept() []Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Event{}, f.kept...)
}

// Subscribe has each [Message] sent until leave is called, first one with what is kept.
// The channel is closed for a reader that does not keep up, and when the feed ends. An
// error is ErrManyReaders or ErrEnding.
func (f *Feed) Subscribe() (messages <-chan []byte, leave func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.ended:
		return nil, nil, ErrEnding
	case len(f.readers) == MaxReaders:
		return nil, nil, ErrManyReaders
	}
	queue := make(chan []byte, lag)
	queue <- Message{Begin: true, Events: append([]Event{}, f.kept...)}.json()
	f.readers[queue] = struct{}{}
	return queue, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.readers, queue)
	}, nil
}

// End drops all readers, and lets none begin: a server that is stopped would wait for
// them.
func (f *Feed) End() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	for queue := range f.readers {
		f.drop(queue)
	}
}

// drop ends a reader. f.mu is held.
func (f *Feed) drop(queue chan []byte) {
	delete(f.readers, queue)
	close(queue)
}
