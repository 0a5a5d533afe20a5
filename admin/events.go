package admin

import (
	"errors"
	"fmt"
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
	if c.Method == http.MethodHead {
		return reply{stream: beginStream}, nil
	}
	messages, leave, err := a.Events.Subscribe()
	switch {
	case errors.Is(err, events.ErrManyReaders):
		return reply{}, &problem{
			Status: http.StatusServiceUnavailable, Detail: fmt.Sprintf("there are %d streams, and no more at a time", events.MaxReaders),
			Remedy: "close one, as a page of the dashboard in another tab, or ask GET /api/v1/events now and then", header: http.Header{"Retry-After": {"10"}},
		}
	case err != nil:
		return reply{}, &problem{Status: http.StatusServiceUnavailable, Detail: err.Error(), Remedy: "ask another replica"}
	}
	return reply{stream: func(w http.ResponseWriter) {
		defer leave()
		c.tell(w, "events", messages)
	}}, nil
}
