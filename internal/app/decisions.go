package app

import (
	"context"
	"math/rand/v2"

	"github.com/weir-rls/weir/events"
	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/service"
)

// decisionsSink is what the decision log is called where events are counted.
const decisionsSink = "decisions"

// decisionLog logs calls that were answered. It has a queue of its own: whoever floods it
// loses no other event.
type decisionLog struct {
	bus      *events.Bus
	pace     *events.Sampler
	admitted int // of the admitted one in so many, 0: none
	dropped  func(sink string, n int)
}

// newDecisionLog is nil if the settings want none.
func (a *App) newDecisionLog(s config.Settings) *decisionLog {
	if s.DecisionLog == config.DecisionLogOff || s.DecisionLog == "" {
		return nil
	}
	sink := events.Log(a.log)
	sink.Name = decisionsSink
	d := &decisionLog{
		bus:  events.New(events.Options{Sinks: []events.Sink{sink}, Log: a.log, Sent: a.metrics.EventsSent, Dropped: a.metrics.EventsDropped}),
		pace: events.NewSampler(s.DecisionLogPerSecond, nil), dropped: a.metrics.EventsDropped,
	}
	if s.DecisionLog == config.DecisionLogAll {
		d.admitted = s.DecisionLogSample
	}
	return d
}

// run writes lines until the context ends, and then those that are left.
func (d *decisionLog) run(ctx context.Context) {
	if d != nil {
		d.bus.Run(ctx)
	}
}

// observe is the observer of answers, nil if there is no log.
func (d *decisionLog) observe() func(service.Answer) {
	if d == nil {
		return nil
	}
	return d.answered
}

func (d *decisionLog) answered(a service.Answer) {
	if a.Result == service.ResultOK && (d.admitted == 0 || rand.IntN(d.admitted) != 0) {
		return
	}
	suppressed, tell := d.pace.SampleAll()
	if !tell {
		d.dropped(decisionsSink, 1)
		return
	}
	e := events.Event{Kind: events.Decided, Limit: a.Limit(), RequestID: a.RequestID(), Suppressed: suppressed, Decision: decisionOf(a)}
	if domain, known := a.Domain(); known {
		e.Domain = domain
	}
	d.bus.Tell(e)
}

// mostLogged bounds the descriptors that are copied for a line, which holds fewer still.
const mostLogged = 20

func decisionOf(a service.Answer) *events.Decision {
	d := &events.Decision{
		Verdict: a.Result.String(), Reason: a.Reason(), Seconds: a.Took.Seconds(), Waited: a.Waited(), Degraded: a.Degraded(), TraceID: a.TraceID(),
	}
	if remaining, told := a.Remaining(); told {
		d.Remaining = &remaining
	}
	d.Further = max(0, a.Descriptors()-mostLogged)
	for i := range a.Descriptors() - d.Further {
		var entries []events.Entry
		for _, e := range a.Entries(i) {
			entries = append(entries, events.Entry{Key: e.Key, Value: e.Value})
		}
		d.Descriptors = append(d.Descriptors, entries)
	}
	return d
}
