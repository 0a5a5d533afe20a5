package service

import (
	"strconv"
	"strings"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/descriptors"
)

// response is what the caller of a refused request sees: that of the limit which
// refused, else the domain's.
func (v *verdict) response() *descriptors.Response {
	if v.reason == "limit" {
		return v.decisive.Limit.Response
	}
	return v.fallback
}

// render fills in a response: its body, and its headers with the content type.
func (v *verdict) render(r *descriptors.Response) (body []byte, headers []header) {
	values, message := v.explain(r)
	values[descriptors.MessageVariable] = message
	headers = append(headers, header{"Content-Type", r.ContentType})
	for i := range r.Headers {
		headers = append(headers, header{r.Headers[i].Name, r.Headers[i].Value.Expand(&values)})
	}
	if r.Problem {
		return v.problem(message), headers
	}
	return []byte(r.Body.Expand(&values)), headers
}

// explain is why the request was refused: the values of a response's variables,
// and its message.
func (v *verdict) explain(r *descriptors.Response) (values descriptors.Values, message string) {
	values = v.values(r.Language)
	text := &r.Message
	if s := v.sentence(); text.Empty() || !s.own() {
		text = &sentences[s][r.Language]
	}
	return values, text.Expand(&values)
}

// values are what a response's variables stand for.
func (v *verdict) values(language descriptors.Language) (values descriptors.Values) {
	values[descriptors.NameVariable] = v.reason
	if v.reason == "limit" {
		l := v.decisive.Limit
		values[descriptors.NameVariable] = l.Name
		size := strconv.FormatInt(v.decisive.Charge.Bucket.Size(), 10)
		switch v.decisive.Charge.Bucket.(type) {
		case buckets.Breaker: // has no numbers
		case buckets.Slots:
			values[descriptors.LimitVariable], values[descriptors.BurstVariable] = size, size
		default:
			values[descriptors.LimitVariable] = strconv.FormatInt(l.Requests, 10)
			values[descriptors.BurstVariable] = size
			values[descriptors.PeriodVariable] = l.PeriodIn(language)
		}
	}
	if delay, hope := v.retryAfter(); hope {
		values[descriptors.RetryAfterVariable] = strconv.FormatInt(wholeSeconds(delay), 10)
	}
	values[descriptors.RequestIDVariable] = safeID(v.requestID)
	return values
}

// maxRequestID is twice what usual identifiers have.
const maxRequestID = 128

// safeID is an identifier that a client may have chosen, cut and with nothing in
// it that means anything to JSON, HTML, a header or a log, nor breaks UTF-8:
// Envoy admits what it cannot read an answer to.
func safeID(s string) string {
	b := []byte(s[:min(len(s), maxRequestID)])
	for i, c := range b {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && strings.IndexByte("-_.:/+=@~", c) < 0 {
			b[i] = '_'
		}
	}
	return string(b)
}
