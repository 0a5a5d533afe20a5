package service

import (
	"time"

	"github.com/weir-rls/weir/descriptors"
)

// Trace follows one call for a tracer.
type Trace interface {
	ID() string             // of the trace
	Waited(since time.Time) // the request was held for its tokens from then until now
	Answered(Answer)        // ends it
}

func (c *call) traceID() string {
	if c.trace == nil {
		return ""
	}
	return c.trace.ID()
}

// Answer is a call that was answered. What it says is put together when it is asked for,
// which must be before who is told of it returns.
type Answer struct {
	Result Result
	Took   time.Duration
	call   *call
}

// tell tells those who want to know of a call.
func (s *Service) tell(c *call, result Result, took time.Duration) {
	s.options.Observe.Request(result, took, c.traceID())
	a := Answer{Result: result, Took: took, call: c}
	if s.options.Observe.Answer != nil {
		s.options.Observe.Answer(a)
	}
	if c.trace != nil {
		c.trace.Answered(a)
	}
}

// TraceID is that of the trace that the call is part of, empty if it is not followed.
func (a Answer) TraceID() string { return a.call.traceID() }

// Domain is that of the request, and whether the rules know it: one that they do not know
// is a client's text.
func (a Answer) Domain() (name string, known bool) {
	return a.call.request.Domain, a.call.verdict.known
}

// Reason is why the request was refused: "limit", "unmatched", "excess" or "overload";
// empty if it was not.
func (a Answer) Reason() string { return a.call.verdict.reason }

// Limit is the limit that refused, else of those that the request met the one with the
// least left; empty if it met none.
func (a Answer) Limit() string {
	if m := a.call.verdict.decisive; m != nil {
		return m.Limit.Name
	}
	return ""
}

// Remaining is how many whole tokens that limit has left, if it is one of which that can
// be said.
func (a Answer) Remaining() (tokens int64, told bool) {
	m := a.call.verdict.decisive
	if m == nil || !m.showsLevel() {
		return 0, false
	}
	return m.remaining(), true
}

// Limits is how many limits the request met.
func (a Answer) Limits() int { return len(a.call.verdict.met) }

// Waited tells that the request was held for its tokens.
func (a Answer) Waited() bool { return a.call.verdict.waited }

// Degraded is by what a request was decided whose limits could not be asked: "local",
// "allow" or "deny"; empty if the store judged it.
func (a Answer) Degraded() string { return a.call.verdict.degraded() }

// RequestID is that of the request, safe to be logged, empty if it has none.
func (a Answer) RequestID() string { return safeID(a.call.verdict.requestID) }

// Descriptors is how many the request has. One beyond a bound may have more.
func (a Answer) Descriptors() int { return len(a.call.request.Descriptors) }

// Entries are those of a descriptor as they may be written to a log: without what the
// rules of the domain hide, and of a domain that the rules do not know, or a request that
// they have not judged, the keys alone. The signature of a receipt is nobody's business.
func (a Answer) Entries(descriptor int) []descriptors.Entry {
	sent := a.call.request.Descriptors[descriptor].Entries
	shown := make([]descriptors.Entry, len(sent))
	copy(shown, a.call.verdict.redaction.Entries(sent))
	for i := range shown {
		if !a.call.verdict.known || shown[i].Key == descriptors.ReceiptKey {
			shown[i].Value = ""
		}
	}
	return shown
}
