package admin

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/traffic"
)

// traffic are the paths that tell what happened on this replica in the last minutes.
func (a API) traffic() []endpoint {
	domain := []string{"domain"}
	return []endpoint{
		{"/api/v1/traffic", "what happened on this replica in the last hour, and at which limits", map[string]method{
			http.MethodGet: {who: Viewer, query: domain, serve: a.getTraffic},
		}},
		{"/api/v1/traffic/limits/{limit...}", "what happened at one limit, and which keys use it most", map[string]method{
			http.MethodGet: {who: Viewer, query: domain, serve: a.getLimitTraffic},
		}},
		{"/api/v1/traffic/stream", "what happens, told each second as server-sent events", map[string]method{
			http.MethodGet: {who: Viewer, serve: a.streamTraffic, holds: true},
		}},
	}
}

func (a API) getTraffic(c *call) (reply, error) {
	domain, err := c.one("domain")
	if err != nil {
		return reply{}, err
	}
	rules := a.Rules.Rules()
	if domain != "" && (rules == nil || !slices.Contains(rules.Domains(), domain)) {
		return reply{}, noDomain(domain)
	}
	return reply{body: a.Traffic.Overview(domain)}, nil
}

func (a API) getLimitTraffic(c *call) (reply, error) {
	domain, err := c.one("domain")
	if err != nil {
		return reply{}, err
	}
	name := c.PathValue("limit")
	if domain, err = a.metricsDomain(domain, name); err != nil {
		return reply{}, err
	}
	return reply{body: a.Traffic.Limit(domain, name)}, nil
}

// metricsDomain is the domain of a limit by the name that metrics have for it: the one
// that is given, if it has such a limit, else the only one that has.
func (a API) metricsDomain(given, name string) (string, error) {
	rules := a.Rules.Rules()
	if rules == nil {
		return "", errNoRules
	}
	var having []string
	for _, l := range rules.Limits() {
		if l.Name == name && !slices.Contains(having, l.Domain) {
			having = append(having, l.Domain)
		}
	}
	if name == descriptors.OverrideName {
		having = rules.Domains()
	}
	switch {
	case given != "" && !slices.Contains(rules.Domains(), given):
		return "", noDomain(given)
	case given != "" && slices.Contains(having, given):
		return given, nil
	case given == "" && len(having) == 1:
		return having[0], nil
	case given == "" && len(having) > 1:
		return "", bad("domain", "several domains have a limit of this name", "say which by ?domain=, one of "+shown(strings.Join(having, ", ")))
	case name == "":
		return "", errNoName
	}
	return "", &problem{
		Status: http.StatusNotFound, Field: "limit", Detail: fmt.Sprintf("the rules have no limit %q", shown(name)),
		Remedy: "GET /api/v1/limits lists those there are; what draws from a pool goes by the name of its class",
	}
}

// Bounds of a stream.
const (
	// streamFor is how long one lasts. Readers come back by themselves, if they still may.
	streamFor = 10 * time.Minute
	// streamPatience is how long a reader may take for what he is sent.
	streamPatience = 5 * time.Second
	// streamCheck is how often it is looked whether a reader still may.
	streamCheck = 5 * time.Second
	// streamPause is after how long without an event a reader is told that he is not forgotten.
	streamPause = 15 * time.Second
)

func (a API) streamTraffic(c *call) (reply, error) {
	return c.stream("traffic", traffic.MaxStreams, a.Traffic.Subscribe, traffic.ErrManyStreams)
}

// stream tells one more reader events of a kind, by which the path is named too that has
// them without a stream. There are at most so many readers; many is the error of who is one
// too many.
func (c *call) stream(kind string, most int, subscribe func() (<-chan []byte, func(), error), many error) (reply, error) {
	if c.Method == http.MethodHead {
		return reply{stream: beginStream}, nil
	}
	events, leave, err := subscribe()
	switch {
	case errors.Is(err, many):
		return reply{}, &problem{
			Status: http.StatusServiceUnavailable, Detail: fmt.Sprintf("there are %d streams, and no more at a time", most),
			Remedy: "close one, as a page of the dashboard in another tab, or ask GET /api/v1/" + kind + " now and then", header: http.Header{"Retry-After": {"10"}},
		}
	case err != nil:
		return reply{}, &problem{Status: http.StatusServiceUnavailable, Detail: err.Error(), Remedy: "ask another replica"}
	}
	return reply{stream: func(w http.ResponseWriter) {
		defer leave()
		c.tell(w, kind, events)
	}}, nil
}

func beginStream(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // of nginx, which would keep events back
	w.WriteHeader(http.StatusOK)
}

// tell writes events of a kind until there are no more, the reader leaves or does not
// read, may not look any more, or his time is over.
func (c *call) tell(w http.ResponseWriter, kind string, events <-chan []byte) {
	beginStream(w)
	end := time.NewTimer(streamFor)
	defer end.Stop()
	check := time.NewTicker(streamCheck)
	defer check.Stop()
	told := time.Now()
	for text := "retry: 2000\n\n"; ; {
		if text != "" {
			_ = c.writer.SetWriteDeadline(time.Now().Add(streamPatience))
			if _, err := w.Write([]byte(text)); err != nil || c.writer.Flush() != nil {
				return
			}
			told = time.Now()
		}
		select {
		case event, more := <-events:
			if !more {
				return
			}
			text = "event: " + kind + "\ndata: " + string(event) + "\n\n"
		case <-check.C:
			if !stillAdmitted(c.Request) {
				return
			}
			if text = ""; time.Since(told) >= streamPause {
				text = ": nothing new\n\n"
			}
		case <-end.C:
			return
		case <-c.Context().Done():
			return
		}
	}
}
