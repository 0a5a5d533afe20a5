package admin

import (
	"net/http"

	"github.com/weir-rls/weir/events"
)

// events are the paths that tell what happened on this replica.
func (a API) events() []endpoint {
	return []endpoint{
		{"/api/v1/events", "the latest events of this replica", map[string]method{
			http.MethodGet: {who: Viewer, serve: a.getEvents},
		}},
		{"/api/v1/events/stream", "the latest events and those that come, as server-sent events", map[string]method{
			http.MethodGet: {who: Viewer, serve: a.streamEvents, holds: true},
		}},
	}
}

func (a API) getEvents(*call) (reply, error) {
	return reply{body: events.Message{Events: a.Events.Kept()}}, nil
}

func (a API) streamEvents(c *call) (reply, error) {
	return c.stream("events", events.MaxReaders, a.Events.Subscribe, events.ErrManyReaders)
}
