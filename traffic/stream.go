package traffic

import (
	"encoding/json"
	"errors"
	"sync"
)

// Why there is no stream.
var (
	ErrManyStreams = errors.New("there are as many streams as there may be")
	ErrEnding      = errors.New("this replica is being stopped")
)

// lag is how many events a reader may be behind before he is dropped.
const lag = 8

// streams are those who are told each second what happened in it.
type streams struct {
	mu     sync.Mutex
	ended  bool
	queues map[chan []byte]struct{}
}

func newStreams() streams { return streams{queues: map[chan []byte]struct{}{}} }

// Subscribe has an [Event] as JSON sent each second until leave is called. The channel
// is closed for a reader that does not keep up, and when streams are ended. An error is
// ErrManyStreams or ErrEnding.
func (t *Traffic) Subscribe() (events <-chan []byte, leave func(), err error) {
	s := &t.streams
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
		return nil, nil, ErrEnding
	case len(s.queues) == MaxStreams:
		return nil, nil, ErrManyStreams
	}
	queue := make(chan []byte, lag)
	s.queues[queue] = struct{}{}
	return queue, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.queues, queue)
	}, nil
}

// EndStreams ends all streams, and lets none begin: a server that is stopped would wait
// for them.
func (t *Traffic) EndStreams() {
	s := &t.streams
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for queue := range s.queues {
		s.drop(queue)
	}
}

// drop ends a stream. s.mu is held.
func (s *streams) drop(queue chan []byte) {
	delete(s.queues, queue)
	close(queue)
}

// tell tells all an event, which is made only if there is anybody, and waits for nobody.
func (s *streams) tell(event func() Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queues) == 0 {
		return
	}
	text, err := json.Marshal(event())
	if err != nil { // an Event has nothing that JSON cannot say
		return
	}
	for queue := range s.queues {
		select {
		case queue <- text:
		default:
			s.drop(queue)
		}
	}
}
