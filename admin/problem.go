package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/named"
	"github.com/weir-rls/weir/overrides"
)

// problem is what a caller of the API is told who gets no answer: RFC 9457, with
// the field that is at fault and what to write instead.
type problem struct {
	Type    string `json:"type"`
	Title   string `json:"title"`
	Status  int    `json:"status"`
	Detail  string `json:"detail"`
	Field   string `json:"field,omitempty"`  // of the body, or the query's parameter or the header
	Remedy  string `json:"remedy,omitempty"` //
	Version *int64 `json:"version,omitempty"`

	header http.Header // of the answer, beside the problem's own
}

func (p *problem) Error() string { return p.Detail }

// bad is a problem with what the caller sent.
func bad(field, detail, remedy string) *problem {
	return &problem{Status: http.StatusBadRequest, Field: field, Detail: detail, Remedy: remedy}
}

func (p *problem) write(w http.ResponseWriter) {
	told := *p // which others may be told too
	told.Type, told.Title = "about:blank", http.StatusText(p.Status)
	for name, values := range p.header {
		w.Header()[name] = values
	}
	write(w, p.Status, "application/problem+json", told)
}

func write(w http.ResponseWriter, status int, contentType string, body any) {
	text, err := json.Marshal(body)
	if err != nil { // of weir's own making
		status, text = http.StatusInternalServerError, []byte(`{"type":"about:blank","title":"Internal Server Error","status":500,"detail":"the answer cannot be written"}`)
		contentType = "application/problem+json"
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // a caller who has left needs no answer
}

// problemOf is the problem of an error that a room answered.
func problemOf(err error) *problem {
	var known *problem
	var fault descriptors.ChangeFault
	var conflict overrides.Conflict
	var bucketConflict named.Conflict
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &fault):
		p := &problem{Status: http.StatusUnprocessableEntity, Detail: fault.Error(), Field: fault.Field, Remedy: fault.Remedy}
		if fault.Unknown {
			p.Status = http.StatusNotFound
		}
		return p
	case errors.As(err, &conflict):
		return conflictOf(conflict.Error(), conflict.Current)
	case errors.As(err, &bucketConflict):
		return conflictOf(bucketConflict.Error(), bucketConflict.Current)
	case errors.Is(err, named.ErrUnknown):
		return &problem{Status: http.StatusNotFound, Field: "bucket", Detail: shown(err.Error()), Remedy: "PUT /api/v1/buckets/ID makes it"}
	case errors.Is(err, overrides.ErrUnknown):
		return &problem{Status: http.StatusNotFound, Detail: err.Error(), Remedy: "GET /api/v1/limits lists what is set"}
	case errors.Is(err, context.DeadlineExceeded):
		return &problem{Status: http.StatusServiceUnavailable, Detail: "the store did not answer in time: " + err.Error()}
	}
	return &problem{Status: http.StatusServiceUnavailable, Detail: err.Error()}
}

var errNoRules = &problem{Status: http.StatusServiceUnavailable, Detail: "no rules were ever loaded"}

// conflictOf is the problem of a caller who expected another version than there
// is.
func conflictOf(detail string, current int64) *problem {
	return &problem{
		Status: http.StatusConflict, Field: "version", Detail: detail, Version: &current,
		Remedy: "read it again, and send the version that you have seen",
	}
}
