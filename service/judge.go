package service

import (
	"context"
	"time"

	"github.com/weir-rls/weir/descriptors"
)

// Judgement is an answer in the terms of the rules, for who needs no wire form.
type Judgement struct {
	Admitted   bool
	Reason     string             // of a refusal: limit, unmatched, excess or overload
	Limit      *descriptors.Limit // that refused, nil where none did
	RetryAfter time.Duration      // of a refusal, 0: there is no such time
	Receipt    string             // with which the end is told, empty if it changes nothing
}

// Judge decides a request as ShouldRateLimit does, with all that it takes and
// observes, and holds it at most for wait, and at most as long as its limits say. The
// request is read only. An error is one of the service's status.
func (s *Service) Judge(ctx context.Context, request *descriptors.Request, wait time.Duration) (j Judgement, err error) {
	c := calls.Get().(*call)
	own := c.request
	c.request, c.bounds, c.size, c.held = *request, &s.options.Bounds, 0, false
	c.beyond = c.bounds.of(request)
	if err = s.ask(ctx, c, max(0, wait)); err == nil {
		j = c.verdict.judgement()
	}
	c.request = own // what was asked is the caller's
	c.release()
	return j, err
}

func (v *verdict) judgement() Judgement {
	j := Judgement{Admitted: !v.over, Receipt: v.receipt}
	if v.over {
		j.Reason = v.reason
		j.RetryAfter, _ = v.retryAfter()
	}
	if v.over && v.reason == "limit" {
		j.Limit = v.decisive.Limit
	}
	return j
}
