package app

import (
	"fmt"
	"strconv"

	"github.com/weir-rls/weir/capacity"
	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/events"
	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/overrides"
	"github.com/weir-rls/weir/service"
)

// hitsPerSecond is how many refusals of one limit are told in a second: enough to
// see who is refused, and a few hundred bytes each under a flood.
const hitsPerSecond = 5

// eventsKept is how many events a replica keeps for who looks at them: of the largest it
// is 5 MB, and usually a hundredth of that.
const eventsKept = 500

// teller turns what happens into events.
type teller struct {
	bus      *events.Bus
	feed     *events.Feed // the latest, for who looks
	hits     *events.Sampler
	breakers events.Breakers
}

func (a *App) newTeller(s config.Settings) *teller {
	feed := events.NewFeed(eventsKept)
	sinks := []events.Sink{events.Log(a.log), feed.Sink()}
	if s.EventsWebhook != "" {
		sinks = append(sinks, events.Webhook(s.EventsWebhook))
	}
	if s.EventsStream != "" && a.store.redis != nil {
		sinks = append(sinks, events.Stream(s.EventsStream, a.store.redis.Append))
	}
	return &teller{
		bus:  events.New(events.Options{Sinks: sinks, Log: a.log, Sent: a.metrics.EventsSent, Dropped: a.metrics.EventsDropped}),
		feed: feed,
		hits: events.NewSampler(hitsPerSecond, nil),
	}
}

// refused tells of a request that a limit refused, or no rule admits. A domain
// that the rules do not know is a client's text, and nothing refuses there.
func (t *teller) refused(r service.Refusal) {
	suppressed, tell := t.hits.Sample(r.Domain, r.Limit)
	if !tell {
		return
	}
	shown := r.Entries()
	entries := make([]events.Entry, len(shown))
	for i, e := range shown {
		entries[i] = events.Entry{Key: e.Key, Value: e.Value}
	}
	t.bus.Tell(events.Event{
		Kind: events.LimitHit, Domain: r.Domain, Limit: r.Limit, Text: r.Message(), Entries: entries, RequestID: r.RequestID(), Suppressed: suppressed,
	})
}

func (a *App) breaker(domain, limit, key, state string, at int64) {
	if from, moved := a.tell.breakers.Moved(key, state, at); moved {
		a.metrics.BreakerMoved(domain, limit, state)
		a.tell.bus.Tell(events.Event{
			Kind: events.BreakerMoved, Domain: domain, Limit: limit, Text: "the breaker is " + state,
			Fields: map[string]string{"key": key, "from": from, "to": state},
		})
	}
}

// noted tells what this replica wrote into the book of changes.
func (t *teller) noted(n overrides.Note) {
	kind := events.LimitUndone
	if n.Action == "set" {
		kind = events.LimitSet
	}
	for _, e := range n.Changes {
		t.bus.Tell(events.Event{
			Kind: kind, Domain: e.Domain, Limit: e.Limit, Text: n.Reason,
			Fields: map[string]string{"action": n.Action, "author": n.Author, "version": strconv.FormatInt(e.Version, 10)},
		})
	}
}

func (t *teller) reloaded(r descriptors.Report) {
	for _, d := range r.Domains {
		if d.State != descriptors.Unchanged {
			t.bus.Tell(events.Event{Kind: events.RulesReloaded, Domain: d.Name, Text: "the rules of the domain are " + d.State.String()})
		}
	}
}

func (t *teller) resized(before, after capacity.PoolState) {
	t.bus.Tell(events.Event{
		Kind: events.CapacityChanged, Domain: after.Domain, Limit: after.Name,
		Text: fmt.Sprintf("the pool has size %d, after %d", after.Size, before.Size),
		Fields: map[string]string{
			"source": string(after.Source), "instances": strconv.FormatInt(after.Instances, 10), "factor_ppm": strconv.FormatInt(after.Factor, 10),
		},
	})
}
