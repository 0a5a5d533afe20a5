package events

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Sink is where events are sent to.
type Sink struct {
	Name string // in metrics and the log
	// Send sends events in order, as many as it can, and tells how many it sent.
	// What is left is sent again, unless the error is [ErrRefused]. A call that fails
	// may have sent more than it tells: an event may arrive twice.
	Send func(ctx context.Context, events []Event) (sent int, err error)
}

// ErrRefused is the error of a sink to which it is of no use to send the same
// events again.
var ErrRefused = errors.New("the receiver refuses the events")

// Options are what a [Bus] needs. Only Log is required.
type Options struct {
	Sinks []Sink
	Log   *slog.Logger // is told when a sink begins to fail, and when it works again

	Sent, Dropped func(sink string, events int) // for metrics; nil: nobody counts

	Queue   int           // events that wait for a sink, 0: 1000
	Timeout time.Duration // of one call of a sink, 0: 5 s
	Backoff time.Duration // before what failed is tried again, doubled each time, 0: 250 ms
}

const (
	maxBatch = 100             // events in one call of a sink
	tries    = 6               // of one batch: with the default backoff it is given up after some 8 s
	farewell = 2 * time.Second // for what is in the queues when the process ends
)

// Bus takes events and brings them to sinks. Each sink has a queue of its own, so
// that one which is slow or away holds up no other.
type Bus struct {
	options Options
	queues  []*queue
}

// queue is what waits for one sink.
type queue struct {
	options Options
	sink    Sink
	events  chan Event
	dropped atomic.Int64 // not told yet
	failing bool         // known to its goroutine alone
}

// New returns a bus. [Bus.Run] makes it run.
func New(o Options) *Bus {
	if o.Sent == nil {
		o.Sent = func(string, int) {}
	}
	if o.Dropped == nil {
		o.Dropped = func(string, int) {}
	}
	if o.Queue == 0 {
		o.Queue = 1000
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Backoff == 0 {
		o.Backoff = 250 * time.Millisecond
	}
	b := &Bus{options: o}
	for _, sink := range o.Sinks {
		b.queues = append(b.queues, &queue{options: o, sink: sink, events: make(chan Event, o.Queue)})
	}
	return b
}

// Tell queues an event for all sinks. It never waits: a sink whose queue is full
// loses the event, and learns of that with the next one.
func (b *Bus) Tell(e Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Time = e.Time.UTC()
	e = e.bounded()
	for _, q := range b.queues {
		q.tell(e)
	}
}

func (q *queue) tell(e Event) {
	lost := q.dropped.Swap(0)
	e.Dropped = lost
	select {
	case q.events <- e:
	default:
		q.dropped.Add(lost + 1)
		q.options.Dropped(q.sink.Name, 1)
	}
}

// Run brings events to sinks until the context ends, and then for up to two
// seconds those that are queued.
func (b *Bus) Run(ctx context.Context) {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(farewell, end) })()
	var all sync.WaitGroup
	for _, q := range b.queues {
		all.Go(func() { q.run(ctx, life) })
	}
	all.Wait()
}

// run serves one sink. life outlasts ctx, for the farewell.
func (q *queue) run(ctx, life context.Context) {
	for ctx.Err() == nil {
		select {
		case e := <-q.events:
			q.deliver(life, q.batch(e))
		case <-ctx.Done():
		}
	}
	for left := len(q.events); left > 0; {
		batch := q.batch(<-q.events) // nobody else takes any
		left -= len(batch)
		q.deliver(life, batch)
	}
}

// batch is an event and those that are queued behind it, as many as go into one
// call.
func (q *queue) batch(first Event) []Event {
	batch := append(make([]Event, 0, min(1+len(q.events), maxBatch)), first)
	for len(batch) < maxBatch {
		select {
		case e := <-q.events:
			batch = append(batch, e)
		default:
			return batch
		}
	}
	return batch
}

// deliver sends a batch, several times if need be, and drops what cannot be sent.
func (q *queue) deliver(life context.Context, batch []Event) {
	pause := q.options.Backoff
	for try := 1; ; try++ {
		sent, err := q.send(life, batch)
		if sent > 0 {
			q.options.Sent(q.sink.Name, sent)
		}
		batch = batch[sent:]
		q.note(err)
		if err == nil {
			return
		}
		if try == tries || errors.Is(err, ErrRefused) || !wait(life, pause) {
			q.lose(batch)
			return
		}
		pause *= 2
	}
}

func (q *queue) send(life context.Context, batch []Event) (int, error) {
	ctx, done := context.WithTimeout(life, q.options.Timeout)
	defer done()
	return q.sink.Send(ctx, batch)
}

// lose counts events that were queued and never arrived, with those that they were
// to tell of.
func (q *queue) lose(batch []Event) {
	lost := int64(len(batch))
	for i := range batch {
		lost += batch[i].Dropped
	}
	q.dropped.Add(lost)
	q.options.Dropped(q.sink.Name, len(batch))
}

// note logs that the sink begins to fail, or works again.
func (q *queue) note(err error) {
	switch {
	case err != nil && !q.failing:
		q.options.Log.Warn("events cannot be delivered; those that do not fit the queue are dropped", "sink", q.sink.Name, "error", err.Error())
	case err == nil && q.failing:
		q.options.Log.Info("events are delivered again", "sink", q.sink.Name)
	}
	q.failing = err != nil
}

// wait lets time pass, and tells whether the context lasted that long.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
