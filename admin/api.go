package admin

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/weir-rls/weir/capacity"
	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/events"
	"github.com/weir-rls/weir/named"
	"github.com/weir-rls/weir/overrides"
	"github.com/weir-rls/weir/traffic"
)

// API is the JSON interface under /api/v1: limits that are changed while weir
// runs, the sizes of pools, buckets that are made and looked at, and requests
// for tokens without Envoy. docs/reference/api.md is its reference.
type API struct {
	Rules    *descriptors.Source
	Book     *overrides.Book
	Buckets  *named.Registry
	Capacity *capacity.Controller
	Traffic  *traffic.Traffic
	Events   *events.Feed
	// Levels tells the levels of the buckets that a request meets, as what is JSON;
	// Reset forgets them, of one limit or of all if limit is empty, and tells how
	// many there were.
	Levels func(ctx context.Context, request descriptors.Request) (levels any, err error)
	Reset  func(ctx context.Context, request descriptors.Request, limit string) (int, error)
	// Ask judges a RateLimitRequest in its JSON form, and holds it up to wait.
	Ask func(ctx context.Context, body []byte, wait time.Duration) (status int, header http.Header, answer []byte)
	// Explain tells what would be answered to such a request, and why. It takes nothing.
	Explain func(ctx context.Context, body []byte) (status int, header http.Header, answer []byte)
}

// storeTimeout is how long a call may take that does not wait for tokens.
const storeTimeout = 5 * time.Second

// call is a request for the API, its query read.
type call struct {
	*http.Request
	query  url.Values
	writer *http.ResponseController
}

// reply is what a call is answered.
type reply struct {
	status int         // 0: 200
	header http.Header // beside the type of its content, unless that is here too
	body   any
	stream func(http.ResponseWriter) // writes the answer instead, nil: there is one body
}

// method serves one method of a path.
type method struct {
	who   Role
	query []string // the parameters that it knows
	serve func(*call) (reply, error)
	// holds tells that the caller may be held. Others are answered within the time
	// that the store has.
	holds bool
	// asks tells of a POST that changes nothing.
	asks bool
}

// endpoint is a path and what can be done with it.
type endpoint struct {
	path, shows string
	methods     map[string]method
}

// Add serves the API among other pages.
func (a API) Add(p *Pages) {
	for _, e := range slices.Concat(a.limits(), a.pools(), a.buckets(), a.requests(), a.traffic(), a.events()) {
		for name, m := range e.methods {
			if m.asks {
				p.AddQuestion(m.who, e.path, e.shows, m)
			} else {
				p.Add(m.who, name, e.path, e.shows, m)
			}
		}
	}
}

// ServeHTTP implements [http.Handler].
func (m method) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, err := m.answer(w, r)
	if err != nil {
		problemOf(err).write(w)
		return
	}
	if answer.stream != nil {
		answer.stream(w)
		return
	}
	contentType := cmp.Or(answer.header.Get("Content-Type"), "application/json")
	for name, values := range answer.header {
		w.Header()[name] = values
	}
	write(w, cmp.Or(answer.status, http.StatusOK), contentType, answer.body)
}

func (m method) answer(w http.ResponseWriter, r *http.Request) (reply, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return reply{}, bad("", "the query cannot be read", "encode it as in a URL")
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if !contains(m.query, name) {
			remedy := "this path has none"
			if len(m.query) > 0 {
				remedy = "known are " + strings.Join(m.query, ", ")
			}
			return reply{}, bad(shown(name), "the parameter "+shown(name)+" is unknown here", remedy)
		}
	}
	if !m.holds {
		ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
		defer cancel()
		r = r.WithContext(ctx)
	}
	return m.serve(&call{r, query, http.NewResponseController(w)})
}

// hold lets a call last longer than the server's time-out for answers.
func (c *call) hold(wait time.Duration) {
	_ = c.writer.SetWriteDeadline(time.Now().Add(wait + storeTimeout)) // not known to what serves tests
}

// one is the value of a parameter that may be there once, empty if it is not.
func (c *call) one(name string) (string, error) {
	switch values := c.query[name]; len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	}
	return "", bad(name, name+" is there more than once", "send it once")
}
