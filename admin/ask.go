package admin

import (
	"encoding/json"
	"net/http"
	"time"
)

// longestWait bounds how long a caller may be held for tokens.
const longestWait = 5 * time.Minute

// requests are the paths under which tokens are asked for without Envoy.
func (a API) requests() []endpoint {
	return []endpoint{
		{"/api/v1/check", "takes tokens if they are there", map[string]method{
			http.MethodPost: {who: Operator, serve: a.check},
		}},
		{"/api/v1/acquire", "takes tokens, and waits for them up to ?wait=5s", map[string]method{
			http.MethodPost: {who: Operator, query: []string{"wait"}, serve: a.acquire, holds: true},
		}},
		{"/api/v1/explain", "what would be answered to a request, and why; takes nothing", map[string]method{
			http.MethodPost: {who: Viewer, serve: a.explain, asks: true},
		}},
	}
}

func (a API) explain(c *call) (reply, error) {
	body, err := readBody(c.Request)
	if err != nil {
		return reply{}, err
	}
	status, header, answer := a.Explain(c.Context(), body)
	return reply{status: status, header: header, body: json.RawMessage(answer)}, nil
}

func (a API) check(c *call) (reply, error) { return a.ask(c, 0) }

func (a API) acquire(c *call) (reply, error) {
	text, err := c.one("wait")
	if err != nil {
		return reply{}, err
	}
	wait := longestWait
	if text != "" {
		var fault *problem
		if wait, fault = parseDuration("wait", text); fault != nil {
			return reply{}, fault
		}
	}
	if wait > longestWait {
		return reply{}, bad("wait", "nobody is held longer than "+longestWait.String(), "ask again when that is over")
	}
	return a.ask(c, wait)
}

func (a API) ask(c *call, wait time.Duration) (reply, error) {
	body, err := readBody(c.Request)
	if err != nil {
		return reply{}, err
	}
	if wait > 0 {
		c.hold(wait)
	}
	if ofBucket(body) {
		return a.take(c, body, wait)
	}
	status, header, answer := a.Ask(c.Context(), body, wait)
	return reply{status: status, header: header, body: json.RawMessage(answer)}, nil
}

// ofBucket tells whether a body asks a bucket that was made at run time for tokens,
// and not the rules.
func ofBucket(body []byte) bool {
	var asked struct{ Bucket, Tokens json.RawMessage }
	_ = json.Unmarshal(body, &asked) // else whoever judges requests says what is wrong with it
	return asked.Bucket != nil || asked.Tokens != nil
}
